"""What calls a frame: an instruction, one that makes an instance, C code, code that is not recorded; with values pending and objects that change."""

import functools
import re


class Point:
    def __init__(self, x, y, log=None):
        self.x, self.y = x, y
        if log is not None:
            log.append(x)

    def __add__(self, other):
        return Point(self.x + other.x, self.y + other.y)

    def __lt__(self, other):
        return self.x < other.x

    def __eq__(self, other):
        return self.x == other.x

    def __hash__(self):
        return hash(self.x)

    def __iter__(self):
        yield self.x
        yield from (self.y,)

    def __len__(self):
        self.seen = True
        return 2

    @property
    def norm(self):
        return self.x * self.x


class Made(Point):
    """Made by C code that calls `__new__` and `__init__`."""

    def __new__(cls, *arguments):
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __init__(self, x, y):
        super().__init__(x, y)
        self.arguments = None


class Meta(type):
    def __call__(cls, log, *arguments):
        log.append("before")
        made = super().__call__(*arguments)
        log.append("behind")
        return made


class Odd(metaclass=Meta):
    def __init__(self, value):
        self.value = value


class Failing:
    def __init__(self, fails, log):
        log.append(fails)
        if fails:
            raise ValueError(log)


class Dying:
    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log.append(len(self.log))


def made():
    log = []
    total = Point(0, 0)
    for turn in range(30):
        # The first is pending while the others are made.
        total = Point(turn, turn * 0.5, log) + (Point(1, [turn], None) and Point(turn, 2))
        other = Made(turn, total)
        odd = Odd(log, turn)
        try:
            Failing(turn % 3 == 0, log)
        except ValueError as error:
            log.append(len(error.args))
        log.append(other.x + odd.value)
        Dying(log)
    return total, log


def driven():
    """Generators that C code lets go on, alone and in turns."""
    log = []
    for turn in range(8):
        squares = tuple(turn * number for number in range(5))
        found = {number + turn for number in squares}, frozenset(-number for number in squares)
        log.append(sum(len(one) for one in found))
        log += list(map(str, Point(turn, turn)))
        pairs = zip((number for number in range(4)), (str(number) for number in range(4)), strict=False)
        log.extend(text * number for number, text in pairs)
        any(log.append(number) for number in range(3))
    return log


def called_back():
    log = []

    def key(point):
        log.append(point.x)
        return -point.y

    points = [Point(number * 7 % 5, number) for number in range(9)]
    for turn in range(4):
        ordered = sorted(points, key=key)
        least = min(points), max(ordered, key=lambda point: point.x)
        found = dict.fromkeys(points, turn), points.index(Point(3, 0)), len(points[0])
        reduced = functools.reduce(lambda total, point: total + point.norm, points, 0)
        text = re.sub("[a-c]", lambda match: match[0] * 2, "abcd" * 3)
        log.append((least[0].x, len(found[0]), reduced, text))
        points[turn] = points[turn] + points[-1]
    return log, points


def nested(depth, log):
    """Values are pending at several depths."""
    if depth:
        return [depth, nested(depth - 1, log), str(depth) + str(len(nested(depth - 2, log) if depth > 1 else log))]
    log.append(depth)
    return log


def walk(tree):
    if tree:
        left, value, right = tree
        yield from walk(left)
        yield value
        yield from walk(right)


def grow(first, last):
    middle = (first + last) // 2
    return (grow(first, middle), middle, grow(middle + 1, last)) if first < last else None


def delegated():
    log = []
    for value in walk(grow(0, 40)):
        log.append(value)
    going = walk(grow(0, 9))
    for value in going:
        # Another one goes on where that one stands.
        log.append([value, *walk(grow(0, value))])
        if value == 6:
            going.close()
    # Generators that live where others have died.
    return log, [sum(walk(grow(0, number))) for number in range(12)], list(walk(grow(0, 20)))


def sent():
    def echo(log):
        got = None
        while got != 5:
            try:
                got = yield got, log
            except KeyError:
                log.append("thrown")

    log = []
    for _ in range(4):
        one = echo(log)
        next(one)
        for number in range(3):
            log.append(one.send(number)[0])
            one.throw(KeyError)
        for sending in (one.send,):
            log.extend(map(type, map(sending, range(6, 9))))
        one.close()
    return log


for _ in range(3):
    made()
    driven()
    called_back()
    nested(5, [])
    delegated()
    sent()
