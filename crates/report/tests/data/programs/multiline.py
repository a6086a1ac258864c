def add(*numbers):
    return sum(
        number
        for number in numbers
    )


result = add(
    1,
    add(
        2,
        3,
    ),
)
