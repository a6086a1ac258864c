"""What may have changed unseen is marked wherever it is shown; what has been looked at just now is not."""

import json
import subprocess
import sys

import debugop
import pytest

PROGRAM = """\
def main():
    buffer = bytearray(b"abcdef")
    view = memoryview(buffer)
    view[1:3] = b"XY"
    items = [1]
    items.append(2)
    kept = items
    append = [items.append]
    append[0](3)
    nested = {"in": [items]}
    return buffer
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certain")
    (folder / "program.py").write_text(PROGRAM)
    command(folder, "record", "-o", "program.debugop", "program.py")
    return folder


def command(folder, *arguments):
    found = subprocess.run(
        [sys.executable, "-m", "debugop", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return found.stdout


def at(replay, line):
    """The locals when execution comes to a line of `main`."""
    (step,) = replay.hits("program.py", line)
    return step, replay.at(step).frames[-1].locals


def test_what_a_view_has_changed_is_marked(folder):
    replay = debugop.open(folder / "program.debugop")
    step, values = at(replay, 5)
    assert values["buffer"].is_whole
    assert not values["buffer"].is_certain
    assert str(values["buffer"]) == "bytearray(b'abcdef')"
    assert values["buffer"].value == b"abcdef"
    assert "buffer = bytearray(b'abcdef')" in command(folder, "query", "state", "program.debugop", str(step))
    lines = command(folder, "query", "state", "program.debugop", str(step), "--json").splitlines()
    (shown,) = (value for frame in map(json.loads, lines) for name, value in frame["locals"] if name == "buffer")
    assert shown == {"type": "bytearray", "certain": False, "hex": "616263646566", "length": 6}


def test_what_has_just_been_looked_at_is_not_marked(folder):
    replay = debugop.open(folder / "program.debugop")
    _, values = at(replay, 7)
    assert values["items"].is_certain
    assert str(values["items"]) == "[1, 2]"


def test_what_is_in_a_container_is_marked_too(folder):
    replay = debugop.open(folder / "program.debugop")
    _, values = at(replay, 11)
    assert not values["nested"].is_certain
    assert values["nested"].attributes is None


def test_the_report_marks_it_if_it_is_asked_to(folder):
    shown = command(folder, "show", "program.debugop", "--doubts")
    assert "main returns bytearray(b'abcdef')?" in shown
    events = command(folder, "show", "program.debugop", "--doubts", "--format", "jsonl").splitlines()
    assert '"certain": false' in json.dumps([json.loads(event) for event in events])
    assert "?" not in command(folder, "show", "program.debugop")
