"""Compiled breakpoints stop where, as often and with the same values as the standard library's `bdb`."""

import bdb
import linecache
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

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
