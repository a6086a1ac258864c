"""Of a run only a part is recorded: some functions, calls only so deep, steps only so many. What is recorded is what a whole recording has there."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import debugop
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = [
    *(
        ROOT / "examples" / f"{name}.py"
        for name in ("generators", "coroutines", "exceptions", "delegation", "closures", "recursion")
    ),
    *(
        ROOT / "python/tests/recorded" / f"{name}.py"
        for name in ("flow", "objects", "raising", "resumed", "jumps_refused", "traced")
    ),
]

CALLS = """
import textwrap
def a():
    return b()
def b():
    return textwrap.dedent(" x") + c()
def c():
    return d()
def d():
    return ""
class P:
    def a(self): return 1
a()
P().a()
"""


def run(*arguments, **options):
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    options = {"capture_output": True, "text": True, "timeout": 300, "env": environment, **options}
    return subprocess.run([sys.executable, "-m", "debugop", *map(str, arguments)], check=False, **options)


def recorded(path, program, *options):
    done = run("record", *options, "-o", path, program)
    assert "Traceback" not in done.stderr
    return debugop.open(path), done.stdout


def values(step):
    """What is in the frame, as far as it is certain, and says something of this run and not of where its objects are."""
    frame = step.frames[-1]
    known = [*frame.locals.items(), *enumerate(frame.stack)]
    shown = [(name, repr(value)) for name, value in known if value.is_certain]
    # What is only named says nothing, or less than the other recording may know.
    return dict(one for one in shown if "<" not in one[1])


def differences(part, whole, most=10_000):
    """Where the first steps differ, and what is known of both differs."""
    found = []
    for one, other in itertools.islice(itertools.zip_longest(part, whole), most):
        if one is None or other is None or (one.function, one.offset) != (other.function, other.offset):
            return [*found, (one, other)]
        in_part, in_whole = values(one), values(other)
        both = in_part.keys() & in_whole.keys()
        found += [(one, name, in_part[name], in_whole[name]) for name in both if in_part[name] != in_whole[name]]
    return found


def within(replay, depth):
    """Steps of the frames that begin with fewer than `depth` others below them."""
    wanted = {}
    for step in replay:
        if step.frame not in wanted:
            wanted[step.frame] = len(step.frames) <= depth
        if wanted[step.frame]:
            yield step


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"<module>", "P", "a", "b", "c", "d", "P.a"}),
        (["--depth", "1"], {"<module>"}),
        (["--depth", "2"], {"<module>", "P", "a", "P.a"}),
        (["--depth", "3"], {"<module>", "P", "a", "b", "P.a"}),
        (["--function", "b"], {"b"}),
        (["--function", "a"], {"a", "P.a"}),
        (["-f", "P.*", "-f", "d"], {"d", "P.a"}),
        (["--exclude", "__main__.d"], {"<module>", "P", "a", "b", "c", "P.a"}),
        (["--include", "textwrap", "-f", "dedent"], {"dedent"}),
        (["--limit", "1"], {"<module>"}),
    ],
)
def test_what_is_recorded_is_what_run_reports(tmp_path, options, expected):
    program = tmp_path / "program.py"
    program.write_text(CALLS)
    replay, _ = recorded(tmp_path / "x.debugop", program, *options)
    assert {step.function for step in replay} - {"dedent.<locals>.<lambda>"} == expected


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_calls_only_so_deep(tmp_path, program, depth):
    whole, printed = recorded(tmp_path / "whole.debugop", program)
    part, also = recorded(tmp_path / "part.debugop", program, "--depth", depth)
    assert also == printed
    assert differences(part, within(whole, depth)) == []
    assert len(part) == sum(1 for _ in within(whole, depth))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_only_so_many_steps(tmp_path, program):
    whole, printed = recorded(tmp_path / "whole.debugop", program)
    for limit in (1, 50, 700, 10_000):
        part, also = recorded(tmp_path / "part.debugop", program, "--limit", limit)
        assert also == printed
        count = len(part)
        assert min(0.8 * limit, len(whole)) <= count <= 1.35 * limit + 40
        assert differences(part, itertools.islice(whole, count)) == []


def test_threads_and_children_that_come_later_are_not_recorded(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, threading\ndef f(n):\n    return [n] * n\nfor i in range(300):\n    f(i)\n"
        "t = threading.Thread(target=f, args=(7,))\nt.start(); t.join()\n"
        "if os.fork() == 0:\n    f(3)\n    os._exit(0)\nos.wait()\nprint(f(2))\n"
    )
    replay, printed = recorded(tmp_path / "x.debugop", program, "--limit", "500")
    assert printed == "[2, 2]\n"
    assert 400 < len(replay) < 700
    assert len({step.moment().thread for step in replay}) == 1
    assert run("info", tmp_path / "x.debugop").returncode == 0


def test_what_a_program_runs_afterwards_is_its_own_code(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "def f(n):\n    return n + 1\ncode = f.__code__\nfor i in range(1000):\n    f(i)\nprint(code is f.__code__, len(f.__code__.co_code) == len(code.co_code))\n"
        "import sys\nprint([type(one).__name__ for one in f.__code__.co_consts])\n"
    )
    _, printed = recorded(tmp_path / "x.debugop", program, "--limit", "50")
    plain = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert printed == plain.stdout


def test_a_recording_from_within_ends_by_itself(tmp_path):
    def count(n):
        return [index * 2 for index in range(n)]

    with debugop.record(tmp_path / "x.debugop", limit=100):
        for _ in range(50):
            count(20)
        # It is the program's still, until it is ended.
        assert debugop._core.is_recording()
        with pytest.raises(RuntimeError, match="a recording is being made already"):
            debugop.record(tmp_path / "y.debugop").start()
    assert not debugop._core.is_recording()
    with debugop.record(tmp_path / "y.debugop"):
        count(3)
    assert 80 <= len(debugop.open(tmp_path / "x.debugop")) <= 200
    assert "count" in {step.function.rsplit(".", 1)[-1] for step in debugop.open(tmp_path / "y.debugop")}


@pytest.mark.parametrize("options", [["--depth", "0"], ["--limit", "0"], ["--limit", "x"]])
def test_numbers_that_say_nothing(tmp_path, options):
    found = run("record", *options, "-o", tmp_path / "x", "-c", "1")
    assert (found.returncode, found.stdout) == (2, "")
    assert options[0] in found.stderr
    assert os.listdir(tmp_path) == []
