"""`s += t` on a long local string: as fast and as exact as without debugop, though a probe parts the addition from its store."""

import re
import subprocess
import sys
import time
from pathlib import Path

import debugop
import pytest

COMMAND = Path(sys.executable).with_name("debugop")

ENGINES = ["inject", "settrace"] + ["monitoring"] * (sys.version_info >= (3, 12))
#: Longer than what is left to CPython.
LONG = 1500


def build(count, piece="0123456789"):
    s = "x" * LONG
    for _ in range(count):
        s += piece
    return s


def written_out(count):
    s = "é" * LONG
    for index in range(count):
        s = s + "ab" if index % 2 else s + "\u1234"
    return s


def generator(count):
    s = "x" * LONG
    for _ in range(count):
        s += yield len(s)


def drive(count):
    values = generator(count)
    lengths = [next(values)]
    try:
        while True:
            lengths.append(values.send("ab"))
    except StopIteration:
        return lengths


def itself(count):
    s = "xy" * LONG
    for _ in range(count % 4):
        s += s
    return s


def with_others(count):
    s, kept = "x" * LONG, []
    for index in range(count):
        if index % 3 == 0:
            kept.append(s)
        if index % 4 == 0:
            hash(s)
        s += "y"
        t = s
        s += ""
        t += s[:1]
        kept.append(t)
    return s, kept


class Text(str):
    def __add__(self, other):
        return Text(str.__add__(self, other) + "!")


def other_types(count):
    s, numbers, n, m = Text("x" * LONG), [1] * LONG, 1 << 20000, "x" * LONG
    for _ in range(count):
        s += "y"
        numbers += [2]
        n += 1
        try:
            m += numbers
        except TypeError:
            m += "z"
    return s, numbers, n, m


def unbound(count):
    s = "x" * LONG
    if count:
        del s
    try:
        s += "y" * count
        return s
    except UnboundLocalError as error:
        return str(error)


PROGRAMS = [build, written_out, drive, itself, with_others, other_types, unbound]


def account(function, engine, look):
    """The result, and each step with its stack and, if they are to be looked at, its variables."""
    steps = []

    def shown(value):
        return (type(value).__name__, value if isinstance(value, (str, int)) else None)

    def callback(step):
        variables = look and [(k, shown(v)) for k, v in step.frame.f_locals.items()]
        steps.append((step.instruction.offset, step.instruction.opname, [shown(v) for v in step.stack], variables))

    with debugop.trace(function, callback, engine=engine, follow=True):
        result = function(7)
    return result, steps


@pytest.mark.parametrize("look", [False, True], ids=["stack", "variables"])
@pytest.mark.parametrize("function", PROGRAMS, ids=lambda function: function.__name__)
def test_every_engine_sees_the_same(function, look):
    plain = function(7)
    accounts = [account(function, engine, look) for engine in ENGINES]
    assert len(accounts[0][1]) > 10
    for result, steps in accounts:
        assert result == plain
        assert steps == accounts[0][1]


def test_a_string_is_extended_where_it_is():
    """What CPython does, a trace that only counts does as well; else nothing here is tested."""

    def kept(count):
        s, same = "x" * LONG, 0
        for _ in range(count):
            before = id(s)
            s += "y"
            same += id(s) == before
        return same

    with debugop.trace(kept, limit=1):
        assert kept(100) > 50


def ordinary(count):
    """A loop with as many instructions of as many values."""
    s, t, u = "x" * LONG, 0.5, 1.5
    for _ in range(count):
        t = s or u
    return t


def best(function, count, times=3):
    def once():
        begin = time.thread_time()
        function(count)
        return time.thread_time() - begin

    return min(once() for _ in range(times))


def test_building_a_string_costs_what_other_loops_cost():
    """100,000 copies of a string that grows to 1 MB would take seconds."""
    with debugop.trace(build, limit=1), debugop.trace(ordinary, limit=1):
        assert best(build, 100_000) < 5 * best(ordinary, 100_000)


JIT = getattr(sys, "_jit", None)


@pytest.mark.skipif(bool(JIT and JIT.is_enabled()), reason="under the JIT every probe is jumped over after stop")
def test_a_frame_that_runs_on_after_stop_extends_too():
    def build_on(count):
        s, number = "x" * LONG, 0
        for _ in range(count):
            s += "0123456789"
            number += 1
            if number == 10:
                debugop.stop()
        return s, number

    debugop.start(lambda _: None)
    begin = time.thread_time()
    assert build_on(100_000) == ("x" * LONG + "0123456789" * 100_000, 100_000)
    assert time.thread_time() - begin < 3


PROGRAM = """
def build(count):
    s = ""
    for _ in range(count):
        s += "0123456789"
    return s
assert build(100_000) == "0123456789" * 100_000
"""


@pytest.mark.parametrize("command", [["run", "--all", "--format", "none"], ["record", "-o", "{}/program.debugop"]])
def test_whole_programs(command, tmp_path):
    """Half a minute, if the string were copied."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [part.format(tmp_path) for part in command]
    begin = time.perf_counter()
    subprocess.run([COMMAND, *command, program], check=True, capture_output=True)
    assert time.perf_counter() - begin < 15


def test_no_memory():
    """The variable keeps its value. (Without debugop CPython unbinds it; what reads it crashes, 3.13.)"""
    program = """
import resource, sys
import debugop
def grow(s, t):
    try:
        for _ in range(100):
            s += t
    except MemoryError:
        pass
        return len(s)
for _ in range(50):
    grow("x", "y")
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
with debugop.trace(grow, limit=1):
    print(grow("x" * 2000, "y" * (50 << 20)))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(done.stdout) > 50 << 20
    assert int(done.stdout) % (50 << 20) == 2000


RECORDED = """
import sys
def build(count, start):
    s = "x" * start
    for i in range(count):
        s += "abc"
        s = s + "é" if i % 5 else s + "a"
    return s
build(40, int(sys.argv[1]))
"""


def test_recordings_have_the_old_value_until_it_is_stored(tmp_path):
    """All strings of one recording are longer by as much as they were at the beginning."""
    (tmp_path / "program.py").write_text(RECORDED)

    def length(value, more):
        cut = re.search(r" \(([\d,]+)\)$", repr(value))
        found = int(cut[1].replace(",", "")) if cut else len(str(value.value))
        return found - more if found >= more else found

    def lengths(start):
        command = [COMMAND, "record", "-o", str(start), "program.py", str(start)]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
        replay = debugop.open(tmp_path / str(start))
        top = (replay.at(step).frames[-1] for step in range(len(replay)))
        return [
            (frame.offset, [length(value, start) for value in (*frame.stack, *frame.locals.values()) if is_text(value)])
            for frame in top
            if frame.function == "build"
        ]

    def is_text(value):
        return repr(value).startswith("'")

    few, many = lengths(300), lengths(3000)
    assert len(few) > 500
    assert few == many
