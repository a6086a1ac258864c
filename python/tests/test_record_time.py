"""The time of a step: noted behind what may have waited, however little is recorded meanwhile."""

import subprocess
import sys

import debugop
import pytest

WAITS = {
    "sleep": "time.sleep(0.3)",
    "another name": "wait(0.3)",
    "select": "select.select([], [], [], 0.3)",
    "a lock": "lock.acquire(timeout=0.3)",
    "a thread's end": "thread = threading.Thread(target=time.sleep, args=(0.3,)); thread.start(); thread.join()",
    "a library": "threading.Event().wait(0.3)",
    "a process": "subprocess.run(['sleep', '0.3'])",
    "a signal": "signal.sigtimedwait([signal.SIGUSR1], 0.3)",
}

PROGRAM = """
import select, signal, subprocess, threading, time
wait = time.sleep
lock = threading.Lock()
lock.acquire()
def before():
    return 1
def after():
    return 2
def main():
    for turn in range(3):
        before()
        {waits}
        after()
main()
"""

ASYNC = """
import asyncio
def before():
    return 1
def after():
    return 2
async def main():
    for turn in range(3):
        before()
        await asyncio.sleep(0.3)
        after()
asyncio.run(main())
"""

PROGRAMS = {name: PROGRAM.format(waits=waits) for name, waits in WAITS.items()} | {"asyncio": ASYNC}


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_comes_behind_what_waits_has_another_time(tmp_path, program):
    path = tmp_path / "x.debugop"
    command = [sys.executable, "-m", "debugop", "record", "-o", path, "-c", PROGRAMS[program]]
    subprocess.run(command, check=True, capture_output=True)
    replay = debugop.open(path)
    befores, afters = ([call["step"] for call in replay.calls(name)] for name in ("before", "after"))
    assert len(befores) == len(afters) == 3
    for before, after in zip(befores, afters, strict=True):
        waited = (replay.at(after).time - replay.at(before).time) / 1e9
        assert 0.25 < waited < 0.6
        # Searched for by time, the first step that came then is one behind the call that has waited.
        middle = replay.at(before).time + 200_000_000
        (found, *_) = replay.steps(time=(middle, replay.at(-1).time + 1), limit=1)
        assert before < found <= after


def test_time_goes_on(tmp_path):
    path = tmp_path / "x.debugop"
    code = """
import time
def f(n):
    return [n, str(n)]
for turn in range(30):
    for n in range(200):
        f(n)
    time.sleep(0.002)
"""
    command = [sys.executable, "-m", "debugop", "record", "-o", path, "--chunk", "5000", "-c", code]
    subprocess.run(command, check=True, capture_output=True)
    replay = debugop.open(path)
    times = [replay.at(step).time for step in range(0, len(replay), 37)]
    assert times == sorted(times)
    assert times[-1] > 60_000_000
    # Every sleep is seen.
    assert len({time // 2_000_000 for time in times}) >= 30
