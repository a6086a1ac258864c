"""Operators: one instruction each, and sometimes a method.

Look at BINARY_OP: in place (+=) and not (+) differ only in its argument. `Vector` defines `__add__` and no `__radd__`, so 1 + vector
tries an integer's addition first and fails; `__iadd__` is missing, so += falls back on `__add__`. A comparison may return
anything.
"""


class Vector:
    def __init__(self, *parts):
        self.parts = parts

    def __add__(self, other):
        if not isinstance(other, Vector):
            return NotImplemented
        return Vector(*map(sum, zip(self.parts, other.parts)))

    def __matmul__(self, other):
        return sum(a * b for a, b in zip(self.parts, other.parts))

    def __neg__(self):
        return Vector(*(-part for part in self.parts))

    def __lt__(self, other):
        return "perhaps"

    def __bool__(self):
        return any(self.parts)


vector = Vector(1, 2)
vector += Vector(3, 4)
print((-vector).parts, vector @ vector, vector < 1, not vector)
try:
    1 + vector
except TypeError as error:
    print(error)
print(7 // 2, 7 % 2, -7 >> 1, ~5 & 6 | 1 ^ 3, 2**10)
