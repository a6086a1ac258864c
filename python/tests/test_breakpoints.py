"""Compiled breakpoints stop where, as often and with the same values as the standard library's `bdb`."""

import bdb
import gc
import linecache
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import debugop
import pytest
from debugop import _core

Stop = tuple[str, int, dict[str, str]]
Place = tuple[int, str | None, int]

MARK = re.compile(r"#b(?:: *(?P<condition>.*?))?(?: ignore=(?P<ignore>\d+))?$")


def places(source: str) -> list[Place]:
    """Lines that end in `#b`, `#b: CONDITION`, `#b ignore=N`, `#b: CONDITION ignore=N`; `;;` separates breakpoints of one line."""
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        if "#b" not in line:
            continue
        for part in line[line.index("#b") :].split(" ;; "):
            match = MARK.search(part)
            assert match, line
            found.append((number, match["condition"], int(match["ignore"] or 0)))
    return found


def shown(value: object) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:80]


def stop(frame: FrameType, line: int) -> Stop:
    values = {} if frame.f_code.co_name == "<module>" else dict(frame.f_locals)
    return frame.f_code.co_name, line, {name: shown(value) for name, value in sorted(values.items())}


class Recorder(bdb.Bdb):
    def __init__(self) -> None:
        super().__init__()
        self.stops: list[Stop] = []

    def user_line(self, frame: FrameType) -> None:
        if frame.f_code.co_filename != "<starter>":
            self.stops.append(stop(frame, frame.f_lineno))
        self.set_continue()


def run_by_bdb(path: Path, source: str, wanted: list[Place]) -> tuple[list[Stop], dict[str, Any]]:
    bdb.Breakpoint.clearBreakpoints()
    recorder = Recorder()
    for line, condition, ignore in wanted:
        error = recorder.set_break(str(path), line, cond=condition)
        assert error is None, error
        bdb.Breakpoint.bpbynumber[-1].ignore = ignore
    names: dict[str, Any] = {"__name__": "program"}
    code = compile(source, str(path), "exec")
    before = sys.gettrace()
    try:
        recorder.run(compile("exec(code, names)", "<starter>", "exec"), {"code": code, "names": names})
    finally:
        sys.settrace(before)
        bdb.Breakpoint.clearBreakpoints()
    return recorder.stops, names


def run_compiled(path: Path, source: str, wanted: list[Place]) -> tuple[list[Stop], dict[str, Any]]:
    stops: list[Stop] = []

    def on_stop(frame: FrameType, line: int, raised: bool) -> None:
        stops.append(stop(frame, line))

    made = [
        _core.CompiledBreakpoint(str(path), line, condition=condition, ignore=ignore, on_stop=on_stop)
        for line, condition, ignore in wanted
    ]
    names: dict[str, Any] = {"__name__": "program"}
    code = compile(source, str(path), "exec")
    _core.set_breakpoints(made)
    try:
        exec(code, names)
        assert _core.breakpoint_reasons() == []
    finally:
        _core.set_breakpoints([])
    return stops, names


@pytest.fixture
def check(tmp_path: Path) -> Callable[[str], list[Stop]]:
    def check(source: str) -> list[Stop]:
        source = textwrap.dedent(source)
        path = tmp_path / "program.py"
        path.write_text(source)
        linecache.clearcache()
        wanted = places(source)
        expected, left = run_by_bdb(path, source, wanted)
        stops, also_left = run_compiled(path, source, wanted)
        assert stops == expected
        assert shown(also_left.get("result")) == shown(left.get("result"))
        return stops

    return check


