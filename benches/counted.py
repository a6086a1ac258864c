"""What the debugger costs where nothing stops, in machine instructions, which are the same whatever else the machine does.

Each loop of debugged.py runs under callgrind with few rounds and with many: the difference is what a round takes, without start-up and
stops. Times are what `debugger.py` measures; on a machine whose clock changes, a ratio near 1 is seen here only.
"""

import re
import shutil
import subprocess
import sys
import tempfile

import debugger

FEW, MANY = 20_000, 120_000
LIMIT = 300
"""Seconds for one run."""


def executed(arguments, typed=""):
    """The machine instructions that a process executes."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", *arguments]
        done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=LIMIT)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        raise RuntimeError(f"callgrind counted nothing: {done.stderr[-500:]}")
    return int(found[1])


def round_of(loop, command, typed=""):
    """The machine instructions of one round of a loop of debugged.py."""
    few, many = (executed([sys.executable, *command, debugger.PROGRAM, str(n), "1", loop], typed) for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def measure():
    """{scene: {loop: times of plain}}, or why not."""
    if not shutil.which("valgrind"):
        return "valgrind is not installed"
    plain = {loop: round_of(loop, []) for loop in debugger.LOOPS}
    return {
        scene: {
            loop: round_of(loop, ["-m", "debugop", "debug"], debugger.script(breakpoints, scene, 1)) / plain[loop]
            for loop in debugger.LOOPS
        }
        for scene, breakpoints in debugger.SCENES.items()
    }


def table(figures):
    """The report, as text."""
    lines = ["debugop, machine instructions of a round, times of plain"]
    if isinstance(figures, str):
        return f"{lines[0]}: not counted: {figures}"
    lines.append(f"{'':<50}{'a loop':>9}{'with calls':>12}  to reach")
    for scene, row in figures.items():
        limit = debugger.TARGETS["debugop", scene]
        aim = f"<= {limit}x {'reached' if max(row.values()) <= limit else 'MISSED'}"
        lines.append(f"{scene:<50}{row['loop']:>8.2f}x{row['calls']:>11.2f}x  {aim}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
