"""`debugop selfcheck --record`: is a recording of a program exact?

One run is recorded, and a witness writes down every slot of the running frame before every step. Then the recording is replayed, and
what it rebuilds is compared, slot by slot.
"""

import os
import subprocess
import sys
import tempfile

from debugop import _core
from debugop._selfcheck import interpreter_options


def main(request: _core.SelfcheckRequest) -> int:
    """The command; returns the exit status: 0 if all agree, 1 if not."""
    kind, text, arguments = request.program
    program = {"script": [text], "module": ["-m", text], "command": ["-c", text]}[kind]
    with tempfile.TemporaryDirectory(prefix="debugop-selfcheck-") as folder:
        recording, trace = os.path.join(folder, "recording"), os.path.join(folder, "trace")
        options = ["record", "-o", recording, "--witness", trace, *request.options]
        ended = subprocess.run(
            [sys.executable, *interpreter_options(), "-m", "debugop", *options, *program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if not os.path.exists(trace):
            sys.stderr.write(ended.stderr.decode(errors="replace"))
            print("nothing was recorded")
            return 1
        return report(recording, trace, ended)


def report(recording: str, trace: str, ended: subprocess.CompletedProcess[bytes]) -> int:
    """Compare, and print the outcome; returns the exit status."""
    steps, slots, unknown, bare, certain, uncertain, right, differences, told = _core.compare_recording(
        recording, trace
    )
    for line in told:
        print(line)
    if ended.returncode < 0:
        print(f"the recorded program ended by signal {-ended.returncode}")
    if b"the recording is not complete" in ended.stderr:
        print("the recorder gave up")
        differences += 1
    size = os.path.getsize(recording)
    print(
        f"{steps} steps, {slots} slots, {size} bytes: {differences} differ; said not to be known: {unknown} values, "
        f"{bare} contents; not to be certain: {uncertain} contents of {certain + uncertain} that can change, of which {uncertain - right} differ"
    )
    return 1 if differences or not steps or ended.returncode < 0 else 0
