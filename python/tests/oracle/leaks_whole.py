"""A program that runs one feature thousands of times while the whole program is traced, and prints by how much it grew.

Run with the name of a feature and that of an engine; the output is that of leaks.py, of ROUNDS or 150 rounds.
"""

import contextlib
import functools
import gc
import json
import sys
import warnings
import weakref

import debugop
import leaks

try:
    import _interpreters
except ImportError:
    # 3.12 and older send nothing but text.
    OTHER = None
else:
    OTHER = _interpreters.create() if "looked_at_and_sent" in sys.argv else None

# Longer than it takes an engine to let go of the code that it has seen.
ROUNDS = 4000
# The callback of what counts only: records would accumulate, as they should.
START = functools.partial(debugop.start, lambda step: None, include=["__main__", "<*"])


def functions(x):
    def made(y):
        return [lambda: (x, y), y]

    made(1)[0]()


def classes(x):
    class Made:
        one = x

        def method(self):
            return self.one

    Made().method()


def texts(x):
    exec("def f(): return [n for n in range(2)]\nf()", {})
    eval("[x for x in (1, 2)]")
    exec(compile("class A:\n def f(self): return 1\nA().f()", "<made>", "exec"), {})


TURNS = iter(range(10**9))


def different_texts(x):
    exec(f"def f(): return {next(TURNS)}\nf()", {})


def generators(x):
    def numbers():
        try:
            yield x
            yield 2
        finally:
            pass

    list(numbers())
    abandoned = numbers()
    next(abandoned)
    del abandoned


def exceptions(x):
    def fails():
        try:
            raise KeyError(x)
        finally:
            [x][0]

    with contextlib.suppress(KeyError):
        fails()


def replaced(x):
    def one():
        return 1

    def two():
        return 2

    one.__code__ = two.__code__
    one()
    two.__code__ = two.__code__.replace(co_name="three")
    two()


def left_out(x):
    def one():
        return 1

    made = type(one)(one.__code__.replace(co_linetable=b""), {})
    made()


def cycles(x):
    class Node:
        def __del__(self):
            return None

    node = Node()
    node.self = node
    weak = weakref.ref(node, lambda _: None)
    node.weak = weak


def looked_at_and_sent(x):
    def made():
        pass

    made()
    suspended = generators_before()
    next(suspended)
    sys.getsizeof(suspended), sys.getsizeof(suspended.gi_frame)
    if next(TURNS) % 32 == 0:
        gc.get_referrers(made.__code__)
    if OTHER is not None:
        _interpreters.exec(OTHER, made)
        _interpreters.run_func(OTHER, func=made)
        _interpreters.call(OTHER, made)


CONTINUED = [
    functions,
    classes,
    texts,
    different_texts,
    generators,
    exceptions,
    replaced,
    left_out,
    cycles,
    looked_at_and_sent,
]


def started_and_stopped(x):
    START(engine=sys.argv[2])
    functions(x)
    texts(x)
    debugop.stop()


def started_in_the_middle(x):
    def numbers():
        yield 1
        START(engine=sys.argv[2])
        yield 2
        debugop.stop()

    suspended = generators_before()
    next(suspended)
    list(numbers())
    list(suspended)


def generators_before():
    yield 1
    yield 2


def growth(feature, rounds=ROUNDS):
    """The least there is at any time of the second half, less that of the first.

    Engines let go of code only when there is twice as much as the last time, so what there is goes up and down by tens of thousands of
    blocks, and only what is left when they have done so can be compared. It is looked at in every round, or the moment would be missed.
    """
    argument = object()
    halves, references = [], []
    for _ in range(2):
        least = {}
        for turn in range(rounds):
            feature(argument)
            now = {"blocks": sys.getallocatedblocks(), "bytes": leaks.allocated()}
            if turn % 800 == 0:
                now = leaks.measure(argument)
                references.append(now.pop("references"))
            for name, value in now.items():
                least[name] = value if value is None else min(value, least.get(name, value))
        halves.append(least)
    first, second = halves
    grown = {name: None if value is None else second[name] - value for name, value in first.items()}
    return grown | {"references": any(one != references[0] for one in references)}


if __name__ == "__main__":
    name, engine = sys.argv[1:]
    feature = globals()[name]
    if feature in CONTINUED:
        trace = START(engine=engine)
        try:
            # What is kept of recent code is bounded; it has to be full first.
            for turn in range(ROUNDS):
                feature(turn)
            grown = growth(feature)
        finally:
            # It warns of the code that was left out.
            warnings.simplefilter("ignore")
            trace.stop()
    else:
        grown = leaks.growth(feature, rounds=150)
    if OTHER is not None:
        _interpreters.destroy(OTHER)
    gc.collect()
    print(json.dumps(grown))
