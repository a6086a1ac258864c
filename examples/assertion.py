"""`assert` raises only when its condition is false.

Look at how the condition jumps over the rest when it holds. When it does not, LOAD_ASSERTION_ERROR (LOAD_COMMON_CONSTANT from
3.14 on) fetches the true AssertionError, whatever that name means by now, and the message is evaluated only then.
"""


def root(number):
    assert number >= 0, f"{number} is negative"
    return number**0.5


AssertionError = "no longer an exception"
print(root(9))
try:
    root(-1)
except Exception as error:
    print(type(error).__name__, error)
