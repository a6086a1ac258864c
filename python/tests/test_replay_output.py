"""What a program has written, as a recording tells it: all of it, in order, each with the step that wrote it."""

import itertools
import json
import subprocess
import sys

import debugop
import pytest

PROGRAM = """\
import asyncio, contextlib, io, logging, os, sys, threading, traceback, warnings

class Shown:
    def __str__(self):
        sys.stderr.write("shown ")
        print("inside", end=" ")
        return "outside"

class Left:
    def __del__(self):
        print("left")

def plain(count):
    for number in range(count):
        print("plain", number)

def nested():
    print(Shown(), Shown())

def generated():
    for number in range(3):
        print("generated", number)
        yield number

def raised():
    try:
        1 / 0
    except ZeroDivisionError:
        traceback.print_exc(limit=1)
        print("raised")

def dropped():
    left = Left()
    left = None
    print("dropped")

def by_c():
    list(map(print, "abc"))
    sorted([3, 1, 2], key=lambda number: print("key", number) or number)
    sys.stdout.writelines(["one\\n", "two\\n"])
    os.write(1, b"\\xff\\n") if sys.stdout.flush() is None else None
    print("long" * 5000)
    print("\\u20ac", "\\x1b[0m")

def redirected():
    with contextlib.redirect_stdout(io.StringIO()):
        print("not written")
    print("written")

async def task(name):
    for number in range(3):
        print("task", name, number)
        await asyncio.sleep(0)

async def tasks():
    await asyncio.gather(task("a"), task("b"))

lock = threading.Barrier(2)

def thread(name):
    for number in range(20):
        print(f"thread {name} {number}\\n", end="")
        lock.wait()

def threads():
    all = [threading.Thread(target=thread, args=(name,)) for name in "xy"]
    for one in all: one.start()
    for one in all: one.join()

def logged():
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.warning("logged %s", 1)
    warnings.warn("warned")

def main():
    plain(5)
    nested()
    list(generated())
    raised()
    dropped()
    by_c()
    redirected()
    asyncio.run(tasks())
    threads()
    logged()

main()
sys.stdout.flush()
"""

# Where what begins so is written: the function, and the text of its line.
PLACES = {
    "plain": ("plain", 'print("plain", number)'),
    "inside": ("Shown.__str__", 'print("inside", end=" ")'),
    "shown": ("Shown.__str__", 'sys.stderr.write("shown ")'),
    "outside": ("nested", "print(Shown(), Shown())"),
    "generated": ("generated", 'print("generated", number)'),
    "raised": ("raised", 'print("raised")'),
    "left": ("Left.__del__", 'print("left")'),
    "dropped": ("dropped", 'print("dropped")'),
    "key": ("by_c.<locals>.<lambda>", "sorted("),
    "one": ("by_c", "sys.stdout.writelines"),
    "long": ("by_c", 'print("long" * 5000)'),
    "written": ("redirected", 'print("written")'),
    "task": ("task", 'print("task", name, number)'),
    "thread": ("thread", "print(f"),
    "Traceback": ("raised", "traceback.print_exc(limit=1)"),
    "logged": ("logged", 'logging.warning("logged %s", 1)'),
}


def record(directory, *options, text=PROGRAM):
    program = directory / "program.py"
    program.write_text(text)
    path = directory / "run.debugop"
    done = subprocess.run(
        [sys.executable, "-m", "debugop", "record", *options, "-o", path, program], capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return path, done


@pytest.fixture(scope="module", params=["recorded", "packed", "everything"])
def recorded(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    path, done = record(directory, *(["--all"] if request.param == "everything" else []))
    if request.param == "packed":
        path, plain = directory / "packed.debugop", path
        subprocess.run([sys.executable, "-m", "debugop", "pack", plain, "-o", path], check=True, capture_output=True)
    return path, done, request.param == "everything"


def test_all_of_it_is_there(recorded):
    path, done, _ = recorded
    output = debugop.open(path).output()
    by_stream = {"stdout": b"", "stderr": b""}
    for one in output:
        by_stream[one["stream"]] += one["bytes"]
    # Two threads that write at the same time may come in another order.
    assert sorted(by_stream["stdout"].splitlines()) == sorted(done.stdout.splitlines())
    alone = [
        [line for line in text.splitlines() if b"thread" not in line] for text in (by_stream["stdout"], done.stdout)
    ]
    assert alone[0] == alone[1]
    # What debugop itself says there comes when the recording is over.
    assert done.stderr.startswith(by_stream["stderr"])
    assert b"shown " in by_stream["stderr"]


def test_with_the_step_that_wrote_it(recorded):
    path, _, everything = recorded
    recording = debugop.open(path)
    lines = PROGRAM.splitlines()
    seen = set()
    for one in recording.output():
        found = next((place for place in PLACES.items() if one["text"].startswith(place[0])), None)
        if found is None:
            continue
        begin, (function, text) = found
        assert one["step"] is not None, one
        step = recording.at(one["step"]).frames[-1]
        if everything and begin in ("Traceback", "logged"):
            # The library's own frames have written it.
            seen.add(begin)
            continue
        assert step.function == function, one
        assert text in lines[step.line - 1], one
        assert step.opname.startswith(("CALL", "DELETE", "STORE")), step.opname
        seen.add(begin)
    assert seen == set(PLACES)


def test_steps_of_one_thread_are_in_order(recorded):
    path, _, _ = recorded
    output = [one for one in debugop.open(path).output() if one["step"] is not None]
    for _, of_thread in itertools.groupby(sorted(output, key=lambda one: one["thread"]), lambda one: one["thread"]):
        steps = [
            one["step"] for one in of_thread if one["text"].startswith(("plain", "generated", "task", "thread", "key"))
        ]
        assert steps == sorted(steps)
    assert len({one["thread"] for one in output}) == 3


def command(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "debugop", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_and_events_say_the_same(recorded):
    path, _, _ = recorded
    recording = debugop.open(path)
    output = recording.output()
    told = [json.loads(line) for line in command("query", "output", path, "--json").splitlines()]
    assert [(one["step"], one["stream"]) for one in told] == [(one["step"], one["stream"]) for one in output]
    errors = command("query", "output", path, "--stream", "stderr", "--contains", "shown").splitlines()
    assert len([line for line in errors if "stderr  'shown '" in line]) == 2
    order = sorted((one["step"], one["text"]) for one in output if one["step"] is not None)
    shown = [json.loads(line) for line in command("show", path, "--format", "jsonl").splitlines()]
    outputs = [line for line in shown if line["kind"] == "output" and line["step"] is not None]
    assert sorted(line["step"] for line in outputs) == [step for step, _ in order]
    for one, before in zip(shown[1:], shown, strict=False):
        if one["kind"] == "output" and before["kind"] == "step" and one["step"] is not None:
            assert before["step"] >= one["step"]
    events = [event for event in recording.events() if event["event"] == "output" and event["step"] is not None]
    assert sorted((event["step"], event["text"]) for event in events) == order
    assert "▸ stdout 'plain 0\\n'" in command("show", path, "-f", "plain")
    assert "generated" not in command("show", path, "-f", "plain")


def test_of_a_ring_the_end_is_known(tmp_path):
    program = "import random\nfor number in range(20_000):\n    print(number, f'{random.getrandbits(2000):x}')\n"
    path, done = record(tmp_path, "--ring", "1M", text=program)
    output = debugop.open(path).output()
    assert 1000 < len(output) < 20_000
    assert done.stdout.endswith(b"".join(one["bytes"] for one in output))
    assert all(one["step"] is not None for one in output[1:])
