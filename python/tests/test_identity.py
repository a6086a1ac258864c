"""Objects are told apart, also when one lives where another has lived, and nobody can notice."""

import array
import asyncio
import collections
import contextvars
import dataclasses
import datetime
import decimal
import functools
import gc
import io
import itertools
import os
import re
import subprocess
import sys
import textwrap
import threading
import types
import weakref

import debugop
import pytest
from debugop import _core


@pytest.fixture(scope="module", autouse=True)
def short_collections():
    """The tests collect often; what pytest and the libraries have made, most of the heap, is left out of it."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def identities():
    made = _core.Identities()
    yield made
    made.uninstall()


class Plain:
    def __init__(self):
        self.a = 1

    def method(self):
        return self


class Slots:
    __slots__ = ("a", "b")


class SlotsAndWeak:
    __slots__ = ("__weakref__", "a")


class SlotsAndDict:
    __slots__ = ("__dict__", "a")


class Finalised:
    def __del__(self):
        self.a = 2


class ListKind(list):
    pass


class TupleKind(tuple):
    __slots__ = ()


class DictKind(dict):
    pass


class StrKind(str):
    pass


class IntKind(int):
    pass


class ExceptionKind(Exception):
    pass


@dataclasses.dataclass
class Data:
    a: int = 1


Named = collections.namedtuple("Named", "a b")


def generator():
    yield 1


async def coroutine():
    pass


async def async_generator():
    yield 1


def closed_coroutine():
    made = coroutine()
    made.close()
    return made


def asend():
    made = async_generator().asend(None)
    made.close()
    return made


def frame():
    return sys._getframe()


def traceback():
    try:
        raise ValueError
    except ValueError as error:
        return error.__traceback__


def function():
    def inner():
        return inner

    return inner


PLAIN = Plain()
FIVE = [1, 2, 3, 4, 5]
COUNTER = itertools.count(1000)

MAKERS = {
    "list": lambda: [1, 2],
    "empty list": list,
    "listcomp": lambda: [x + 1 for x in FIVE],
    "tuple 1": lambda: (next(COUNTER),),
    "tuple 3": lambda: (next(COUNTER), 2, 3),
    "tuple 20": lambda: tuple([next(COUNTER)] * 20),
    "tuple 30": lambda: tuple([next(COUNTER)] * 30),
    "dict": lambda: {"a": next(COUNTER)},
    "empty dict": dict,
    "set": lambda: {1, 2},
    "frozenset": lambda: frozenset({next(COUNTER)}),
    "str": lambda: f"text {next(COUNTER)}",
    "wide str": lambda: f"\u20ac {next(COUNTER)}",
    "bytes": lambda: b"%d" % next(COUNTER),
    "bytearray": lambda: bytearray(b"text"),
    "object": lambda: object(),
    "instance": Plain,
    "slots": Slots,
    "slots and weak": SlotsAndWeak,
    "slots and dict": SlotsAndDict,
    "finalised": Finalised,
    "list subclass": lambda: ListKind([1]),
    "tuple subclass": lambda: TupleKind((next(COUNTER),)),
    "dict subclass": lambda: DictKind(a=1),
    "str subclass": lambda: StrKind("text"),
    "int subclass": lambda: IntKind(5),
    "exception subclass": lambda: ExceptionKind(1),
    "dataclass": Data,
    "named tuple": lambda: Named(1, next(COUNTER)),
    "cell": lambda: types.CellType(1),
    "function": function,
    "lambda": lambda: lambda: None,
    "bound method": lambda: PLAIN.method,
    "builtin method": lambda: FIVE.append,
    "class method of C": lambda: dict.fromkeys,
    "method wrapper": lambda: FIVE.__len__,
    "generator": generator,
    "coroutine": closed_coroutine,
    "async generator": async_generator,
    "asend": asend,
    "slice": lambda: slice(1, next(COUNTER)),
    "range": lambda: range(next(COUNTER)),
    "range iterator": lambda: iter(range(3)),
    "list iterator": lambda: iter(FIVE),
    "tuple iterator": lambda: iter((1, 2)),
    "dict iterator": lambda: iter({1: 2}),
    "dict items": lambda: {1: 2}.items(),
    "set iterator": lambda: iter({1}),
    "str iterator": lambda: iter("ab"),
    "zip": lambda: zip(FIVE, FIVE, strict=True),
    "enumerate": lambda: enumerate(FIVE),
    "map": lambda: map(abs, FIVE),
    "chain": lambda: itertools.chain(FIVE, FIVE),
    "MemoryError": lambda: MemoryError(1),
    "ValueError": lambda: ValueError(1),
    "KeyError": lambda: KeyError(1),
    "StopIteration": lambda: StopIteration(1),
    "context": contextvars.copy_context,
    "context variable": lambda: contextvars.ContextVar("x"),
    "module": lambda: types.ModuleType("m"),
    "class": lambda: type("C", (), {}),
    "deque": lambda: collections.deque([1]),
    "defaultdict": lambda: collections.defaultdict(list),
    "OrderedDict": lambda: collections.OrderedDict(a=1),
    "Counter": lambda: collections.Counter("a"),
    "partial": lambda: functools.partial(print, 1),
    "weak reference": lambda: weakref.ref(PLAIN, lambda _: None),
    "memory view": lambda: memoryview(b"text"),
    "property": lambda: property(),
    "classmethod": lambda: classmethod(print),
    "super": lambda: super(ListKind, ListKind()),
    "frame": frame,
    "traceback": traceback,
    "code": lambda: compile("1", "f", "eval"),
    "mapping proxy": lambda: types.MappingProxyType({}),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "StringIO": lambda: io.StringIO("a"),
    "array": lambda: array.array("i", [1]),
    "lock": threading.Lock,
    "datetime": lambda: datetime.datetime(2000, 1, 1),
    "Decimal": lambda: decimal.Decimal("1.5"),
    "match": lambda: re.match("a", "a"),
    "generic alias": lambda: list[int],
    "union": lambda: int | str,
}


@pytest.mark.parametrize("name", MAKERS)
def test_look_alikes_are_told_apart(identities, name):
    make = MAKERS[name]
    rounds = 300 if name == "class" else 3000
    numbers, addresses, kept, dead = set(), set(), [], set()
    for turn in range(rounds):
        one = make()
        number, birth = identities.see(one)
        assert birth == "new", (turn, name)
        assert number not in numbers
        assert identities.see(one) == (number, "known")
        numbers.add(number)
        addresses.add(id(one))
        if turn % 37 == 0:
            kept.append((one, number))
        del one
        if turn % 50 == 0:
            gc.collect()
            dead.update(identities.dead())
    for one, number in kept:
        assert identities.see(one) == (number, "known")
    # Otherwise nothing has been tested: memory is used again.
    assert len(addresses) < rounds, name
    gc.collect()
    dead.update(identities.dead())
    assert not dead & {number for _, number in kept}
    assert len(dead) + len(kept) == len(numbers)
    assert identities.counts() == (len(kept), 0, 0)


def test_many_at_once(identities):
    """More than fit into any free list, dropped and made again."""
    numbers = set()
    for _ in range(5):
        made = [make() for make in MAKERS.values() for _ in range(40) if make is not MAKERS["class"]]
        births = [identities.see(one) for one in made]
        assert {birth for _, birth in births} <= {"new", "known"}
        # The same object may have been made twice: a constant, or a cached one.
        fresh = {number for number, birth in births if birth == "new"}
        assert len({id(one) for one in made}) == len({number for number, _ in births})
        assert not fresh & numbers
        numbers |= fresh
        assert [identities.see(one)[0] for one in made] == [number for number, _ in births]
        del made, births
        gc.collect()


def test_futures_iterators(identities):
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    numbers = [identities.see(iter(future)) for _ in range(1000)]
    loop.close()
    assert {birth for _, birth in numbers} == {"new"}
    assert len(set(numbers)) == 1000


def test_wrapped_values_of_async_generators(identities):
    """What an async generator yields is wrapped in an object that lives from one instruction to the next."""
    seen = []

    async def values():
        for value in range(30):
            yield value

    def look(step):
        if step.instruction.opname == "YIELD_VALUE":
            wrapped = [one for one in gc.get_objects() if type(one).__name__ == "async_generator_wrapped_value"]
            seen.extend((identities.see(one), id(one)) for one in wrapped)
            wrapped.clear()

    async def main():
        return [value async for value in values()]

    gc.collect()
    with debugop.trace(values, callback=look):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(main()) == list(range(30))
        loop.close()
    births = [birth for (_, birth), _ in seen]
    assert births == ["new"] * 30
    assert len({number for (number, _), _ in seen}) == 30
    assert len({address for _, address in seen}) < 30


def test_a_changed_string_is_another(identities):
    numbers = set()
    text = f"begin {next(COUNTER)}"
    for turn in range(500):
        number, birth = identities.see(text)
        assert birth == "new"
        assert number not in numbers
        numbers.add(number)
        text += "x" * (turn % 3 + 1)


def test_what_grows_stays_itself(identities):
    growing = [[], {}, set(), bytearray(), collections.deque()]
    numbers = [identities.see(one) for one in growing]
    for turn in range(1000):
        growing[0].append(turn)
        growing[1][turn] = turn
        growing[2].add(turn)
        growing[3].append(turn % 256)
        growing[4].append(turn)
    for one, (number, _) in zip(growing, numbers, strict=True):
        assert identities.see(one) == (number, "known")


def test_resurrection(identities):
    back = []

    class Phoenix:
        def __del__(self):
            back.append(self)

    class ListPhoenix(list):
        def __del__(self):
            back.append(self)

    def generator_phoenix():
        try:
            yield
        finally:
            back.append(sys._getframe())

    for kind in (Phoenix, ListPhoenix):
        one = kind()
        number, _ = identities.see(one)
        del one
        assert identities.see(back.pop()) == (number, "known")
    # Not again: `__del__` runs once.
    assert not back
    assert identities.see(kind())[1] == "new"
    back.clear()


def test_cycles_and_weak_references(identities):
    numbers, deaths = set(), []
    for _ in range(2000):
        one, two = Plain(), []
        one.a = two
        two.append(one)
        weakref.finalize(one, deaths.append, identities.see(one)[0])
        for part in (one, two):
            number, birth = identities.see(part)
            assert birth in ("new", "known")
            numbers.add(number)
        del one, two, part
    gc.collect()
    assert len(numbers) == 4000
    assert len(deaths) == 2000
    assert len(identities.dead()) == 4000


def test_a_tuple_that_is_used_again_is_the_same(identities):
    """`zip` and the like give the same tuple again if nobody else has it."""
    for pairs in (zip(FIVE, FIVE, strict=True), enumerate(FIVE), dict.fromkeys(FIVE).items()):
        seen = []
        for pair in pairs:
            seen.append(identities.see(pair))
            identities.forget(pair)
            del pair
        assert [birth for _, birth in seen] == ["new"] * 5
        assert len(set(seen)) == 5


def test_when_there_are_too_many():
    identities = _core.Identities(limit=1000)
    try:
        made = [[turn] for turn in range(5000)]
        numbers = [identities.see(one) for one in made]
        assert {birth for _, birth in numbers} == {"new"}
        assert identities.counts()[:2] == (1000, 4000)
        again = [identities.see(one) for one in made]
        known = [(one, other) for one, other in zip(numbers, again, strict=True) if other[1] == "known"]
        assert all(one[0] == other[0] for one, other in known)
        # Those that were forgotten might be anything; none is taken for surely new.
        assert {birth for _, birth in again} <= {"known", "perhaps"}
        del made
        # Dead, they leave no doubt.
        assert {identities.see([turn])[1] for turn in range(3000)} == {"new"}
    finally:
        identities.uninstall()


def test_one_at_a_time(identities):
    with pytest.raises(RuntimeError, match="already"):
        _core.Identities()
    identities.uninstall()
    with pytest.raises(RuntimeError, match="uninstalled"):
        identities.see([])
    again = _core.Identities()
    assert again.see([])[1] == "new"
    again.uninstall()


def test_threads(identities):
    """Threads make and drop look-alikes; one that holds the GIL sees."""
    failures = []

    def work():
        try:
            mine = set()
            for _ in range(3000):
                one = [1, (2,), Plain()]
                for part in (one, one[1], one[2]):
                    number, birth = identities.see(part)
                    if part is not one[1] and birth != "new":
                        failures.append(birth)
                    mine.add(number)
            if len(mine) < 6000:
                failures.append(len(mine))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork(identities):
    kept = [[1], {}, Plain()]
    numbers = [identities.see(one)[0] for one in kept]
    child = os.fork()
    if child == 0:
        good = [identities.see(one) for one in kept] == [(number, "known") for number in numbers]
        good = good and all(identities.see([1])[1] == "new" for _ in range(1000))
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [identities.see(one)[0] for one in kept] == numbers


def run(program, **environment):
    """In a process of its own, which may crash."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | environment
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout


