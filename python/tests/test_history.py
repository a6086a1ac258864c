"""A live session that keeps history: what is recorded at each stop is what has been executed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

PROGRAM = """\
class Counter:
    step = 2

    def __init__(self, start):
        self.value = start

    def more(self):
        self.value += self.step
        return self.value


def numbers(limit):
    for i in range(limit):
        yield i
        yield -i


def deep(n):
    if n == 0:
        raise KeyError("deep")
    return deep(n - 1) + 1


def guarded(n):
    try:
        return deep(n)
    except KeyError as error:
        return str(error)
    finally:
        n = None


def plain():
    a = 1
    b = a
    c = b
    while c < 3:
        c = c + 1
    return a, b, c


def main():
    counter = Counter(1)
    total = 0
    while counter.more() < 5:
        total += counter.value
    total += sum(numbers(2))
    squares = [
        i * i
        for i in range(3)
        if i
    ]
    text = guarded(1)
    with open(__file__) as file:
        file.read(1)
    words = sorted("ba", key=lambda word: -ord(word))
    return total, squares, text, plain(), words


main()
"""

# What the interpreter tells of and debugop does not report (`debugop_bytecode::Silent`).
SILENT = ("END_FOR", "POP_ITER")


@pytest.mark.parametrize("kind", ["step", "stepi"])
def test_what_is_recorded_at_each_stop_is_what_has_been_executed(tmp_path, kind):
    script, output = tmp_path / "flow.py", tmp_path / "stops.json"
    script.write_text(PROGRAM)
    command = "import sys; sys.path.insert(0, sys.argv[1]); del sys.argv[1]; import driver"
    subprocess.run(
        [sys.executable, "-c", command, HERE / "history", kind, script, output],
        check=True,
        timeout=60,
        capture_output=True,
    )
    told = json.loads(output.read_text())
    every, stops = told["every"], told["stops"]
    assert len(every) > 200
    assert told["replayed"] == len(every) + told["others"]
    compared = 0
    for stop in stops:
        if stop["last"] is None:
            continue
        # The last step that is recorded is where it stands, or what it is in the middle of.
        assert stop["last"] == every[stop["steps"] - told["others_before"] - 1], stop
        if not stop["is_there"]:
            continue
        compared += 1
        for name, value in stop["locals"].items():
            # What the instructions since the last look have made is not known yet.
            assert value in (stop["live"][name], "<unknown: not known yet>"), stop
        assert stop["locals"].keys() == stop["live"].keys(), stop
    assert compared > 0.6 * len(stops)
    visited = {tuple(stop["at"][:2]) for stop in stops if stop["is_there"]}
    if kind == "stepi":
        missing = {tuple(step) for step in every} - visited
        assert len(missing) < 30, missing