PROGRAMS = {
    "loop": """
        def f(n):
            total = 0
            for i in range(n):
                total += i  #b: i % 3 == 1
            return total  #b
        result = f(10)
    """,
    "head of a loop": """
        def f(n):
            for i in range(n):  #b
                pass
            while n:  #b: n < 3
                n -= 1
            for i in range(3): n += i  #b
            while n: n -= 1  #b
            return n
        result = f(5)
    """,
    "ignored": """
        def f(n):
            for i in range(n):
                print(end='')  #b ignore=3
                print(end='')  #b: i % 2 ignore=2
        result = f(10)
    """,
    "several on a line": """
        def f(n):
            for i in range(n):
                print(end='')  #b: i == 2 ;; #b: i % 2 == 0 ;; #b: i > 2 ignore=2
        result = f(10)
    """,
    "raises": """
        def f(n):
            for i in range(n):
                x = i  #b: 1 / (i - 2) > 5
                y = i  #b: missing
                z = i  #b: x.no_such_attribute ignore=2
            return x
        result = f(4)
    """,
    "unbound local": """
        y = 5
        z = 2
        def f(n):
            for i in range(n):
                if i == 2:  #b: y == 1
                    y = 1
                if i == 3:
                    del z  #b: z == 7 or y == 5
                z = 7  #b: z == 2
        result = f(5)
    """,
    "effects": """
        seen = []
        def note(*what):
            seen.append(what)
            return False
        def f(n):
            for i in range(n):
                a = i  #b: note('a', i)
                b = i  #b: note('b', i) or b == 1
                c = i  #b: note('c', unbound)
                unbound_later = 1 if i == 2 else 2  #b: note('d') or unbound_later == 1
            return seen
        result = f(3)
    """,
    "its own function": """
        def f(n):
            if n < 2:  #b: f(n - 1) > 5
                return 1
            return n * f(n - 1)
        result = f(5)
    """,
    "another breakpoint's function": """
        def g(x):
            return x + 1  #b
        def f(n):
            for i in range(n):
                x = i  #b: g(i) == 2
            return x
        result = f(3)
    """,
    "cells and free variables": """
        def outer(a):
            b = a * 2
            def inner(c):
                nonlocal b
                b += c  #b: a + b + c > 8
                return [a, b, c]  #b: b == 100
            for i in range(4):
                inner(i)  #b: b > 5 and i
            del b
            inner2 = inner  #b: b == 3
            return a  #b
        result = outer(2)
    """,
    "not closed over": """
        def outer(a):
            def inner(c):
                return c  #b: a == 3
            return inner(1)
        result = outer(3)
    """,
    "lambdas and comprehensions in conditions": """
        data = [1, 2, 3]
        def f(n):
            for i in range(n):
                x = i  #b: (lambda: data[0])() == i
                x = i  #b: (lambda: i)() == 1
                x = i  #b: [d for d in data if d == 2] == [2] and i == 1
                x = i  #b: [d for d in data if d == i]
                x = i  #b: sum(d for d in range(3)) == 3 and i == 2
                x = i  #b: any(d == i for d in data)
                x = i  #b: {d: d for d in (i, 2)}.get(1)
            return x
        result = f(3)
    """,
    "class body": """
        class C:
            x = 1  #b: True
            y = x + 1  #b: x == 1
            for i in range(3):
                z = i  #b: i == 1
            items = [x for x in range(3)]  #b: y == 2
            def method(self):
                self.__private = 1  #b: self.x
                return self.__private  #b: self.__private == 1 ;; #b: self._C__private == 1
        result = C().method()
    """,
    "module": """
        x = 1  #b
        for i in range(4):
            x += i  #b: x > 2
        result = [i for i in range(3)]  #b: x
        def f(): return 1  #b
        f()
        f() if x else None  #b: x == 7
    """,
    "generators": """
        def g(n):
            for i in range(n):
                x = yield i  #b: i % 2
                y = x  #b
            return 3
        def h():
            r = yield from g(3)  #b
            yield r  #b
        result = list(h())  #b
    """,
    "asynchronous": """
        class Manager:
            async def __aenter__(self):
                return 3  #b
            async def __aexit__(self, *a):
                return False  #b
        class Items:
            def __init__(self): self.n = 0
            def __aiter__(self): return self
            async def __anext__(self):
                self.n += 1  #b: self.n > 1
                if self.n > 3:
                    raise StopAsyncIteration
                return self.n
        async def f(n):
            async with Manager() as m:  #b
                async for i in Items():  #b
                    x = i  #b: i == m - 1
            return [i async for i in Items()]  #b
        c = f(3)
        try:
            c.send(None)
        except StopIteration as end:
            result = end.value  #b
    """,
    "try and with": """
        import contextlib
        @contextlib.contextmanager
        def manager():
            try:  #b
                yield 1  #b
            finally:
                x = 2  #b
        def f(n):
            try:  #b
                with manager() as m:
                    n / 0  #b: m == 1
            except ZeroDivisionError as error:  #b
                x = 1  #b: error.args
            else:
                x = 2  #b
            finally:
                y = 3  #b: n == 2
            try:
                try:
                    n / 0
                finally:
                    z = 1  #b: x == 1
            except* ZeroDivisionError as group:
                z = 2  #b: group.exceptions
            return z
        result = f(2)
    """,
    "in a handler": """
        import sys
        def f():
            try:
                1 / 0
            except ZeroDivisionError:
                a = sys.exc_info()[0]  #b: no_such_name
                b = sys.exc_info()[0]  #b: int('x')
                return a is b is ZeroDivisionError, sys.exc_info()[0]
        result = f(), sys.exc_info()
    """,
    "match": """
        def f(value):
            match value:  #b
                case [x, y] if x > y:  #b
                    return x  #b: y == 1
                case {'a': a}:
                    return a  #b: a == 3
                case str() | int():
                    return 1  #b
                case _:
                    return 0  #b
        result = [f([2, 1]), f([1, 2]), f({'a': 3}), f('x'), f(None)]
    """,
    "decorators and defaults": """
        def decorator(f):
            return f  #b: f
        @decorator  #b
        @decorator  #b
        def f(
            a=1,
            b=2,  #b
        ):
            return a + b  #b: a == 1
        result = f()
    """,
    "lambda on the line": """
        def f(n):
            g = lambda x: x + 1; return g(n) + g(1)  #b
        result = f(2)
        result = list(map(lambda x: x * 2, [1, 2]))  #b
        result = sorted([3, 1], key=lambda x: x)  #b: 'x' in locals()
    """,
    "several lines": """
        def f(a, b):
            x = (a +
                 b +  #b
                 1)
            return dict(
                a=a,  #b
                b=b,
            )
        result = f(1, 2)
    """,
    "recursion": """
        def f(n):
            if n == 0:  #b: n == 2
                return 0
            return n + f(n - 1)  #b: n % 2
        result = f(5)
    """,
    "starred arguments": """
        def f(a, /, b, *args, c, **kwargs):
            return a  #b: a == 1 and b == 2 and args == (3,) and c == 4 and kwargs == {'d': 5}
        result = f(1, 2, 3, c=4, d=5)
    """,
    "operators of the program's": """
        class V:
            def __init__(self, v): self.v = v
            def __bool__(self):
                if self.v == 3: raise ValueError
                return self.v == 1
            def __eq__(self, other): return V(self.v == other)
            def __repr__(self): return f'V({self.v})'
        def f():
            for i in range(4):
                v = V(i)
                x = i  #b: v
                x = i  #b: not v
                x = i  #b: v == i and v
                x = i  #b: i if i > 2 else v
                x = i  #b: f'{v!r}' == 'V(2)'
        result = f()
    """,
    "names": """
        def f(n):
            x = n  #b: print and len and __name__ == 'program'
            x = n  #b: __debug__
            x = n  #b: globals()['f'] is f
            x = n  #b: locals()['n'] == 3
            x = n  #b: super()
        result = f(3)
    """,
    "long": "\n".join(
        [
            "",
            "        def f(n):",
            "            for i in range(n):",
            *[f"                x{k} = i + {k}  #b: i == 1 and x{k} == {k} or i == 2" for k in range(300)],
            "            return x7",
            "        result = f(3)",
        ]
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_stops_as_bdb_does(check: Callable[[str], list[Stop]], name: str) -> None:
    assert check(PROGRAMS[name]), "a program that never stops shows nothing"


def line_events(path: Path, source: str) -> list[tuple[str, int]]:
    """What `sys.settrace` tells."""
    events = []

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename != str(path):
            return None
        if event == "line":
            events.append((frame.f_code.co_qualname, frame.f_lineno))
        return trace

    code = compile(source, str(path), "exec")
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        exec(code, {"__name__": "program"})
    finally:
        sys.settrace(before)
    return events


def breakpoint_events(path: Path, source: str) -> tuple[list[tuple[str, int]], set[str]]:
    """What breakpoints on every line tell, and the code objects that have been left as they are."""
    events = []

    def on_stop(frame: FrameType, line: int, raised: bool) -> None:
        events.append((frame.f_code.co_qualname, line))

    lines = range(1, len(source.splitlines()) + 1)
    _core.set_breakpoints([_core.CompiledBreakpoint(str(path), line, on_stop=on_stop) for line in lines])
    try:
        exec(compile(source, str(path), "exec"), {"__name__": "program"})
        reasons = _core.breakpoint_reasons()
    finally:
        _core.set_breakpoints([])
    return events, {reason.split(" in ")[0] for reason in reasons}


LINES = {
    **PROGRAMS,
    "a call before two ways meet": """
        class C:
            @property
            def p(self): return 1
            def __getitem__(self, i): return i
            def __enter__(self): pass
            def __exit__(self, *a): return True
        def g(x): return x
        def fails(x): raise ValueError
        def f(a, c):
            x = a or c.p
            x = a or c[1]
            x = a or g(*[2])
            x = a or g(len([]))
            x = a or len([])
            with C(): fails(1)
            x = a or C()
            return a or g(x)
        def one(c): return c.p
        def two(a, c):
            x = a + 1
            return a or c.p
        for i in range(50): f(i & 1, C()), two(0, C())
    """,
    "conditional expressions": """
        def g(*a): return a
        def f(a):
            x = g(a if a else
                  1)
            y = g(
                a
                if a
                else 2,
                *[
                    i
                    for i in range(2)
                    if i
                ],
            )
            assert (a or
                    not a)
            return x, y
        f(0), f(1)
    """,
    "one-line loops": """
        def f(n):
            for i in range(n): pass
            for i in range(n): n and i
            while n: n -= 1
            else: n = 3
            while True:
                n -= 1
                if n: continue
                break
            [i for i in range(3)]; [i for i in range(3)]
            for i in (1, 2):
                if i: continue
            return n
        f(3)
    """,
    "finally": """
        def f(n):
            for i in range(n):
                try:
                    if i == 1:
                        continue
                    if i == 3:
                        break
                    if i == 2:
                        raise ValueError
                except ValueError:
                    pass
                finally:
                    n += 1
                    n -= 1
            with open('/dev/null') as a, \\
                 open('/dev/null') as b:
                try:
                    return a
                finally:
                    b.close()
        f(5)
    """,
}


EXAMPLES = Path(__file__).parents[2] / "examples"
# Threads stop in an order of their own; imports and arguments need the file's own place.
LINES |= {
    path.stem: path.read_text()
    for path in sorted(EXAMPLES.glob("*.py"))
    if path.stem not in {"arguments", "imports", "threads", "assertion", "chained"}
}


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("name", LINES)
def test_every_line_where_its_event_comes(tmp_path: Path, name: str) -> None:
    source = textwrap.dedent(LINES[name])
    path = tmp_path / "program.py"
    expected = line_events(path, source)
    events, left = breakpoint_events(path, source)
    assert [event for event in events if event[0] not in left] == [event for event in expected if event[0] not in left]
    assert events
    if name == "recursion":
        # 3.12 tells of the line once more when a call of Python's ends where two ways meet.
        assert left == ({"even", "odd"} if sys.version_info[:2] == (3, 12) else set())


def adder(n: int) -> int:
    total = 0
    for i in range(n):
        total += i
    return total


LINE = adder.__code__.co_firstlineno + 3


class Stops(list[tuple[int, bool]]):
    """What `on_stop` is told of `adder`."""

    def __call__(self, frame: FrameType, line: int, raised: bool) -> None:
        assert frame.f_code is adder.__code__
        self.append((frame.f_locals["i"], raised))

    def at(self, condition: str | None = None, **options: Any) -> _core.CompiledBreakpoint:
        return _core.CompiledBreakpoint(__file__, LINE, condition=condition, on_stop=self, **options)


@pytest.fixture
def stops() -> Iterator[Stops]:
    yield Stops()
    _core.set_breakpoints([])


def test_the_program_sees_its_own_code(stops: Stops) -> None:
    before = adder.__code__
    _core.set_breakpoints([stops.at("i == 2")])
    assert adder.__code__ is before
    assert adder(4) == 6
    assert stops == [(2, False)]
    assert "BreakSite" not in repr(adder.__code__.co_consts)
    _core.set_breakpoints([])
    assert adder.__code__ is before
    assert not any(type(one).__name__ == "BreakSite" for one in gc.get_objects())
    adder(4)
    assert len(stops) == 1


def test_what_is_in_force_is_what_was_set_last(stops: Stops) -> None:
    first, second = stops.at("i == 1"), stops.at("i == 2")
    _core.set_breakpoints([first])
    adder(4)
    _core.set_breakpoints([first, second])
    adder(4)
    _core.set_breakpoints([second])
    adder(4)
    assert [i for i, _ in stops] == [1, 1, 2, 2]
    assert (first.hits, second.hits) == (8, 7), "what stops keeps those after it on the line from being reached"


def test_a_frame_that_runs_a_copy_is_left_alone_when_it_is_retired(stops: Stops) -> None:
    def on_stop(frame: FrameType, line: int, raised: bool) -> None:
        stops(frame, line, raised)
        _core.set_breakpoints([])

    _core.set_breakpoints([_core.CompiledBreakpoint(__file__, LINE, on_stop=on_stop)])
    assert adder(4) == 6
    assert stops == [(0, False)]


def test_what_the_callback_raises_is_raised_at_the_line(stops: Stops) -> None:
    def on_stop(frame: FrameType, line: int, raised: bool) -> None:
        raise KeyError("stop")

    _core.set_breakpoints([_core.CompiledBreakpoint(__file__, LINE, condition="i == 1", on_stop=on_stop)])
    with pytest.raises(KeyError, match="stop"):
        adder(4)
    _core.set_breakpoints([stops.at("i == 1")])
    adder(4)
    assert stops == [(1, False)], "and nothing is left of it"


def test_passed_over(stops: Stops) -> None:
    one = stops.at("i % 2", ignore=2)
    _core.set_breakpoints([one])
    adder(8)
    assert ([i for i, _ in stops], one.ignore, one.hits) == ([5, 7], 0, 8)


def test_paused(stops: Stops) -> None:
    _core.set_breakpoints([stops.at("i == 1")])
    _core.pause_breakpoints(True)
    adder(4)
    assert not stops
    _core.pause_breakpoints(False)
    adder(4)
    assert stops == [(1, False)]


def test_beside_a_tracer(stops: Stops) -> None:
    before = adder.__code__
    _core.set_breakpoints([stops.at("i == 1")])
    with debugop.trace(adder, lambda step: None) as tracer:
        assert adder(4) == 6
        steps = tracer.steps
    assert steps > 20
    assert not stops, "while it is traced, line events have to tell"
    assert adder(4) == 6
    assert stops == [(1, False)]
    with debugop.trace(adder, lambda step: None):
        _core.set_breakpoints([])
        _core.set_breakpoints([stops.at("i == 2")])
    adder(4)
    assert stops == [(1, False), (2, False)]
    _core.set_breakpoints([])
    assert adder.__code__ is before
    with debugop.trace(adder, lambda step: None) as tracer:
        adder(4)
    assert tracer.steps == steps


def test_a_tracer_reports_the_same(stops: Stops) -> None:
    def steps() -> list[tuple[str, int, int]]:
        seen: list[tuple[str, int, int]] = []

        def on_step(step: debugop.Step) -> None:
            seen.append((step.event, step.instruction.offset, len(step.stack)))

        with debugop.trace(adder, on_step):
            assert adder(3) == 3
        return seen

    alone = steps()
    assert len(alone) > 20
    _core.set_breakpoints([stops.at("i == 1")])
    assert steps() == alone
    _core.set_breakpoints([])


def divider(values: list[int]) -> Iterator[int]:
    for value in values:
        try:
            yield 6 // value
        except ZeroDivisionError as error:
            yield len(error.args)
        finally:
            value += 1
    raise KeyError([value for value in values if value])


DIVIDED = [divider.__code__.co_firstlineno + line for line in (1, 3, 5, 7, 8)]
OTHERS = ["settrace"] if sys.version_info < (3, 12) else ["monitoring", "settrace"]


@pytest.mark.parametrize("engine", OTHERS)
def test_other_engines_report_the_same(engine: Any) -> None:
    hits: list[int] = []

    def steps(before: Callable[[], object] = int, during: Callable[[], object] = int) -> list[Any]:
        """The steps of `divider` where a tracer starts after `before`, with `during` in the middle of it."""
        seen: list[Any] = []

        def on_step(step: debugop.Step) -> None:
            raised = type(step.exception).__name__
            seen.append((step.code, step.event, step.instruction.offset, [type(value) for value in step.stack], raised))

        before()
        with debugop.trace(divider, on_step, engine=engine):
            with pytest.raises(KeyError):
                list(divider([1, 0, 2]))
            running = divider([3, 0])
            seen.append(next(running))
            during()
            with pytest.raises(KeyError):
                list(running)
            with pytest.raises(KeyError):
                list(divider([1, 0, 2]))
        return seen

    def on_stop(frame: FrameType, line: int, raised: bool) -> None:
        hits.append(line)

    def set_breakpoints() -> None:
        condition = "[value for _ in (1,)] and (lambda: True)()"
        _core.set_breakpoints(
            [_core.CompiledBreakpoint(__file__, line, condition=condition, on_stop=on_stop) for line in DIVIDED]
        )
        assert _core.breakpoint_reasons() == []

    def remove() -> None:
        _core.set_breakpoints([])

    alone = steps()
    assert len(alone) > 150
    try:
        assert steps(set_breakpoints) == alone
        stops = list(hits)
        assert {*stops} == {*DIVIDED}
        assert steps(set_breakpoints, remove) == alone
        assert steps(remove, set_breakpoints) == alone
        remove()
        hits.clear()
        assert steps() == alone
        set_breakpoints()
        for _ in range(2):
            with pytest.raises(KeyError):
                list(divider([1, 0, 2]))
        with pytest.raises(KeyError):
            list(divider([3, 0]))
        assert sorted(hits) == sorted(stops), "they go on as without the tracer"
    finally:
        remove()


def test_who_refers_to_the_code(stops: Stops) -> None:
    _core.set_breakpoints([stops.at("i == 1")])
    assert adder in gc.get_referrers(adder.__code__)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
def test_events_of_the_code_alone(stops: Stops) -> None:
    monitoring = sys.monitoring
    lines: list[int] = []

    def on_line(code: Any, line: int) -> None:
        assert code is adder.__code__
        lines.append(line)

    monitoring.use_tool_id(4, "test")
    monitoring.register_callback(4, monitoring.events.LINE, on_line)

    def heard() -> list[int]:
        lines.clear()
        monitoring.set_local_events(4, adder.__code__, monitoring.events.LINE)
        adder(3)
        monitoring.set_local_events(4, adder.__code__, 0)
        adder(3)
        return list(lines)

    try:
        alone = heard()
        assert len(alone) > 5
        _core.set_breakpoints([stops.at("i == 1")])
        assert heard() == alone
    finally:
        monitoring.register_callback(4, monitoring.events.LINE, None)
        monitoring.free_tool_id(4)


def test_what_is_logged(stops: Stops) -> None:
    logged: list[str] = []
    templates = ["{i}: {total!r:>3} \"'", "{i=}", "no expression", "{missing}", "{{}} {[x for x in (i,)]}"]
    made = [
        _core.CompiledBreakpoint(__file__, LINE, condition="i == 2", log=text, on_log=logged.append)
        for text in templates
    ]
    _core.set_breakpoints([*made, stops.at("i == 3")])
    adder(4)
    assert logged == ["2:   1 \"'", "i=2", "no expression", "<NameError: name 'missing' is not defined>", "{} [2]"]
    assert stops == [(3, False)]


@pytest.mark.parametrize("text", ["1 +", "yield 1", "await i", "i = 1", "(yield)", "a\0b"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        _core.CompiledBreakpoint(__file__, LINE, condition=text)


def test_nothing_leaks(stops: Stops) -> None:
    def turn() -> int:
        _core.set_breakpoints([stops.at("(lambda: [i])() and 'constant' == i or 1 / i")])
        adder(3)
        _core.set_breakpoints([])
        stops.clear()
        gc.collect()
        return len(gc.get_objects())

    turn()
    first = turn()
    assert max(turn() for _ in range(5)) <= first + 5


def test_code_that_comes_and_goes(stops: Stops) -> None:
    count = []
    _core.set_breakpoints(
        [_core.CompiledBreakpoint("<made>", 1, condition="x % 2", on_stop=lambda *stop: count.append(stop[1]))]
    )
    for x in range(200):
        exec(compile("x", "<made>", "exec"), {"x": x})
    assert len(count) == 100