DEEP = """
    import sys
    from debugop import _core
    identities = _core.Identities(1 << 12)
    class Node:
        def __init__(self, next):
            self.next = next
    class Items(list):
        pass
    def mixed(inner, turn=iter(range(1 << 30))):
        return ([inner], (inner,), {"a": inner}, Node(inner), Items([inner]))[next(turn) % 5]
    for wrap in (lambda x: [x], lambda x: (x,), lambda x: {"a": x}, lambda x: Items([x]), Node, mixed):
        nest = None
        for turn in range(1_000_000):
            nest = wrap(nest)
            if turn % 1000 == 0:
                assert identities.see(nest)[1] == "new", turn
        del nest
        assert {identities.see(wrap(None))[1] for _ in range(1000)} == {"new"}
    print("done", identities.counts()[0])
"""


def test_deep_nests():
    assert run(DEEP).startswith("done 0")


def test_deep_nests_in_a_thread():
    program = "import threading\ndef work():\n" + textwrap.indent(
        textwrap.dedent(DEEP).replace("class Items(list):\n        pass", "Items = type('Items', (list,), {})"), "    "
    )
    program += "\nthread = threading.Thread(target=work)\nthread.start()\nthread.join()\n"
    assert run(program).startswith("done 0")


LOOK_ALIKES = """
    import gc
    def check(births=("new",)):
        numbers = set()
        for turn in range(3000):
            for one in ([1], (turn, turn), {{}}, str(turn) + "x", Plain(), lambda: 1, object(), ValueError(1)):
                number, birth = identities.see(one)
                assert birth in births, (turn, birth, one)
                assert number not in numbers
                numbers.add(number)
    class Plain: pass
    from debugop import _core
    import tracemalloc
    {body}
    print("done")
"""


