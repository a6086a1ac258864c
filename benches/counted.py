"""What costs little or nothing, in machine instructions, which are the same whatever else the machine does.

Times are what `run.py` and `debugger.py` measure; on a machine whose clock changes, a ratio near 1 is seen here only.

Each loop of debugged.py runs under callgrind with few rounds and with many: the difference is what a round takes, without start-up and
stops. Of the ten programs callgrind counts three runs, the first of which lets the interpreter specialise.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import debugger
import programs
import variants

FEW, MANY = 20_000, 120_000
LIMIT = 600
"""Seconds for one run."""
RUNS = 3
VARIANTS = ("nothing followed", "after stop", "--all, inject, native no-op", "recorded")
INSIDE = "--toggle-collect=_operator_call"
"""Counts what worker.py measures: a run is called by `operator.call`."""


def executed(arguments, typed="", *options):
    """The machine instructions that a process executes."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", *options, *arguments]
        environment = dict(os.environ, PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=LIMIT, env=environment)
    found = re.search(r"Collected : ([1-9]\d*)", done.stderr)
    if not found:
        raise RuntimeError(f"callgrind counted nothing: {done.stderr[-500:]}")
    return int(found[1])


def round_of(loop, command, typed=""):
    """The machine instructions of one round of a loop of debugged.py."""
    few, many = (executed([sys.executable, *command, debugger.PROGRAM, str(n), "1", loop], typed) for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def run_of(program, number):
    """The machine instructions of a program's runs under the variant of that number."""
    worker = [sys.executable, Path(__file__).with_name("worker.py"), program, str(number)]
    return executed(worker, "\n" * RUNS, INSIDE)


def ratios():
    """{variant: {program: times of plain}}."""
    numbers = {variant.name: number for number, variant in enumerate(variants.VARIANTS)}
    plain = {program: run_of(program, 0) for program in programs.PROGRAMS}
    return {name: {program: run_of(program, numbers[name]) / plain[program] for program in plain} for name in VARIANTS}


def measure():
    """{"programs": {variant: {program: times of plain}}, "debugger": {scene: {loop: times of plain}}}, or why not."""
    if not shutil.which("valgrind"):
        return "valgrind is not installed"
    return {"programs": ratios(), "debugger": scenes()}


def scenes():
    """{scene: {loop: times of plain}}."""
    plain = {loop: round_of(loop, []) for loop in debugger.LOOPS}
    return {
        scene: {
            loop: round_of(loop, ["-m", "debugop", "debug"], debugger.script(breakpoints, scene, 1)) / plain[loop]
            for loop in debugger.LOOPS
        }
        # The loops that go on stop within themselves: they are not of this program.
        for scene, breakpoints in debugger.SCENES.items()
        if scene != debugger.RUNNING
    }


def table(figures):
    """The report, as text."""
    if isinstance(figures, str):
        return f"machine instructions: not counted: {figures}"
    lines = ["machine instructions of the programs, times of plain"]
    lines.append(f"{'':<42}{'geometric mean':>16}{'range':>14}")
    for name, row in figures["programs"].items():
        mean, least, most = statistics.geometric_mean(row.values()), min(row.values()), max(row.values())
        lines.append(f"{name:<42}{mean:>15.3f}x{f'{least:.2f}-{most:.2f}':>14}")
    lines += ["", "machine instructions of a round under debugop's debugger, times of plain"]
    lines.append(f"{'':<42}{'a loop':>9}{'with calls':>12}  to reach")
    for scene, row in figures["debugger"].items():
        limit = debugger.TARGETS["debugop", scene]
        aim = f"<= {limit}x {'reached' if max(row.values()) <= limit else 'MISSED'}"
        lines.append(f"{scene:<42}{row['loop']:>8.2f}x{row['calls']:>11.2f}x  {aim}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
