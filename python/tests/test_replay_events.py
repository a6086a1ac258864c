"""Lines, starts of frames and events of a recording, gone through both ways, and what is known of globals."""

import json
import subprocess
import sys
from pathlib import Path

import debugop
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

LONG = """\
class Kept:
    def __init__(self, number):
        self.number = number

    def __len__(self):
        if self.number % 7 == 3:
            raise ValueError(self.number)
        return self.number

def numbers(count):
    for number in range(count):
        yield number

kept, failed = {}, 0
for number in numbers(15_000):
    try:
        kept[str(number)] = [len(Kept(number)), str(number * 7)]
    except ValueError:
        failed += 1
print(len(kept), failed)
"""


def command(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "debugop", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["classes", "exceptions", "generators", "threads", "long"])
def recorded(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    program = EXAMPLES / f"{request.param}.py"
    if request.param == "long":
        program = directory / "long.py"
        program.write_text(LONG)
    command("record", "-o", "run.debugop", program, cwd=directory)
    return directory / "run.debugop"


def test_lines_are_the_hits_of_all_lines(recorded):
    replay = debugop.open(recorded)
    lines = [step.step for step in replay.lines()]
    assert lines == sorted(lines)
    assert [step.step for step in reversed(replay.lines())] == lines[::-1]
    places = {(step.file, step.line) for step in replay if step.line is not None}
    hits = [hit for file, line in places for hit in replay.hits(file, line)]
    assert sorted(hits) == lines


def test_starts_are_the_calls_of_all_functions(recorded):
    replay = debugop.open(recorded)
    starts = [step.step for step in replay.starts()]
    assert [step.step for step in reversed(replay.starts())] == starts[::-1]
    functions = {step.function for step in replay}
    calls = {call["step"] for function in functions for call in replay.calls(function)}
    assert sorted(calls) == starts


def test_events_are_those_of_the_report(recorded):
    told = []
    codes = {}
    for line in command("show", "--format", "jsonl", recorded, cwd=recorded.parent).splitlines():
        line = json.loads(line)
        if line.get("kind") == "code":
            codes[line["code"]] = line["qualname"]
        event = line.get("frame_event") if line.get("kind") == "step" else line.get("event")
        if event and line.get("kind") in ("step", "event"):
            told.append((line["step"], event, codes[line["code"]], line["offset"], line["frame"], line.get("from")))
    replay = debugop.open(recorded)

    def place(event):
        return (*(event[name] for name in ("step", "event", "function", "offset", "frame")), event.get("from"))

    # Those of threads and output are in tests of their own.
    def in_frames(events):
        return [place(event) for event in events if "function" in event]

    events = in_frames(replay.events())
    assert events == told
    assert {"enter", "return", "c_call", "c_return"} <= {event[1] for event in events}
    assert in_frames(reversed(replay.events())) == events[::-1]


def test_events_have_what_they_are_about(tmp_path):
    (tmp_path / "long.py").write_text(LONG.replace("15_000", "8"))
    command("record", "-o", "run.debugop", "long.py", cwd=tmp_path)
    events = list(debugop.open(tmp_path / "run.debugop").events())
    raised = [event for event in events if event["event"] == "raise"]
    assert [(event["function"], str(event["exception"])) for event in raised] == [("Kept.__len__", "ValueError(3)")]
    yielded = [event["value"] for event in events if event["event"] == "yield"]
    assert yielded == list(range(8))
    lengths = [
        event["result"]
        for event in events
        if event["event"] == "c_return" and str(event["callable"]) == "<built-in len>"
    ]
    assert lengths[-1] == 7


GLOBALS = """\
LIMIT = 2
seen = []
def add(number):
    global LIMIT
    seen.append(number)
    if number == LIMIT:
        LIMIT = None
        del later
    return LIMIT
class Inner:
    LIMIT = "of the class"
    seen = "of the class"
later = "bound later"
def ends():
    return add, LIMIT, seen
for number in range(3):
    add(number) if number < 2 else ends()
del later
ends()
"""


def test_globals_are_what_was_bound_last(tmp_path):
    (tmp_path / "program.py").write_text(GLOBALS)
    command("record", "-o", "run.debugop", "program.py", cwd=tmp_path)
    replay = debugop.open(tmp_path / "run.debugop")
    added = [call["step"] for call in replay.calls("add")]
    before = replay.at(added[1]).frames[-1].globals
    assert (before["LIMIT"], before["seen"]) == (2, [0])
    assert "later" not in before, "no code of add names it as a global"
    ends = replay.calls("ends")[-1]
    now = replay.at(ends["end"]).frames[-1].globals
    assert set(now) == {"add", "LIMIT", "seen"}
    assert (now["LIMIT"], now["seen"]) == (2, [0, 1])
    module = replay.at(ends["end"]).frames[0].globals
    assert set(module) == {"LIMIT", "seen", "add", "Inner", "ends", "number"}
    assert module["number"] == 2
    first = replay.at(1).frames[-1].globals
    assert first == {}


def test_threads_begin_and_end(tmp_path):
    (tmp_path / "program.py").write_text(
        "import threading\n"
        "def work(number):\n"
        "    return number\n"
        "for number in range(3):\n"
        "    thread = threading.Thread(target=work, args=(number,), name=f'worker {number}')\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "end = 1\n"
    )
    command("record", "-o", "run.debugop", "program.py", cwd=tmp_path)
    replay = debugop.open(tmp_path / "run.debugop")
    told = [event for event in replay.events() if event["event"].startswith("thread_")]
    assert [event.get("name") for event in told if event["event"] == "thread_start"][1:] == [
        f"worker {n}" for n in range(3)
    ]
    begun = {event["thread"]: event["step"] for event in told if event["event"] == "thread_start"}
    ended = {event["thread"]: event["step"] for event in told if event["event"] == "thread_end"}
    assert len(begun) == 4
    assert len(ended) == 3
    assert all(begun[thread] < step for thread, step in ended.items())
    assert [event for event in reversed(replay.events()) if event["event"].startswith("thread_")] == told[::-1]
    shown = [
        json.loads(line) for line in command("show", "run.debugop", "--format", "jsonl", cwd=tmp_path).splitlines()
    ]
    assert [(line["event"], line["step"], line["thread"]) for line in shown if line["kind"] == "thread"] == [
        (event["event"].removeprefix("thread_"), event["step"], event["thread"]) for event in told
    ]
    text = command("show", "run.debugop", cwd=tmp_path)
    assert "═══ thread 2 worker 0" in text
    assert "═══ thread 4 ended" in text