@pytest.mark.parametrize("malloc", ["malloc", "malloc_debug", "pymalloc", "pymalloc_debug", "debug"])
def test_other_allocators(malloc):
    body = "identities = _core.Identities(); check(); identities.uninstall(); x = [[1] for _ in range(1000)]; del x"
    assert run(LOOK_ALIKES.format(body=body), PYTHONMALLOC=malloc) == "done\n"


def test_development_mode():
    body = "identities = _core.Identities(); check(); identities.uninstall()"
    assert run(LOOK_ALIKES.format(body=body), PYTHONDEVMODE="1") == "done\n"


TRACEMALLOC = {
    "before": "tracemalloc.start(); identities = _core.Identities(); check(); identities.uninstall(); tracemalloc.stop()",
    "after": "identities = _core.Identities(); tracemalloc.start(); check(); tracemalloc.stop(); check()",
    "stays above": """identities = _core.Identities()
    tracemalloc.start(); check()
    identities.uninstall()
    x = [[1] for _ in range(100)]
    identities = _core.Identities(); check()
    tracemalloc.stop(); check()
    identities.uninstall()
    identities = _core.Identities(); check()""",
    "again and again": """for _ in range(30):
        identities = _core.Identities(); check()
        tracemalloc.start(); check()
        identities.uninstall()
        tracemalloc.stop()
    identities = _core.Identities(); check()""",
    "over and over": """identities = _core.Identities()
    for _ in range(20):
        tracemalloc.start(); check(); tracemalloc.stop(); check()""",
}


