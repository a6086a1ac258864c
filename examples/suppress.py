"""A `with` statement that lets an exception disappear.

Look at the line that begins with "!": the division raises, and the handler of the `with` statement catches. WITH_EXCEPT_START
calls `__exit__` with the exception, and its result decides: True leads on behind the block, False (the second time) to
RERAISE.
"""


class Forgiving:
    def __init__(self, *kinds):
        self.kinds = kinds

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        return kind is not None and issubclass(kind, self.kinds)


def divide(a, b, *forgiven):
    with Forgiving(*forgiven):
        return a / b
    return "forgiven"


print(divide(1, 0, ZeroDivisionError))
try:
    divide(1, 0, KeyError)
except ZeroDivisionError as error:
    print("not forgiven:", error)
