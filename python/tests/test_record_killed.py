"""A Python that records is killed at any moment: its recording is replayed to the end, and everything that the program has said is in it.

`make test-kill-python` does this 1000 times (`KILLS=n`).
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from debugop import _core

PROGRAM = Path(__file__).resolve().parent / "recorded" / "killed.py"
KILLS = int(os.environ.get("KILLS") or 12)
# A round of the program has more steps than this.
ROUND = 3000
# Seconds after the program's first words.
LATEST = 0.3


def kill(turn, folder, options):
    """Steps of the recording of a process that was killed in the middle, and rounds of the program that it has told of."""
    path = folder / f"{turn}.debugop"
    command = [sys.executable, "-m", "debugop", "record", *options, "-o", path, PROGRAM]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n", process.stderr.read()
        time.sleep(random.Random(turn).uniform(0, LATEST))
        process.send_signal(signal.SIGKILL)
        rounds = process.stdout.read().count(b".")
        assert process.wait() == -signal.SIGKILL
    steps = _core.replay_recording(os.fspath(path))
    for file in folder.glob(f"{turn}.debugop*"):
        file.unlink()
    return steps, rounds


@pytest.mark.timeout(max(120, 20 * KILLS))
@pytest.mark.parametrize("options", [["--all"], []], ids=["everything", "its own"])
def test_what_was_recorded_survives(options, tmp_path):
    found = [kill(turn, tmp_path, options) for turn in range(KILLS // 2)]
    for turn, (steps, rounds) in enumerate(found):
        assert steps > rounds * ROUND, f"turn {turn}"
    assert sum(rounds for _, rounds in found) > KILLS // 4