@pytest.mark.parametrize("name", TRACEMALLOC)
def test_tracemalloc(name):
    assert run(LOOK_ALIKES.format(body=TRACEMALLOC[name])) == "done\n"


def test_what_is_not_seen_is_said():
    """`tracemalloc` throws us out if it was there first."""
    body = """tracemalloc.start()
    identities = _core.Identities()
    kept = [[1], {}, Plain()]
    numbers = [identities.see(one)[0] for one in kept]
    tracemalloc.stop()
    # These may be others now.
    again = [identities.see(one) for one in kept]
    assert all(birth == "perhaps" for _, birth in again), again
    assert not set(numbers) & {number for number, _ in again}
    assert identities.counts() == (3, 0, 1)
    assert sorted(identities.dead()) == numbers
    check()
    assert [identities.see(one)[0] for one in kept] == [number for number, _ in again]
    tracemalloc.start(); check(); tracemalloc.stop(); check()
    assert identities.counts()[2] == 1
    """
    assert run(LOOK_ALIKES.format(body=body)) == "done\n"


NOTICED = """
    import gc, sys, weakref
    from debugop import _core
    class Plain: pass
    kept = [[1], {1: 2}, (str(gc), 1), object(), str(gc) + "x", Plain(), {3}, lambda: kept]
    references = weakref.ref(kept[5], lambda one: print(one()))
    FOLLOW
    def work(turn):
        for kind in (list, tuple, dict, set, object):
            [kind() for _ in range(100)]
        made = [([turn], (turn,), {turn: turn}) for _ in range(300)]
        del made[::2]
        return made
    def numbers():
        gc.collect()
        before = sys.getallocatedblocks()
        made = work(before)
        between = sys.getallocatedblocks() - before
        del made
        return (
            len(gc.get_objects()), between, sys.getallocatedblocks() - before, gc.get_count(),
            [(sys.getrefcount(one), sys.getsizeof(one), gc.is_tracked(one), len(gc.get_referrers(one))) for one in kept],
            [(kind.__flags__, kind.__basicsize__, kind.__dictoffset__, len(dir(kind))) for kind in map(type, kept)],
        )
    for _ in range(4):
        numbers()
    print(numbers(), references() is kept[5])
    kept[5] = None
    print(references())
"""


