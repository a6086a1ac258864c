"""Loops that run when their breakpoints are taken away go on in their own code, as ones that were traced do (`test_leave`)."""

import subprocess
import sys

import pytest
from debugop import _core, bdb
from test_leave import LEAVES, real_code

# From 3.15 on there is no object on top of the stack in the body of a `for` loop, which a frame needs to be moved.
IN_FOR = LEAVES and sys.version_info < (3, 15)


class Turns:
    """Counts the turns of a loop, takes the breakpoints away in one, and says in the last whether its frame runs `code` and no copy."""

    def __init__(self, code, takes=None):
        self.code, self.takes, self.turns, self.left = code, takes, 0, None

    def turn(self):
        self.turns += 1
        if self.turns == 3 and self.takes:
            self.takes()
        self.left = real_code(sys._getframe(1)) is self.code
        return self.turns


def for_loop(turns):
    total = 0
    for i in range(30):
        total += turns.turn() * i  # here
    return total


def for_list(turns):
    total = []
    for one in [str(i) for i in range(30)]:
        if one != "7":
            total.append((one, turns.turn()))  # here
    return total


def nested(turns):
    total = 0
    for i in range(6):
        for j in (1, 2, 3, 4, 5):
            total = total * 3 + i * j + turns.turn()  # here
            if total > 10**9:
                total -= 10**9
                continue
    return total


def guarded(turns):
    total = []
    for i in range(30):
        try:
            total.append(100 // (i % 4) + turns.turn())  # here
        except ZeroDivisionError as error:
            total.append((turns.turn(), error.__traceback__.tb_lineno - guarded.__code__.co_firstlineno))
        finally:
            total.append(-i)
    return total


def numbers(turns):
    for i in range(30):
        yield turns.turn() * i  # here


def generator(turns):
    return list(numbers(turns))


def while_loop(turns):
    i, total = 0, 0
    while i < 30:
        i = i + 1
        total = total + turns.turn()  # here
    return total


def one_line(turns):
    total = 0
    for i in range(30): total += turns.turn() * i  # fmt: skip  # noqa: E701 # here
    return total


LOOPS = [for_loop, for_list, nested, guarded, generator, one_line, while_loop]


def line_of(function):
    """The line that is marked, and the code that has it."""
    code = numbers.__code__ if function is generator else function.__code__
    with open(__file__) as file:
        lines = file.read().splitlines()
    last = max(line for *_, line in code.co_lines() if line)
    return next(line for line in range(code.co_firstlineno, last + 1) if "# here" in lines[line - 1]), code


@pytest.mark.parametrize("condition", [None, "turns is None", "turns.turns < 0 or len(str(turns.turns)) > 9"])
@pytest.mark.parametrize("function", LOOPS)
def test_compiled_breakpoints_are_taken_away(function, condition):
    line, code = line_of(function)
    turns = Turns(code, lambda: _core.set_breakpoints([]))
    ignore = 10**6 if condition is None else 0
    one = _core.CompiledBreakpoint(__file__, line, condition=condition, ignore=ignore)
    _core.set_breakpoints([one])
    try:
        assert _core.breakpoint_reasons() == []
        assert function(turns) == function(Turns(code))
    finally:
        _core.set_breakpoints([])
    assert one.hits in (3, 4), "an evaluation is counted before the turn"
    if function is not while_loop:
        assert turns.left is IN_FOR


@pytest.mark.parametrize("others", [False, True], ids=["the only one", "one of two"])
@pytest.mark.parametrize("function", LOOPS)
def test_a_debugger_takes_them_away(function, others):
    line, code = line_of(function)

    class Debugger(bdb.Bdb):
        stops = 0

        def user_line(self, frame):
            if frame.f_code.co_name == "run":
                self.set_break(__file__, line)
                if others:
                    self.set_break(bdb._module.__file__, 1)
                self.set_continue()
                return
            self.stops += 1
            if self.stops == 3:
                self.clear_break(__file__, line)
            self.set_continue()

    turns, debugger, results = Turns(code), Debugger(), []

    def run():
        results.append(function(turns))

    try:
        debugger.runcall(run)
    finally:
        bdb.Breakpoint.clearBreakpoints()
    assert results == [function(Turns(code))]
    assert debugger.stops == 3
    # On 3.11 a frame that a debugger has stopped in is held by its trace function.
    if function is not while_loop:
        assert turns.left is IN_FOR


PROGRAM = """\
import ctypes, sys
real_code = ctypes.pythonapi.PyFrame_GetCode
real_code.restype, real_code.argtypes = ctypes.py_object, [ctypes.py_object]
def loop():
    total = 0
    for i in range(10):
        total += i
    print("left:", real_code(sys._getframe()) is loop.__code__, total)
def other():
    pass
loop()
other()
"""


@pytest.mark.parametrize("others", [False, True], ids=["the only one", "one of two"])
def test_a_console_takes_them_away(tmp_path, others):
    (tmp_path / "program.py").write_text(PROGRAM)
    commands = [
        *["break 10"] * others,
        "break 7",
        "continue",
        "p total",
        f"clear {1 + others}",
        "continue",
        "quit",
        "quit",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "debugop", "debug", "program.py"],
        input="\n".join(commands) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert f"left: {IN_FOR} 45" in done.stdout, done.stdout


def test_again_and_again():
    """What has been taken away in one loop is there for the next call."""
    line, code = line_of(nested)
    for _ in range(20):
        one = _core.CompiledBreakpoint(__file__, line, condition="total < 0")
        _core.set_breakpoints([one])
        turns = Turns(code, lambda: _core.set_breakpoints([]))
        try:
            assert nested(turns) == nested(Turns(code))
        finally:
            _core.set_breakpoints([])
        assert one.hits == 3
