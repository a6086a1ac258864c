"""`return` and `finally`: who has the last word.

Look at `overruled`: 1 is on the stack, ready to be returned, when the `finally` block pops it and returns 2. In
`swallowed` the same happens to an exception: no "leaves" follows the "!". `kept` returns what it had before the block ran,
and `looped` runs the block on its way out of the loop. (Since 3.14 the compiler warns of a `return` in `finally`, PEP 765.)
"""


def kept():
    value = 1
    try:
        return value
    finally:
        value = 2


def overruled():
    try:
        return 1
    finally:
        return 2


def swallowed():
    try:
        raise KeyError
    finally:
        return 3


def looped():
    for number in (1, 2, 3):
        try:
            if number == 2:
                break
        finally:
            print("finally", number)
    return number


print(kept(), overruled(), swallowed(), looped())
