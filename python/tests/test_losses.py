"""What is not in a recording is said: at which step, and what; and nothing is shown across it as if it were known."""

import json
import os
import re
import signal
import subprocess
import sys

import debugop
import pytest

resource = pytest.importorskip("resource", reason="this system has no limits")

MARKER = b"\xf3chunk\r\n"
STREAM = 3

PROGRAM = """
total = 0
def add(number):
    global total
    total = total + number
    return [number, str(number)]
def work(count):
    made = None
    kept = count
    for number in range(count):
        made = add(number)
    return made
early = 1
work(2000)
late = 2
"""


def run(*arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 300, **options}
    return subprocess.run([sys.executable, "-m", "debugop", *map(str, arguments)], check=False, **options)


def places(path):
    return [(step.function, step.offset) for step in debugop.open(path)]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A recording, and what was saved of it when three chunks in its middle were damaged."""
    folder = tmp_path_factory.mktemp("losses")
    whole, damaged, saved = (folder / f"{name}.debugop" for name in ("whole", "damaged", "saved"))
    found = run("record", "-o", whole, "--chunk", 2000, "-c", PROGRAM)
    assert found.returncode == 0, found.stderr
    contents = bytearray(whole.read_bytes())
    chunks = [at.start() for at in re.finditer(re.escape(MARKER), contents) if contents[at.start() + 8] == STREAM]
    assert len(chunks) > 10
    for at in chunks[5:8]:
        contents[at + 60] ^= 255
    damaged.write_bytes(contents)
    assert run("info", damaged, "--recover", saved).returncode == 0
    return whole, saved


def test_a_whole_recording_misses_nothing(recordings):
    whole, _ = recordings
    assert debugop.open(whole).losses() == []
    assert "missing" not in run("info", whole).stdout
    assert "╌╌╌" not in run("show", whole).stdout


def test_a_gap_is_where_chunks_are_missing(recordings):
    whole, saved = recordings
    (loss,) = debugop.open(saved).losses()
    assert loss["what"] == "chunks"
    before, after = places(whole), places(saved)
    at = loss["step"]
    assert 100 < at < len(after) < len(before)
    # What is there is what was there, up to the gap and from it on.
    assert after[:at] == before[:at]
    assert after[at:] == before[len(before) - len(after) + at :]


def test_what_is_saved_twice_has_the_same_gap(recordings, tmp_path):
    whole, saved = recordings
    again = tmp_path / "again.debugop"
    contents = saved.read_bytes()
    cut = tmp_path / "cut.debugop"
    cut.write_bytes(contents[:-70])
    assert run("info", cut, "--recover", again).returncode == 0
    assert debugop.open(again).losses() == debugop.open(saved).losses()
    about = [json.loads(run("info", "--json", path).stdout)["summary"] for path in (whole, saved, again)]
    assert len({one["duration"] for one in about}) == 1 < about[0]["duration"]


def test_a_gap_is_said_everywhere(recordings):
    _, saved = recordings
    (loss,) = debugop.open(saved).losses()
    said = f"missing at step {loss['step']}: {loss['text']}"
    assert re.search(rf"^missing +at step {loss['step']}: a part is missing", run("info", saved).stdout, re.MULTILINE)
    assert json.loads(run("info", "--json", saved).stdout)["losses"] == [loss]
    assert said in run("query", "calls", saved, "work").stdout
    around = f"{loss['step'] - 3}..{loss['step'] + 3}"
    text = run("show", saved, "-s", around).stdout
    assert f"╌╌╌ step {loss['step']}: a part is missing" in text
    # Nothing is missing before its first step.
    assert "╌╌╌" not in run("show", saved, "-s", f"{loss['step']}..{loss['step'] + 3}").stdout
    lines = [json.loads(line) for line in run("show", saved, "--format", "jsonl", "-s", around).stdout.splitlines()]
    told = [(line["kind"], line["step"]) for line in lines if line["kind"] in ("lost", "step")]
    at = loss["step"]
    steps = [("step", step) for step in range(at - 3, at + 3)]
    assert told == [*steps[:3], ("lost", at), *steps[3:]]
    assert lines[[line["kind"] for line in lines].index("lost")] == {"kind": "lost", **loss}
    console = run("debug", saved, input=f"goto {at - 2}\nsi\nsi\nrsi\ninfo\nq\n").stdout
    assert console.count(f"*** {said}") == 2
    assert console.count(said) == 3


def test_nothing_is_known_across_a_gap(recordings):
    whole, saved = recordings
    replay, complete = debugop.open(saved), debugop.open(whole)
    at = replay.losses()[0]["step"]
    # It is the first binding of the variable behind the gap that is known again.
    writes = [write["step"] for write in replay.writes("total", at)]
    first = next(step for step in writes if step >= at)
    assert replay.last_write("total", at) is None
    assert replay.last_write("total", first) is None
    assert replay.last_write("total", first + 1)["step"] == first
    assert replay.last_write("early", at) is None
    assert complete.last_write("early", at) is not None
    # What the frame's variable came from is in the gap, or before it.
    assert replay[at].frames[-2].function == "work" or replay[at].frames[-1].function == "work"
    step = next(step for step in range(at, at + 100) if replay[step].frames[-1].function == "work")
    assert replay[step].frames[-1].locals["kept"].value == 2000
    assert [hop["kind"] for hop in replay.origin("kept", step)] == []
    for held in replay.states("total", at):
        assert held["last"] < at or held["first"] >= at
    console = run("debug", saved, input=f"goto {first}\np total\np early\nsi\np total\nq\n").stdout
    assert console.count("is not recorded here") == 2


def test_what_a_ring_has_dropped_is_said(tmp_path):
    path = tmp_path / "x.debugop"
    # Numbers that do not compress.
    code = """
