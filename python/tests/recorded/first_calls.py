"""Code whose first call calculates with something else than numbers, or a later one does, while frames of it wait or not."""

import contextlib
from fractions import Fraction


class Odd(int):
    def __add__(self, other):
        return "odd"

    __radd__ = __add__


CASES = [
    "ab",
    3,
    2.5,
    True,
    10**40,
    1 << 25,
    float("nan"),
    float("inf"),
    Fraction(1, 3),
    Odd(4),
    b"xy",
    [1],
    (2,),
    -0.0,
    2**61,
    1e308,
]

# Made anew for each case: which call is the first makes a difference.
SOURCE = """
def straight(a, b=None, n=2):
    b = a if b is None else b
    c = a + a
    d = c + b
    total = d
    for i in range(n):
        e = d + c
        total = e + d
    x = c + d
    return total, x, e + c

def closure(a):
    def inner():
        y = a + a
        z = y + a
        return z + y
    return inner() + inner()

class Attributes:
    def __init__(self, v):
        self.v = v
        self.w = v

    def method(self):
        p = self.v + self.w
        q = p + self.v
        self.v = q + p
        return q + self.v

def attributes(v):
    return Attributes(v).method()

def suspended(a):
    yield a + a
    b = a + a
    b = b + a
    yield b
    yield (b + a) + b

def generator(a):
    return list(suspended(a))
"""


def call(function, value):
    with contextlib.suppress(TypeError, OverflowError):
        print(repr(function(value))[:40])


def first_calls():
    for case in CASES:
        space = {}
        exec(SOURCE, space)
        for value in (case, 1, case, 1.5):
            for name in ("straight", "closure", "attributes", "generator"):
                call(space[name], value)


def recursive(n, v):
    a = v * 2
    b = a + n if n != 2 or not isinstance(v, str) else a + "n"
    r = recursive(n - 1, "s" if n == 3 else 1.5) if n > 2 else v
    c = b * 2
    return c + b, r


def deeper(n, v):
    a = v + v
    b = a + v
    inner = deeper(n - 1, "s" if n == 2 else v) if n else None
    c = b + a
    return c + b, inner


def waits(v):
    a = v + v
    yield a
    b = a + v
    yield b
    c = b + a
    yield c + b


first_calls()
print(recursive(4, 3))
print(deeper(4, 1.5), deeper(3, 2))
waiting = [waits(v) for v in (1, 2.5, "x", 3, 4.25)]
for _ in range(3):
    print([next(one) for one in waiting])
