"""Sites that a recording leaves out while numbers are calculated with are jumped over, and are there again as soon as they are needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent / "recorded" / "left_out.py"
# Of what is recorded there, that which calculates: in what order others are told of it is not the same in a trace.
CALCULATES = {"calculate", "suspended", "called"}

# How many probes of the caller's code are jumped over now, read from what the interpreter executes.
COUNT = """
import ctypes, dis, sys

BYTECODE = type(sys._getframe().f_code).__basicsize__ - 8
EXECUTED = 32 if sys.version_info < (3, 12) else 0
JUMP, INVERT = dis.opmap["JUMP_FORWARD"], dis.opmap["UNARY_INVERT"]

def jumps():
    frame = ctypes.c_size_t.from_address(id(sys._getframe(1)) + 24).value
    code = ctypes.c_size_t.from_address(frame + EXECUTED).value & ~1
    units = ctypes.c_ssize_t.from_address(code + 16).value
    live = ctypes.string_at(code + BYTECODE, units * 2)
    pairs = list(zip(live[::2], live[1::2]))
    return sum(op == JUMP and arg >= 2 and pairs[at + arg - 1][0] == INVERT for at, (op, arg) in enumerate(pairs[:-3]))

def calculate(values, call=None):
    total, last, found = 0, 1.5, []
    for index, value in enumerate(values):
        a = value * 2 + index
        last = (a + 1) * (a - 1) + last * 0.5
        total = total + last * 2 - a
        found.append(jumps())
        if call is not None:
            call(index)
    return found
"""


def run(*arguments):
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    options = {"capture_output": True, "text": True, "timeout": 300, "env": environment}
    return subprocess.run([sys.executable, *map(str, arguments)], check=False, **options)


def debugop(*arguments):
    ended = run("-m", "debugop", *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def printed(program, tmp_path):
    """What a program prints that is recorded."""
    return debugop("record", "-o", tmp_path / "x.debugop", "-c", COUNT + program).splitlines()


def told(report):
    """What a report says of each step of what calculates, thread by thread."""
    names, threads = {}, {}
    for line in map(json.loads, report.splitlines()):
        if line["kind"] == "code":
            names[line["code"]] = line["name"]
        elif line["kind"] == "step" and names[line["code"]] in CALCULATES:
            stack = ["object" if isinstance(value, dict) else value for value in line["stack"]]
            step = (line["event"], line.get("frame_event"), line["offset"], line["opname"], line["line"], stack)
            threads.setdefault(line["thread"], []).append(step)
    return list(threads.values())


@pytest.mark.parametrize("moment", [1, 4, 7, 11, 13, 16, 17])
@pytest.mark.parametrize("what", [["loop", "generators", "threads"], ["tool"], ["opcodes"], ["lines"]], ids="-".join)
def test_whenever_they_come_back_everything_is_known(tmp_path, what, moment):
    path, report = tmp_path / "x.debugop", tmp_path / "report"
    program = (PROGRAM, moment, *what)
    assert debugop("record", "-o", path, *program) == run(*program).stdout
    debugop("run", "--format", "jsonl", "-o", report, *program)
    replayed = told(debugop("show", "--format", "jsonl", path))
    assert replayed == told(report.read_text())
    assert sum(map(len, replayed)) > 200


@pytest.mark.parametrize("moment", [3, 9])
def test_it_is_recorded_exactly(moment):
    found = run("-m", "debugop", "selfcheck", "--record", PROGRAM, moment)
    assert found.returncode == 0, found.stdout
    assert ": 0 differ; said not to be known: 0 values" in found.stdout


def test_numbers_are_calculated_with_jumps(tmp_path):
    first, again, strings, after = map(
        json.loads,
        printed(
            "print(calculate([1, 2.5, 3]))\nprint(calculate([1, 2]))\n"
            "class Strange(int): pass\n"
            "print(calculate([1, 2, Strange(3), 4]))\nprint(calculate([1, 2]))",
            tmp_path,
        ),
    )
    count = first[0]
    assert count >= 2
    assert first == [count] * 3
    assert again == [count] * 2
    assert strings == [count, count, 0, 0]
    assert after == [0, 0]


def test_a_frame_in_the_middle_and_a_suspended_one_go_over(tmp_path):
    (found,) = map(
        json.loads,
        printed(
            "class Strange(int): pass\n"
            "def other(index):\n    if index == 2: calculate([Strange(1)])\n"
            "print(calculate([1, 2, 3, 4, 5], other))",
            tmp_path,
        ),
    )
    assert found[0] >= 2
    assert found == [found[0]] * 3 + [0] * 2


@pytest.mark.parametrize(
    "listen",
    [
        "sys.settrace(lambda *_: None)",
        pytest.param(
            "sys.monitoring.use_tool_id(3, 'x')\n"
            "        sys.monitoring.register_callback(3, sys.monitoring.events.LINE, lambda *_: None)",
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no sys.monitoring"),
        ),
    ],
    ids=["trace function", "tool"],
)
def test_who_is_told_of_instructions_finds_probes(tmp_path, listen):
    (found,) = map(
        json.loads,
        printed(
            f"def other(index):\n    if index == 1:\n        {listen}\nprint(calculate([1, 2, 3, 4], other))",
            tmp_path,
        ),
    )
    assert found[0] >= 2
    assert found == [found[0]] * 2 + [0] * 2


def test_a_frame_that_outlives_recordings_calculates_on(tmp_path):
    """The recording ends, and another one begins, in the middle of the loop."""
    program = tmp_path / "program.py"
    program.write_text(
        COUNT
        + f"""
import debugop

def other(index):
    global recording
    if index in (2, 8):
        recording.stop()
    elif index == 5:
        recording = debugop.record({os.fspath(tmp_path / "second.debugop")!r}, all=True)
        recording.start()

recording = debugop.record({os.fspath(tmp_path / "first.debugop")!r}, all=True)
recording.start()
found = calculate([1, 2.5] * 6, other)
print(found)
"""
    )
    ended = run(program)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert len(found) == 12
    assert found[1] >= 2
    for name in ("first", "second"):
        shown = debugop("show", "--format", "jsonl", tmp_path / f"{name}.debugop")
        lines = [json.loads(line) for line in shown.splitlines()]
        assert not [line for line in lines if "unknown" in str(line.get("stack"))], name
        assert sum(line["kind"] == "step" for line in lines) > 100, name
