"""A packed recording shows at each step what it showed before."""

import pathlib
import subprocess
import sys

import debugop
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"

# What packing computes, and where it guesses wrong: overflow, NaN, subclasses, objects that change unseen.
PROGRAM = """
import math

class Vector:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def length(self):
        return math.sqrt(self.x * self.x + self.y * self.y)

class Odd(int):
    def __add__(self, other):
        return "odd"

def items(of):
    for index, item in enumerate(of):
        yield item, index

def walk():
    total = Vector(0.0, -0.0)
    for step in range(40):
        total = total + Vector(step / 7, -step ** 1.5)
        assert total.length() >= 0
    big = 2**62
    for _ in range(4):
        big += big
    numbers = [7.5 % -2, -7 // 2, -7 % 3, 1 << 62, ~5, abs(-2.5), float("nan"), 1e308 * 10, complex(1, -2), Odd(3) + 1]
    table = {number: name for number, name in zip("abc", numbers)}
    table["b"] = (1, 2)
    first, *rest = numbers
    one, two = table["b"]
    numbers[0], numbers[1] = numbers[1], numbers[0]
    numbers.sort(key=str)
    try:
        numbers[99]
    except IndexError as error:
        return [*items(rest), str(error), one + two, big, one is two, "a" in table, not rest]

for _ in range(3):
    walk()
"""


def command(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "debugop", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def slots(replay, step):
    return [
        (frame.number, frame.function, frame.offset, repr(frame.locals), repr(frame.stack))
        for frame in replay.at(step).frames
    ]


def every_slot(path):
    replay = debugop.open(path)
    for step in range(len(replay)):
        yield slots(replay, step)


def check(source, directory):
    command("record", "-o", "run.debugop", source, cwd=directory)
    command("pack", "run.debugop", "-o", "packed.debugop", cwd=directory)
    before, after = every_slot(directory / "run.debugop"), every_slot(directory / "packed.debugop")
    for step, (one, other) in enumerate(zip(before, after, strict=True)):
        assert one == other, step
    command("pack", "packed.debugop", "-o", "again.debugop", cwd=directory)
    assert (directory / "again.debugop").read_bytes() == (directory / "packed.debugop").read_bytes()


def test_every_slot_is_what_it_was(tmp_path):
    source = tmp_path / "program.py"
    source.write_text(PROGRAM)
    check(source, tmp_path)
    packed_stream = b"\xf3chunk\r\n\x03\x06"
    assert packed_stream not in (tmp_path / "run.debugop").read_bytes()
    assert packed_stream in (tmp_path / "packed.debugop").read_bytes()


def test_a_step_of_a_recording_that_has_not_been_looked_at(tmp_path):
    """It is unpacked up to there only."""
    source = tmp_path / "program.py"
    source.write_text(PROGRAM)
    command("record", "-o", "run.debugop", source, cwd=tmp_path)
    command("pack", "run.debugop", "-o", "packed.debugop", cwd=tmp_path)
    for step, expected in enumerate(every_slot(tmp_path / "run.debugop")):
        if step % 41 == 0:
            assert slots(debugop.open(tmp_path / "packed.debugop"), step) == expected, step


@pytest.mark.parametrize("name", ["classes", "exceptions", "generators", "threads", "async_generators", "unpacking"])
def test_examples(name, tmp_path):
    check(EXAMPLES / f"{name}.py", tmp_path)


def test_what_is_intact_of_a_packed_recording_is_recovered(tmp_path):
    source = tmp_path / "program.py"
    source.write_text(PROGRAM)
    command("record", "-o", "run.debugop", source, cwd=tmp_path)
    command("pack", "run.debugop", cwd=tmp_path)
    (tmp_path / "cut.debugop").write_bytes((tmp_path / "run.debugop").read_bytes()[:-70])
    command("info", "cut.debugop", "--recover", "saved.debugop", cwd=tmp_path)
    assert list(every_slot(tmp_path / "saved.debugop")) == list(every_slot(tmp_path / "run.debugop"))