def test_nobody_notices():
    plain = run(NOTICED.replace("FOLLOW", "identities = _core.line(1)"))
    follow = "identities = _core.Identities(); assert [identities.see(one)[1] for one in kept] == ['new'] * 8"
    assert run(NOTICED.replace("FOLLOW", follow)) == plain


def test_an_extensions_objects_are_doubtful():
    """What we do not know the source of may keep its dead: one of our own types is as good as any."""
    identities = _core.Identities()
    try:
        one = _core.line(3)
        assert identities.see(one)[1] == "perhaps"
        assert identities.see(one)[1] == "known"
    finally:
        identities.uninstall()


SUBINTERPRETERS = """
    import sys, threading
    from debugop import _core
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    def run(code):
        one = interpreters.create()
        interpreters.run_string(one, code)
        interpreters.destroy(one)
    work = (
        "for turn in range(200_000):\\n"
        " one = [turn, (turn,), {turn: turn}, str(turn) + 'x', object(), slice(turn)]\\n"
        "nest = None\\n"
        "for turn in range(200_000):\\n"
        " nest = [nest]\\n"
        "del nest\\n"
    )
    identities = _core.Identities()
    threads = [threading.Thread(target=run, args=(work,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    kept, numbers = [], set()
    for turn in range(30_000):
        for one in ([turn], (turn, turn), {}, str(turn) + "y", object()):
            number, birth = identities.see(one)
            assert birth == "new", (turn, one, birth)
            assert number not in numbers
            numbers.add(number)
        if turn % 10 == 0:
            kept.append((one, number))
    for thread in threads:
        thread.join()
    for one, number in kept:
        assert identities.see(one) == (number, "known")
    identities.uninstall()
    print("done")
"""


def test_sub_interpreters():
    assert run(SUBINTERPRETERS) == "done\n"


def test_look_up_is_quick(identities):
    """A bound that a busy machine keeps too; what it takes is measured by `benches`."""
    objects = [[turn] for turn in range(100)]
    for one in objects:
        identities.see(one)
    assert min(identities.time(objects, 1000) for _ in range(20)) < 40
