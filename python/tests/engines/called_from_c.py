"""Functions that the interpreter and its C modules call."""

import array
import atexit
import bisect
import contextvars
import ctypes
import functools
import gc
import heapq
import itertools
import json
import operator
import pickle
import re
import signal
import sqlite3
import sys
import threading
import weakref


def key(x):
    return -x


class Deleted:
    def __del__(self):
        print("deleted")


class Reduced:
    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        return Reduced, (self.value,)


class Hashed:
    def __init__(self, value):
        self.value = value

    def __hash__(self):
        return hash(self.value)

    def __eq__(self, other):
        return self.value == other.value


class Sum:
    """An aggregate of sqlite3."""

    def __init__(self):
        self.total = 0

    def step(self, value):
        self.total += value

    def finalize(self):
        return self.total


class Iterated:
    def __iter__(self):
        self.left = 3
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return self.left

    def __len__(self):
        return 3

    def __contains__(self, item):
        return item == 1


def at_exit():
    print("at exit")


def on_signal(number, frame):
    print("signal", number == signal.SIGUSR1)


def replace(match):
    return match.group().upper()


def on_weakref(reference):
    print("gone", reference() is None)


def on_gc(phase, info):
    calls.append(phase)


def default(value):
    return str(type(value).__name__)


def hook(pairs):
    return dict(pairs)


def excepthook(arguments):
    print("a thread failed:", arguments.exc_type.__name__)


def fail():
    raise ValueError("in a thread")


def displayhook(value):
    print("shown", value)


def in_context():
    return variable.get()


def ticks():
    return next(counter)


calls = []
counter = itertools.count()
variable = contextvars.ContextVar("variable", default="outside")


def database():
    connection = sqlite3.connect(":memory:")
    connection.create_function("halve", 1, lambda x: x / 2)
    connection.create_aggregate("total_of", 1, Sum)
    connection.execute("create table t (x)")
    connection.executemany("insert into t values (?)", ((number,) for number in range(4)))
    print(connection.execute("select halve(x) from t order by x").fetchall())
    print(connection.execute("select total_of(x) from t").fetchone())
    connection.close()


def threads():
    threading.excepthook = excepthook
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    threading.excepthook = threading.__excepthook__


def main():
    print(sorted([3, 1, 2], key=key), max([1, 2], key=key), list(map(key, [1, 2])), list(filter(key, [0, 1])))
    print(functools.reduce(lambda a, b: a * b, [1, 2, 3]), re.sub("[a-c]", replace, "abcdef"))
    print(sorted([3, 1, 2], key=functools.cmp_to_key(lambda a, b: a - b)))
    print(pickle.loads(pickle.dumps(Reduced(4))).value, {Hashed(1): 2}[Hashed(1)])
    print(list(Iterated()), 1 in Iterated(), sum(Iterated()), tuple(Iterated()), [*Iterated()], bytes(Iterated()))
    a, *rest = Iterated()
    print(a, rest, dict.fromkeys(Iterated()), array.array("b", Iterated()), b"".join(bytes([x]) for x in [1, 2]))
    print(json.dumps([Reduced(1)], default=default), json.loads('{"a": 1}', object_pairs_hook=hook))
    print(
        list(itertools.starmap(lambda a, b: a + b, [(1, 2)])),
        [list(g) for _, g in itertools.groupby("aab", lambda c: c)],
    )
    print(
        heapq.nsmallest(1, [2, 1], key=key), bisect.bisect([1, 2], -1, key=key), list(itertools.takewhile(key, [1, 0]))
    )
    print(list(iter(ticks, 3)), operator.methodcaller("__len__")(Iterated()), all(x for x in Iterated()))
    database()
    threads()
    signal.signal(signal.SIGUSR1, on_signal)
    signal.raise_signal(signal.SIGUSR1)
    deleted = Deleted()
    reference = weakref.ref(deleted, on_weakref)
    del deleted
    print(reference())
    cycle = [Deleted()]
    cycle.append(cycle)
    del cycle
    gc.callbacks.append(on_gc)
    list(map(gc.collect, [2]))  # how much garbage there is depends on the engine
    gc.callbacks.remove(on_gc)
    print(calls)
    sys.displayhook = displayhook
    exec(compile("1 + 1", "shown", "single"))
    sys.displayhook = sys.__displayhook__
    context = contextvars.copy_context()
    context.run(variable.set, "inside")
    print(context.run(in_context), in_context())
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))(
        lambda a, b: a[0] - b[0]
    )
    numbers = (ctypes.c_int * 4)(4, 2, 3, 1)
    ctypes.CDLL(None).qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), compare)
    print(list(numbers))


gc.disable()
atexit.register(at_exit)
main()
