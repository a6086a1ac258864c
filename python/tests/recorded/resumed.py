"""Generators that go on where others have stood: at the address or in the place of one that is gone, deeper than before, and where a function has been called meanwhile."""


def chain(depth, values):
    if depth:
        sent = yield from chain(depth - 1, values)
        sent = yield -depth if sent is None else len(sent)
        return sent
    sent = None
    for value in values:
        sent = yield value
    return sent


def called(value):
    return value + 1


def deeper(depth, one, upto):
    """The next values of `one`, which goes on above so many more frames."""
    if depth:
        return deeper(depth - 1, one, upto)
    total = 0
    for value in one:
        total += value
        if value == upto:
            break
    return total


def one_after_the_other():
    total = 0
    for turn in range(40):
        for value in chain(turn % 4, range(3)):
            total += value
            if turn % 3 == 0:
                total += called(value)
    return total


def in_turns():
    """All go on in one place."""
    total, going = 0, [chain(depth, range(5)) for depth in (0, 1, 2, 1, 0, 3)]
    for turn in range(24):
        for one in going:
            for value in one:
                total += value
                break
            total += next(one, 0) if turn % 4 == 1 else 0
        if turn % 5 == 4:
            going[turn % 6] = chain(turn % 3, range(4))
    return total


def left():
    """One is gone in the middle, and the next one has its memory."""
    total = 0
    for turn in range(30):
        one = chain(turn % 3, range(9))
        total += deeper(turn % 2, one, 2)
        total += deeper(turn % 4, one, 5)
        del one
        total += deeper((turn + 1) % 4, chain(turn % 2, range(4)), 9)
    return total


def by_c():
    total = sum(chain(2, range(6)))
    for pair in zip(chain(1, range(5)), map(called, chain(2, range(5))), strict=False):
        total += sum(pair)
    for turn in range(5):
        total += len(list(chain(turn, "a" * turn and range(turn))))
    return total


def sent():
    total = 0
    for depth in range(4):
        one = chain(depth, range(9))
        total += next(one)
        for values in ([], None, [1], (), None, [None]):
            total += one.send(values)
        try:
            one.throw(KeyError)
        except KeyError:
            total += 1
        other = chain(depth, range(9))
        for value in other:
            if value == 3:
                other.close()
        total += deeper(depth, other, 0)
    return total


for _ in range(3):
    print(one_after_the_other(), in_turns(), left(), by_c(), sent())
