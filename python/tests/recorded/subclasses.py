"""Instances of subclasses of built-in containers, and those of `collections`: what is in them changes, and so do their attributes."""

import collections
import os
import time
import types


class Names(list):
    def __init__(self, *names):
        super().__init__(names)
        self.added = 0

    def append(self, name):
        super().append(name)
        self.added += 1


class Config(dict):
    __slots__ = ("path",)

    def __missing__(self, key):
        self[key] = key * 2
        return self[key]


class Tags(set):
    pass


class Frozen(frozenset):
    pass


class Row(tuple):
    def total(self):
        return sum(self)


class Queue(collections.deque):
    pass


Point = collections.namedtuple("Point", "x y")


def lists():
    names = Names("a")
    names.append("b")
    names.extend(["c", "d"])
    names.added = 7
    names[0] = "z"
    del names[1]
    names.sort()
    names.other = names
    del names.other
    names *= 2
    return names


def dicts():
    config = Config(one=1)
    config.path = "somewhere"
    config["two"] = 2
    config["one"] += 10
    value = config["missing"]
    config.update(three=3, one=0)
    del config["two"]
    config.path = None
    config.pop("three")
    return config, value


def collected():
    counts = collections.Counter()
    for letter in "abracadabra":
        counts[letter] += 1
    counts.update("xyz")
    counts.subtract({"a": 3})
    most = counts.most_common(1)
    groups = collections.defaultdict(list)
    for word in ("one", "two", "three"):
        groups[len(word)].append(word)
    groups[9]
    return counts, most, groups


def ordered():
    order = collections.OrderedDict.fromkeys("abcd", 0)
    order.move_to_end("a")
    order["e"] = 1
    order.move_to_end("d", last=False)
    first = order.popitem(last=False)
    order.note = "of the program"
    order["b"] = order
    order.pop("b")
    large = collections.OrderedDict((number, -number) for number in range(200))
    large.move_to_end(3)
    large[500] = 1
    large.move_to_end(500, last=False)
    return order, first, large


def queues():
    queue = collections.deque([1, 2, 3], maxlen=5)
    queue.append(4)
    queue.appendleft(0)
    queue.append(5)
    left = queue.popleft()
    queue.rotate(2)
    queue[0] = "first"
    queue.insert(1, "second") if len(queue) < 5 else None
    long = collections.deque(range(300))
    for _ in range(70):
        long.popleft()
    long.extendleft("abc")
    own = Queue("xy")
    own.name = "own"
    own.append(own)
    own.clear()
    return queue, left, long, own


def sets():
    tags = Tags(["a", "b"])
    tags.add("c")
    tags.owner = "me"
    tags |= {"d"}
    tags.discard("a")
    frozen = Frozen([1, 2])
    frozen.note = [3]
    frozen.note.append(4)
    return tags, frozen


def tuples():
    point = Point(1, y=2)
    moved = point._replace(x=5)
    row = Row([1, 2, 3])
    row.label = "numbers"
    row.label = row.label.upper()
    empty = Row()
    empty.label = row
    status = os.stat_result(range(10))
    return point.x + moved.x, row.total(), empty, status, time.gmtime(0)


class Key:
    """Equal to others: looking one up runs code of the program while an `OrderedDict` is half changed."""

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return 1

    def __eq__(self, other):
        return isinstance(other, Key) and self.number == other.number


def keys():
    order = collections.OrderedDict()
    for number in (1, 2, 3, 1):
        order[Key(number)] = number
    order.move_to_end(Key(2))
    del order[Key(3)]
    return list(order.values())


def other_class():
    names = Names("a")
    names.__class__ = type("Others", (Names,), {})
    names.append("b")
    space = types.SimpleNamespace(names=names)
    space.names.append("c")
    return names


def many():
    rows = []
    for number in range(500):
        rows.append(Point(number, Row([number])))
        if len(rows) > 5:
            rows.pop(0)
    return rows


print(lists(), *dicts(), *collected())
order, first, large = ordered()
print(first, list(order), len(large), list(large)[:3])
print(*queues()[:2])
print(sorted(sets()[0]), *tuples()[:2])
print(keys(), other_class(), many())
