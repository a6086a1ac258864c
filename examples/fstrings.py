"""An f-string is built from pieces on the stack.

Look at FORMAT_VALUE (up to 3.12) or CONVERT_VALUE, FORMAT_SIMPLE and FORMAT_WITH_SPEC (3.13+): each turns the value on top into a
string, and BUILD_STRING joins all of them. A format can be computed itself. An object may format itself: the box of
`__format__` opens in the middle of the expression.
"""


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __format__(self, spec):
        return f"{self.cents / 100:{spec or '.2f'}}"


name, width, price = "tea", 6, Money(250)
print(f"{name}: {price} {price:.1f}")
print(f"{name!r:>{width}}|{width=}|{{}}")
