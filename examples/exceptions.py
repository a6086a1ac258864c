"""Where an exception is raised, where it is caught, and whom it passes on its way.

Look at the lines that begin with "!". `check` raises, so its box closes with "leaves"; the exception goes through
`parse`, which has no handler for it but a `finally`, and is caught in `main`. PUSH_EXC_INFO is the first instruction of every
handler. `else` runs only when nothing was raised, `finally` in any case: the compiler has put it there twice.
"""


def check(number):
    if number < 0:
        raise ValueError("negative")
    return number


def parse(text):
    try:
        return check(int(text))
    finally:
        print("looked at", repr(text))


def main(text):
    try:
        number = parse(text)
    except ZeroDivisionError:
        return "never"
    except (TypeError, ValueError) as error:
        return f"wrong: {error}"
    else:
        return number + 1
    finally:
        print("done")


print(main("41"))
print(main("-1"))