def f(n):
    return [n, str(n)]
n = 1
for _ in range(100_000):
    n = n * 6364136223846793005 + 1442695040888963407 & (1 << 62) - 1
    made = f(n)
"""
    run("record", "-o", path, "--ring", "1M", "-c", code)
    (loss,) = debugop.open(path).losses()
    assert (loss["step"], loss["what"]) == (0, "beginning")
    assert "╌╌╌ step 0: the first " in run("show", path, "-s", "..5").stdout
    assert "*** missing at step 0: the first " in run("debug", path, input="q\n").stdout


def test_what_was_too_large_is_said_at_its_step(tmp_path):
    path = tmp_path / "x.debugop"
    run("record", "-o", path, "-c", "import sys\nkept = 1\nsys.stdout.write('x' * 20_000_000)\nkept = 2")
    (loss,) = debugop.open(path).losses()
    assert loss["what"] == "output"
    replay = debugop.open(path)
    assert replay[loss["step"]].frames[-1].line == 3
    # No step is missing.
    assert replay.last_write("kept", len(replay) - 1)["value"].value == 2


def limited():
    # The tail beside it has 8 MiB.
    resource.setrlimit(resource.RLIMIT_FSIZE, (9 << 20, 9 << 20))


@pytest.mark.skipif(sys.platform != "linux", reason="the system says by a number why, and these are Linux's")
def test_the_end_of_a_recording_that_could_not_be_written_is_said(tmp_path):
    path = tmp_path / "x.debugop"
    code = """
def f(n):
    return [n, str(n)]
n = 1
for _ in range(1_200_000):
    n = n * 6364136223846793005 + 1442695040888963407 & (1 << 62) - 1
    made = f(n)
print("ran")
"""
    found = run("record", "-o", path, "-c", code, preexec_fn=limited)
    assert found.stdout == "ran\n"
    assert "File too large" in found.stderr
    assert re.search(r"^ended +recording failed: File too large", run("info", path).stdout, re.MULTILINE)
    replay = debugop.open(path)
    (loss,) = replay.losses()
    assert (loss["step"], loss["what"]) == (len(replay), "end")
    assert "File too large" in loss["text"]
    shown = run("show", path, "-s", f"{len(replay) - 5}..").stdout
    assert f"╌╌╌ step {len(replay)}: the recording ends here" in shown
    assert "could not be written" in run("debug", path, input="goto end\nq\n").stdout


def test_the_end_of_a_killed_recording_is_said(tmp_path):
    path = tmp_path / "x.debugop"
    code = "import os, signal\nkept = 1\nos.kill(os.getpid(), signal.SIGKILL)"
    assert run("record", "-o", path, "-c", code).returncode == -signal.SIGKILL
    replay = debugop.open(path)
    (loss,) = replay.losses()
    assert (loss["step"], loss["what"]) == (len(replay), "end")
    assert "killed" in loss["text"]
    assert f"╌╌╌ step {len(replay)}: the recording ends here" in run("show", path).stdout
    saved = tmp_path / "saved.debugop"
    assert run("info", path, "--recover", saved).returncode == 0
    assert [loss["what"] for loss in debugop.open(saved).losses()] == ["end"]
    assert os.path.getsize(saved) > 500
