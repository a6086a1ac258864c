"""What is written by the shortest way: ints of every length, changes of one part of an object, generators that go on."""

EDGES = [sign * ((1 << bits) + by) for bits in (0, 6, 13, 30, 60, 63, 64, 90) for by in (-1, 0, 1) for sign in (-1, 1)]


def ints():
    total = 0
    for edge in EDGES:
        total = (total ^ edge) + edge
        other = total - edge
    return total, other


class Plain:
    def __init__(self, value):
        self.value = value
        self.other = None


def parts():
    listed, keyed, plain, shown = [0, None, ()], {"a": 0, "b": None}, Plain(0), Plain(1)
    vars(shown)["more"] = 2
    by_number = {1: 0, "b": 1}
    for edge in EDGES:
        for value in (edge, float(edge), (edge,), str(edge), edge > 0, None, listed):
            listed[1] = value
            keyed["b"] = value
            by_number["b"] = value
            plain.value = value
            shown.more = value
            listed[1] = None
    return listed, keyed, by_number, plain, shown


def keys():
    keyed = {"a": 1, "b": 2, "c": 3}
    for turn in range(20):
        keyed["b"] = turn
        del keyed["a"]
        keyed["c"] = -turn
        keyed["a"] = turn * 0.5
        keyed[turn] = keyed.pop("b")
        keyed["b"] = keyed
        keyed.pop(turn)
    return keyed


def tuples():
    """`zip` uses its tuple again, with the same items and with others."""
    found = []
    for pair in zip("abcabc" * 5, [1 << 40, 2.5, None] * 10, strict=True):
        left, right = pair
        found.append(left)
        found.append(right)
    for pair in enumerate(zip([object() for _ in range(30)], [[]] * 30, strict=True)):
        found = [pair]
    return found


def count(depth, upto):
    if depth:
        sent = yield from count(depth - 1, upto)
        return sent
    for number in range(upto):
        sent = yield number, (number * number,)
    return sent


def suspended():
    total = 0
    for depth in range(4):
        for number, (square,) in count(depth, 30):
            total += number * square
    one, other = count(1, 9), count(2, 9)
    for _ in range(9):
        total += next(one)[0] + next(other)[0]
    going = count(1, 5)
    going.send(None)
    for at in range(4):
        going.send([at])
    one.close()
    return total


def dying():
    """An attribute's new object lives where the old one lived."""
    plain, listed = Plain(None), [None, None]
    for turn in range(50):
        plain.value = Plain(turn)
        listed[0] = [turn]
        listed[1] = (turn, [turn])
        plain.other = plain.value.value
        plain.value = None
    return plain, listed


for _ in range(3):
    ints()
    parts()
    keys()
    tuples()
    suspended()
    dying()
