"""What is calculated with numbers, and code in which it turns out that it is not."""

import contextlib
import sys


def loop(count):
    total = 0.0
    rest = 0
    for i in range(count):
        a = i * 2
        b = a + 1.5
        total += a * b / (b + 1)
        rest += i % 7
        c = -(b - a)
        d = (a // 3) ^ i
        e = a / 3
        f = (i + 1) / (d + 1)
        g = (b // 0.7, b % -0.3, -a // 7, -a % 7, a >> 1, a | 5, a & i)
    return total, rest, a, b, c, d, e, f, g


def doubled(x):
    y = x + x
    z = y * 2
    return z + x


class Strange:
    def __init__(self, seen):
        self.seen = seen

    def __add__(self, other):
        self.seen.append(type(other).__name__)
        return self

    def __mul__(self, other):
        doubled(2)
        return self

    __radd__ = __add__


class Small(int):
    def __add__(self, other):
        return Small(int(self) - 1)


def grows(x, count):
    for _ in range(count):
        x = x * 3 + 1
    return x


def raises(x):
    y = 0
    try:
        y = x * 2
        return y / (x - x)
    except ZeroDivisionError:
        return y + 1


def suspended(count):
    x = 1
    for i in range(count):
        sent = yield x * i
        x = x + 1 if sent is None else sent
    return x + 1


def wild(x):
    y = x * x
    z = y * y - y * y
    return z + 1.0, -z, z * 0.0


def nested(x, other):
    return (x * 2 + other(x)) * (x + 1) - (x * 3 - other(x - 1)) * 2


def changed(value):
    x = 3
    y = x * 2
    frame = sys._getframe()
    if sys.version_info >= (3, 13):
        frame.f_locals["x"] = value
    return (x + x) * y


def items(values):
    for i in range(len(values) - 1):
        values[i + 1] = values[i] + values[i + 1] * 2
        values[i] -= 1
    return values


def main():
    loop(60)
    seen = []
    for x in [
        1,
        2.5,
        True,
        3,
        Small(4),
        "text",
        [1],
        (2,),
        Strange(seen),
        5,
        1 << 70,
        -(1 << 40),
        2**19,
        float("inf"),
        float("nan"),
    ]:
        doubled(x)
    for x, count in [(1, 100), (0.5, 900), (7, 50)]:
        grows(x, count)
    for x in [4, 2.5, True]:
        raises(x)
    generator = suspended(5)
    next(generator)
    generator.send(2.5)
    generator.send("ab")
    try:
        generator.send(3)
        generator.send([1])
    except (StopIteration, TypeError):
        pass
    list(suspended(4))
    wild(2.0)
    wild(1e300)
    wild(3)
    nested(3, doubled)
    nested(3.5, doubled)
    nested(2, lambda x: x)
    nested(1, lambda x: Small(x))
    changed(7)
    changed("ab")
    for _ in range(5):
        items([i * 1.5 for i in range(20)])
        items(list(range(30)))
    items([Small(2), 3, 2.5, Small(1), True, 2])


main()
with contextlib.suppress(TypeError):
    items(["a", "b", "c"])
for _ in range(4):
    main()
