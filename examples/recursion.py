"""A function that calls itself: the boxes nest.

Look at the stack before each CALL: every frame has a stack of its own, and what the callers still need (`n`, before the
multiplication) waits on theirs until the call returns. `even` and `odd` call each other.
"""


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


print(factorial(4), even(3))
