"""A program for debuggers: test_bdb.py steps through it."""


def count(n):
    total = 0
    for i in range(n):
        total += i
    while total > 100: total -= 7  # fmt: skip  # noqa: E701
    for _ in range(3): total += 1  # fmt: skip  # noqa: E701
    return total


def numbers(n):
    for i in range(n):  # noqa: UP028
        yield i
    return n


def delegate(n):
    last = yield from numbers(n)
    yield last


def fails(n):
    if n > 1:
        raise ValueError(n)
    return n


def handles(n):
    try:
        fails(n)
    except ValueError:
        result = -1
    else:
        result = 1
    finally:
        count(2)
    return result


def recursive(n):
    if n == 0:
        return 1
    return n * recursive(n - 1)


class Context:
    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return True


def contexts():
    with Context():
        fails(5)
    return [
        recursive(i)
        for i in range(3)
    ]  # fmt: skip


def thrown():
    generator = numbers(3)
    next(generator)
    try:  # noqa: SIM105
        generator.throw(KeyError("thrown"))
    except KeyError:
        pass
    return sorted([3, 1, 2], key=lambda x: -x)


def joined(n):
    return n == 0 or joined(n - 1)


def main():
    count(4)
    list(delegate(3))
    handles(1)
    handles(2)
    contexts()
    thrown()
    joined(2)
    return count(20)
