"""A loop, a comparison and a break: the example of the original article."""


def lol(x):
    for i in range(x):
        if i == 2:
            break
    return i


print(lol(5))
