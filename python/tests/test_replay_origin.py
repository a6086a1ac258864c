"""Where `origin` says that arguments and returned values come from, compared with what the program passed."""

import subprocess
import sys

import debugop
import pytest

# `first()` and `second()` return equal numbers: which of them was passed, only the call tells.
PROGRAM = """\
def first():
    return int("5")
def second():
    return int("5")
def constant():
    return 1234567
def use(a, b=5, *rest, c=5, d=5, **more):
    return a
class Class:
    def __init__(self, a, b):
        self.a = a
    def method(self, a, b):
        return a
    def __add__(self, a):
        return a
    def __call__(self, a, b):
        return a
def main():
    p = first()
    q = second()
    use(p, q)
    use(b=p, a=q)
    use(p, c=q)
    use(q, d=p, c=q)
    use(q)
    use(*(p, q))
    made = Class(p, q)
    made.method(p, q)
    bound = made.method
    bound(q, b=p)
    made + p
    made(p, q)
    list(map(use, [p, q]))
    use(constant())
    use("text")
main()
"""
LINES = PROGRAM.splitlines()


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin")
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "debugop", "record", "-o", "program.debugop", "program.py"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return debugop.open(folder / "program.debugop")


def origin(replay, line, function, name):
    """The functions of the hops from an argument of what is called in a line of `main`, at its first step."""
    at = 1 + LINES.index(f"    {line}")
    calls = (call for call in replay.calls(function) if replay.at(call["step"]).frames[-2].line == at)
    hops = replay.origin(name, next(calls)["step"])
    assert hops[0]["kind"] == "argument"
    return [hop["function"] for hop in hops[1:]]


P, Q = ["main", "first"], ["main", "second"]


@pytest.mark.parametrize(
    ("line", "function", "name", "expected"),
    [
        ("use(p, q)", "use", "a", P),
        ("use(p, q)", "use", "b", Q),
        ("use(p, q)", "use", "c", []),
        ("use(b=p, a=q)", "use", "a", Q),
        ("use(b=p, a=q)", "use", "b", P),
        ("use(p, c=q)", "use", "b", []),
        ("use(p, c=q)", "use", "c", Q),
        ("use(q, d=p, c=q)", "use", "d", P),
        ("use(q, d=p, c=q)", "use", "c", Q),
        ("use(q)", "use", "b", []),
        ("use(*(p, q))", "use", "a", P),
        ("made = Class(p, q)", "Class.__init__", "a", P),
        ("made = Class(p, q)", "Class.__init__", "b", Q),
        ("made.method(p, q)", "Class.method", "a", P),
        ("made.method(p, q)", "Class.method", "b", Q),
        ("bound(q, b=p)", "Class.method", "a", Q),
        ("bound(q, b=p)", "Class.method", "b", P),
        ("made + p", "Class.__add__", "a", P),
        ("list(map(use, [p, q]))", "use", "a", []),
        ('use("text")', "use", "a", ["main"]),
    ],
)
def test_origin_of_an_argument_is_the_operand_that_was_passed(replay, line, function, name, expected):
    assert origin(replay, line, function, name) == expected


def test_origin_of_a_method_that_an_instance_call_finds_is_not_guessed(replay):
    assert origin(replay, "made(p, q)", "Class.__call__", "b") in (Q, [])


def test_origin_goes_through_the_return_of_a_constant(replay):
    (call,) = (call for call in replay.calls("use") if str(call["arguments"]["a"]) == "1234567")
    hops = replay.origin("a", call["step"])
    assert [(hop["function"], hop["kind"]) for hop in hops] == [
        ("use", "argument"),
        ("main", "returned"),
        ("constant", "literal"),
    ]
    assert hops[-1]["value"].value == 1234567
