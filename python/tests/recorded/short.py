"""What is written by the shortest way: ints of every length, changes of an object, generators that go on."""

import sys

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


def grown():
    """Across the number of parts that are recorded, and back."""
    listed, mixed, keyed, by_number, members = [], [None], {}, {}, set()
    for turn in range(24):
        listed.append(turn << 29)
        mixed.append((turn, str(turn), None, 0.5 * turn, listed)[turn % 5])
        keyed[str(turn)] = turn
        by_number[turn * 1.5] = [turn]
        members.add(turn << 60)
    for turn in range(24):
        mixed[-1], mixed[0] = mixed[0], mixed[-1]
        mixed.pop()
        listed[3:5] = listed[: turn % 4]
        listed.reverse()
        if listed:
            listed.pop(0)
        members.discard(turn << 60)
        members.add(str(turn))
        by_number.pop(turn * 1.5)
    return listed, mixed, keyed, by_number, members


class Slots:
    __slots__ = ("one", "three", "two")


class More(Slots):
    __slots__ = ("a_fifth", "four")

    def __init__(self, value):
        self.four = value
        self.one = None
        self.three = self


class WithDict(More):
    def __init__(self, value):
        super().__init__(value)
        self.six = value


class Many:
    __slots__ = tuple(f"slot{number}" for number in range(20))


def slots():
    for edge in EDGES:
        plain, more, with_dict, many = Slots(), More(edge), WithDict(edge), Many()
        for one in (plain, more, with_dict):
            one.two = edge
            one.one = [one.two]
            one.two = one.one
            del one.one
            one.three = None
            one.two = more
        with_dict.six = with_dict.seven = plain
        for number in (3, 1, 17, 19, 4):
            setattr(many, f"slot{number}", edge)
            many.slot0 = number
        more.a_fifth = (many, with_dict)


def attributes():
    """In an order of their own, and more than the others have."""
    for turn in range(30):
        one = Plain.__new__(Plain)
        if turn % 3:
            one.third = turn
        one.other = [turn]
        one.value = one.other
        if turn % 5 == 4:
            del one.other
            one.fourth = None
        one.other = turn
    many = Plain(0)
    for turn in range(20):
        setattr(many, f"attribute{turn}", turn)
        many.value = turn
    return one, many


def named():
    """Functions with names of every kind."""
    made = []
    for name in ("plain", "\ud800", "\xe4", "\0", "a" * 400, type("Text", (str,), {})("text")):

        def function(name=name):
            return name

        function.__qualname__ = name
        made.append(function)
        made[-1]()
    return made


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


class Listed(list):
    pass


class Keyed(dict):
    __slots__ = ("known",)


def subclasses():
    """Without attributes, until they get some."""
    listed, other, keyed = Listed(), Listed([1]), Keyed()
    for turn in range(20):
        listed.append(turn)
        keyed[turn] = listed
        other.remove(other[0])
        other.append(listed)
        if turn == 9:
            listed.first = keyed.known = other
        if turn == 14:
            del listed.first
            listed.second = turn
            vars(other)
    return listed, other, keyed


def again():
    """Tuples and objects that have been captured before, behind others and before new ones."""
    pair, longer, nested = (1, 0.5), tuple(range(1 << 40, (1 << 40) + 20)), ((), (None, [1 << 62]))
    found = {}
    for turn in range(12):
        for one in (pair, longer, nested, nested[1], (turn, pair), found, turn << 57):
            first, second = one, pair
            found[turn % 3] = first
            found["last"] = (second, one, longer, turn << 58, nested)
            one = second, first
    return found


def churned():
    """Objects stay as they are, or change in one place, while others die near those that they refer to."""
    kept = [Plain([number]) for number in range(12)]
    holders = [Plain(one) for one in kept]
    for turn in range(60):
        gone = [Plain(number) for number in range(turn % 9)]
        holder = holders[turn % 12]
        holder.other = turn
        holders[-1].value = kept[turn % 5]
        kept[turn % 12].value.append(len(gone))
        if turn % 15 == 14:
            kept[turn % 12] = Plain([gone.pop() if gone else None])
    return holders, kept


# How often is given, or three times: so much does not fit into one chunk.
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
    ints()
    parts()
    keys()
    tuples()
    suspended()
    grown()
    slots()
    attributes()
    named()
    dying()
    subclasses()
    again()
    churned()
