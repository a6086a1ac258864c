"""Whole programs: every kind of code that can be made and dropped, thousands of times over, by each engine."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)

PROGRAM = Path(__file__).parent / "oracle" / "leaks_whole.py"
FEATURES = re.findall(r"^def (\w+)\(x(?:, .*)?\):$", PROGRAM.read_text(), re.MULTILINE)
ENGINES = ["inject", "settrace"] if sys.version_info < (3, 12) else ["inject", "monitoring", "settrace"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("feature", FEATURES)
def test_nothing_accumulates(feature, engine):
    # 6400 rounds, or 50: a leak of one object or block a round is as many, each time. Without one, blocks go up by 10 to 60 (3.11).
    is_long = not feature.startswith("started")
    for _ in range(3):
        done = subprocess.run([sys.executable, PROGRAM, feature, engine], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        grown = json.loads(done.stdout)
        if grown["blocks"] < (6400 if is_long else 40) and (grown["resident"] or 0) < (
            6400 * 64 if is_long else 50 * 2048
        ):
            break
    assert not grown["references"]
    assert grown["objects"] < 40
    assert grown["blocks"] < (6400 if is_long else 40)
    if grown["resident"] is None:
        print("resident memory was not compared: there is no /proc/self/statm here")
    else:
        assert grown["resident"] < (6400 * 64 if is_long else 50 * 2048)


def test_a_long_program_needs_no_more_memory_than_a_short_one():
    """100 million instructions are counted; 100,000 functions and 10,000 texts are made and dropped."""
    program = """
import resource
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
def work(n):
    total = 0
    for i in range(n):
        total += i
    return total
def make(n):
    for i in range(n):
        (lambda: [i])()
        if not i % 10: exec("def f(): pass\\nf()", {})
work(10_000); make(60_000)
before = resident()
work(17_000_000); make(100_000)
print(resident() - before)
"""
    done = subprocess.run(
        [sys.executable, "-m", "debugop", "run", "--all", "--format", "none", "-c", program],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split(" ")[0].replace(",", "")) > 10**8
    assert int(done.stdout) < 4 << 20
