"""Every feature, thousands of times over: nothing accumulates."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Thousands of turns; slow machines need more than the default of pyproject.toml.
pytestmark = pytest.mark.timeout(600)

PROGRAM = Path(__file__).parent / "oracle" / "leaks.py"
FEATURES = re.findall(r"^def (\w+)\(x\):$", PROGRAM.read_text(), re.MULTILINE)
# What the features are made of.
FEATURES = [name for name in FEATURES if name not in ("target", "numbers", "closure", "fails")]


@pytest.mark.parametrize("feature", FEATURES)
def test_nothing_accumulates(feature):
    done = subprocess.run([sys.executable, PROGRAM, feature], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    grown = json.loads(done.stdout)
    # 200 rounds: a leak of one object or block a round is 200. The measurements themselves are a few of both.
    assert not grown["references"]
    assert grown["objects"] < 30
    assert grown["blocks"] < 40
    if grown["bytes"] is None:
        print("what Rust has allocated was not compared: there is no mallinfo2 here")
    else:
        # The description of one code object is about a kilobyte.
        assert grown["bytes"] < 200 * 16
