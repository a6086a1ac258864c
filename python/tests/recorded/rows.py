"""Rows of every length: each place changes alone, together with another one in the same instruction, and not at all."""

import functools
import sys
import weakref

LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 20)


class Old:
    """Dropped by what replaces it."""


def values(at):
    return at, at + 256, -at - 6, at / 2, at % 2 == 0, None, str(at), (at,), 1 << (at + 60)


def bare(names):
    return type("Bare", (), {})


def slotted(names):
    return type("Slotted", (), {"__slots__": names})


def made(make, count):
    """Instances of a class of their own: all of them have all attributes, the last one but the first."""
    names = [f"name{at}" for at in range(count)]
    one = make(names)()
    other = one.__class__()
    for at, name in enumerate(names):
        setattr(one, name, at)
    for name in reversed(names):
        setattr(other, name, name)
    return names, one, other


def attributes(make, materialised):
    for count in LENGTHS:
        names, one, other = made(make, count)
        if materialised:
            vars(one)["more"] = 1
        for at, name in enumerate(names):
            for value in values(at):
                setattr(one, name, value)
                setattr(other, name, one)
                setattr(one, name, value)
            delattr(other, name)
            setattr(other, name, at)
            # Two places change in one instruction: what is dropped calls C code that sets the other one.
            for then in {names[0], names[at], names[-1]}:
                old = Old()
                setattr(one, name, old)
                told = weakref.ref(old, functools.partial(setattr, one, then))
                old = None
                setattr(one, name, told)


def items():
    for count in LENGTHS:
        row = [None] * count
        for at in range(count):
            for value in values(at):
                row[at] = value
                row[at] = value
            for then in {0, at, count - 1}:
                old = Old()
                row[at] = old
                told = weakref.ref(old, functools.partial(row.__setitem__, then))
                old = None
                row[at] = told
            old = Old()
            row[at] = old
            told = weakref.ref(old, row.append)
            old = None
            row[at] = at
            row.pop()
            row[0], row[-1] = row[-1], row[0]
            row[: at + 1] = row[at::-1]


def pairs(key):
    for count in LENGTHS:
        row = {key(at): None for at in range(count)}
        for at in range(count):
            for value in values(at):
                row[key(at)] = value
                row[key(at)] = value
            for then in {0, at, count - 1}:
                old = Old()
                row[key(at)] = old
                told = weakref.ref(old, functools.partial(row.__setitem__, key(then)))
                old = None
                row[key(at)] = told
            row[key(at)] = row.pop(key(at))


class Straight:
    """Attributes set by instructions of their own, with few captures and many, expected and not."""

    def __init__(self, at):
        self.number = at
        self.fraction = at / 3
        self.holds = at % 3 == 0
        self.other = None

    def turn(self, at, other):
        self.number += at << (at % 40)
        if at % 3:
            self.holds = not self.holds
        elif at % 5:
            self.other = other
            self.fraction = self.fraction * 2 + self.number % 7
        self.other = self.other
        for self.number in (at, -at):
            self.other.number, self.other.fraction = self.number, at
        return self


class Slim(Straight):
    __slots__ = ("first", "second")


class Flat:
    __slots__ = ("fraction", "holds", "number", "other")
    __init__, turn = Straight.__init__, Straight.turn


def straight():
    for kind in (Straight, Slim, Flat):
        turning = [kind(at) for at in range(5)]
        for one in turning:
            one.other = one
        for at in range(60):
            turning[at % 5].turn(at, turning[at % 3])
            if at % 9 == 0:
                turning[at % 5] = kind(at).turn.__self__
                turning[at % 5].other = turning[at % 4]
                for one in turning:
                    one.other = one.other or one
        for one in turning:
            for then in ("number", "fraction", "holds", "other"):
                # Two attributes change in one instruction.
                old = Old()
                one.other = old
                told = weakref.ref(old, functools.partial(setattr, one, then))
                old = None
                one.other = told
                one.holds = one.other is told


PARTS = [
    functools.partial(attributes, bare, False),
    functools.partial(attributes, bare, True),
    functools.partial(attributes, slotted, False),
    items,
    functools.partial(pairs, str),
    functools.partial(pairs, int),
    straight,
]
# All of them do not fit into one chunk.
for part in map(int, sys.argv[1:] or range(len(PARTS))):
    PARTS[part]()
print("done")
