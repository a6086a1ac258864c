"""Recordings that a signal handler begins and ends wherever the threads of a program are: each can be replayed to its end, and its variables are what they were."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import debugop
import pytest
from debugop import _core

PROGRAM = Path(__file__).with_name("begun_by_signals.py")
COUNT = 2
# Of the beginning, the middle and the end of each recording.
STEPS = 40

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers here")


def moments(length):
    middle = random.Random(length).randrange(length)
    starts = (0, middle, max(0, length - STEPS))
    return sorted({at for start in starts for at in range(start, min(length, start + STEPS))})


def known(variables, name):
    value = variables.get(name)
    return value.value if value is not None and value.is_whole and value.type_name in ("int", "float", "str") else None


def wrong(frame):
    """What the program does not do: see `begun_by_signals`."""
    number, doubled, text = (known(frame.locals, name) for name in ("number", "doubled", "text"))
    if number is None:
        return False
    return doubled not in (None, number * 2) or text not in (None, str(number))


# The first recordings of a process are those that may make things for the first time.
@pytest.mark.parametrize("seed", range(3))
def test_a_recording_can_begin_and_end_anywhere(seed, tmp_path):
    subprocess.run([sys.executable, str(PROGRAM), str(tmp_path), str(COUNT), str(seed)], check=True, timeout=120)
    paths = sorted(tmp_path.glob("*.debugop"))
    assert len(paths) == COUNT
    for path in paths:
        assert _core.replay_recording(path) > 0
    replay = debugop.open(paths[0])
    found = [frame for at in moments(len(replay)) for frame in replay.at(at).frames]
    assert any(known(frame.locals, "number") is not None for frame in found)
    assert not [(frame.function, frame.line, frame.locals) for frame in found if wrong(frame)]
