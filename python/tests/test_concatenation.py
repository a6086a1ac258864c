"""`s += t` on a long local string: as fast and as exact as without debugop, though a probe parts the addition from its store."""

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
    lengths += [values.send("ab") for _ in range(count - 1)]
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
        begin = time.perf_counter()
        function(count)
        return time.perf_counter() - begin

    return min(once() for _ in range(times))


def test_building_a_string_costs_what_other_loops_cost():
    """100,000 copies of a string that grows to 1 MB would take seconds."""
    with debugop.trace(build, limit=1), debugop.trace(ordinary, limit=1):
        assert best(build, 100_000) < 5 * best(ordinary, 100_000)


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
    assert time.perf_counter() - begin < 5


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
