"""What instructions store into one place of an object, and what changes more of it: looked for where it has been stored, and everywhere else if that is not all."""

import functools
import operator
import sys
import weakref

VALUES = [
    0,
    7,
    300,
    -(1 << 29),
    1 << 30,
    1 << 62,
    1 << 90,
    0.5,
    -0.0,
    float("nan"),
    None,
    True,
    "text",
    (),
    (1, "a"),
    [],
    {},
    2j,
    ...,
]


class Plain:
    def __init__(self, a, b=None):
        self.a = a
        self.b = b
        self.c = 0


class Late(Plain):
    """Its attributes come in different orders."""

    def __init__(self, turn):
        if turn % 2:
            self.z = turn
        super().__init__(turn)
        self.y = self
        if turn % 3:
            self.x = [turn]


class Slots:
    __slots__ = ("__weakref__", "one", "three", "two")

    def __init__(self, one):
        self.three = one
        self.one = self.two = None


class Both(Slots):
    def __init__(self, one):
        super().__init__(one)
        self.more = one


class Key(int):
    pass


class Listed(list):
    def __setitem__(self, index, value):
        super().__setitem__(index, value)
        super().__setitem__(0, index)


def store(one, value):
    one.a = value
    one.b = value
    one.c = one.a


def put(listed, index, value):
    listed[index] = value
    return listed


def member(one, value):
    one.two = value
    one.one = one.two


def values():
    plain, late, listed, slots, both = Plain(1), Late(1), [None] * 5, Slots(2), Both(3)
    for value in VALUES * 3:
        for one in (plain, late):
            store(one, value)
        for index in (0, 3, -1, True, Key(2)):
            put(listed, index, value)
        member(slots, value)
        member(both, [value])
        both.more = value
        listed[1], listed[2] = listed[2], listed[1]
        plain.a = plain.b = listed
        Plain(1).a = value
    for listed in ([0] * 15, [0] * 16, [0] * 17, [0] * 40, Listed([1, 2, 3])):
        for turn in range(20):
            put(listed, turn % 3, turn * 0.5)
            put(listed, -1, turn)
            try:
                put(listed, 99, turn)
            except IndexError:
                listed[-2] = "end"
    return plain, late, listed, slots, both


def coming():
    found = [Late(turn) for turn in range(24)]
    for turn, one in enumerate(found):
        one.c = turn
        del one.b
        one.b = one
        one.a = one.y
    for turn in range(40):
        setattr(found[0], f"name{turn}", turn)
        found[0].a = turn
        found[1].b = found
    return found


def classes():
    """What a class says of its attributes changes while a place stores them."""

    class One(Plain):
        pass

    class Other(Plain):
        def __setattr__(self, name, value):
            object.__setattr__(self, "b", [name])
            object.__setattr__(self, name, value)

    def set_both(self, value):
        self.__dict__["b"] = value
        self.__dict__["c"] = [value]

    one, other = One(1), Other(2)
    for turn in range(60):
        store(one, turn)
        if turn % 20 == 7:
            One.a = property(lambda self: self.__dict__["c"], set_both)
        elif turn % 20 == 9:
            del One.a
        elif turn % 20 == 11:
            One.__setattr__ = Other.__setattr__
        elif turn % 20 == 13:
            del One.__setattr__
        store(other, turn)
    slots = Slots(1)
    kept = Slots.two
    for turn in range(60):
        member(slots, turn)
        if turn % 20 == 10:
            Slots.two = property(lambda self: self.one, lambda self, value: kept.__set__(self, [value]))
        elif turn % 20 == 15:
            Slots.two = kept
    # As many versions as a type may have (3.13).
    for turn in range(1100):
        One.d = turn
        assert one.d == turn
        if turn % 50 == 0:
            store(one, turn)
    store(one, 1)
    return one, other, slots


def becomes():
    """An object becomes one of another class, whose attributes are told otherwise."""

    class Told(Plain):
        def __setattr__(self, name, value):
            object.__setattr__(self, "c", [name])
            object.__setattr__(self, name, value)

    one = Plain(1)
    for turn in range(60):
        store(one, turn)
        one.__class__ = (Plain, Told)[turn % 20 > 12]


def handed_out():
    for turn in range(24):
        one, same = Plain(turn), Plain(0)
        store(one, turn)
        attributes = vars(one)
        store(one, attributes if turn % 2 else turn)
        attributes["b"] = "from outside"
        store(one, turn * 0.5)
        attributes["d"] = one
        one.a = 1
        if turn % 3 == 0:
            one.__dict__ = {"c": 1, "b": 2, "a": 3}
        elif turn % 3 == 1:
            attributes.clear()
        store(one, None)
        del one.a
        store(one, same)
        same.__dict__ = attributes
        store(same, one)
        one.c = 5


class Dying:
    def __init__(self, ends=None):
        self.ends = ends

    def __del__(self):
        if self.ends is not None:
            self.ends()


def dying():
    """What dies when another value takes its place changes the same object: by code that is seen, and by code that is not."""
    for turn in range(40):
        one, listed, slots = Plain(turn), [None] * 6, Slots(turn)
        changes = [
            functools.partial(setattr, one, "b", turn),
            functools.partial(setattr, one, "new", turn),
            functools.partial(setattr, slots, "one", [turn]),
            functools.partial(operator.setitem, listed, 1, turn),
            functools.partial(listed.append, turn),
            listed.reverse,
            listed.pop,
            lambda one=one: setattr(one, "c", one),
            lambda listed=listed, turn=turn: listed.__setitem__(2, turn),
        ]

        class Seen:
            pass

        class Unseen:
            __del__ = staticmethod(changes[turn % len(changes)])

        for value in (Dying(changes[turn % len(changes)]), Unseen(), Seen(), Seen()):
            store(one, None)
            one.a = value
            member(slots, None)
            slots.two = value
            put(listed, 0, value)
            reference = weakref.ref(value, functools.partial(operator.setitem, listed, 2))
            other = weakref.ref(value, functools.partial(setattr, one, "c"))
            del value
            one.a = turn
            put(listed, 0, turn)
            # Now nothing else refers to it.
            slots.two = turn
            one.b = one.c
            put(listed, -1, 0)
        del reference, other


def fresh():
    """Others come to live where one has died."""
    one, listed = Plain(0), [0, 0, 0]
    for turn in range(200):
        one.a = Plain(turn)
        one.b = Plain(one.a)
        put(listed, turn % 3, Plain(listed))
        one.a.b = listed
        one.a.a = [turn]
        if turn % 7 == 0:
            one = Plain(one.b)


PARTS = [values, coming, classes, handed_out, dying, fresh, becomes]
for part in [PARTS[int(number)] for number in sys.argv[1:]] or PARTS:
    part()
