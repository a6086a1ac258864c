"""New objects of every usual kind, alive for a moment or for long, and frames that start or go on above C code or the making of an instance."""

import itertools
from collections import namedtuple

ROUNDS = 24


class Pair:
    def __init__(self, one, other):
        self.one = one
        self.other = other

    def sum(self):
        return self.one + self.other


class Slots:
    __slots__ = ("first", "second")

    def __init__(self, first):
        self.first = first
        if first:
            self.second = [first]


class Both(Slots):
    """Members and attributes."""

    def __init__(self, first):
        super().__init__(first)
        self.third = Pair(first, {first})


Point = namedtuple("Point", "x y")


def made():
    kept = []
    for number in range(ROUNDS):
        one = Pair(number, 1.5)
        other = Slots(number), Both(number), Slots(0)
        bound = one.sum
        items = [number, one, None, True, "text", (number, items_of(number))]
        point = Point(number, items)
        text = f"{number} in full, with so many words that it does not fit into a short record: {'word ' * number}"
        cells = [lambda at=at, number=number: (at, number, kept) for at in range(2)]
        some = {number, text}, {text: number}, frozenset([number]), bytes([number]), bytearray(number), range(number)
        more = slice(number), complex(number), iter(items), ValueError(text, number), 1 << number, b"%d" % number
        if number % 5 == 0:
            kept.append((one, other, bound, items, point, cells, some, more))
        one = other = bound = items = point = some = more = None
        result = [cell() for cell in cells]
        assert [one[:2] for one in result] == [(0, number), (1, number)]
    return kept


def items_of(number):
    return tuple([number] * (number % 20))


def cyclic():
    for number in range(ROUNDS):
        held = [number]
        outer = (held, number)
        held.append(outer)
        again = outer[0][1]
        assert again is outer
        inner = ((outer, held), outer)
        held.clear()
        del outer, inner


def classes():
    """Classes die, and others take their places."""
    for number in range(ROUNDS):
        made = type(f"Class{number % 3}", (Pair,) if number % 2 else (), {"__slots__": ("a", "b")[: number % 3]})
        objects = [made(number, 2) if number % 2 else made() for _ in range(3)]
        del made
        first = objects[0]
        objects.clear()
        del first


def many(a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q):
    return a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q


def many_at_once():
    for number in range(ROUNDS):
        values = (number, f"{number}", (number, 1), [number], -number, 1.0 + number, {number: 1}, (1 << 40) + number)
        result = many(*values, *([value] for value in values))
        assert len(result) == 16


def count(limit):
    for at in range(limit):
        yield at, [at]


def handed_on(limit):
    yield from count(limit)
    yield "end"


def driven():
    for number in range(ROUNDS):
        some = tuple(count(3)), list(handed_on(2)), sum(at for at, _ in count(number % 4))
        ended = next(count(2)), next(handed_on(0)), dict(count(0)), max(count(2))
        pairs = list(zip(count(2), handed_on(3), strict=False))
        both = [(one, other) for one in count(2) for other in count(1)]
        left = count(5), handed_on(5)
        next(left[0]), next(left[1]), next(left[1])
        chained = sorted(itertools.chain(left[0], count(1)))
        instances = [Pair(*one) for one in zip(count(2), count(2), strict=True)]
        made = list(map(Slots, range(2))), list(map(Pair, "ab", "cd"))
        assert (len(some[0]), len(pairs), len(both), len(chained)) == (3, 2, 2, 5)
        del ended, left, instances, made


def nested(depth):
    """Generators in generators in C code."""
    if depth:
        yield from tuple(nested(depth - 1))
        yield Pair(depth, tuple(Slots(one) for one in range(depth)))
    yield depth


def permutations(items, length=None):
    items = tuple(items)
    length = len(items) if length is None else length
    if length == 0:
        yield ()
        return
    for at, item in enumerate(items):
        for rest in permutations(items[:at] + items[at + 1 :], length - 1):
            yield (item, *rest)


def closed():
    for number in range(ROUNDS):
        running = handed_on(number)
        try:
            for one in running:
                if one == "end" or one[0] == 2:
                    break
            running.close()
            running.throw(ValueError(number))
        except ValueError as error:
            assert error.args == (number,)


class Raises:
    def __init__(self, number):
        self.number = number
        if number % 3 == 0:
            raise ValueError(number)


def fails():
    caught = []
    for number in range(ROUNDS):
        try:
            caught.append(Raises(number))
        except ValueError as error:
            caught.append(error.args)
    assert len(caught) == ROUNDS


for _ in range(2):
    kept = made()
    cyclic()
    classes()
    many_at_once()
    driven()
    assert len(list(nested(5))) == 11
    assert len({tuple(one) for one in permutations(range(5))}) == 120
    closed()
    fails()
