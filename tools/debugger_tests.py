#!/usr/bin/env python3
"""Runs CPython's own tests of trace functions, `bdb` and `pdb` with debugop's in place of the standard library's.

    tools/debugger_tests.py 3.13 BIN [TEST...]

BIN is the bin directory of an environment with debugop for that version. A test file runs as `python -m test FILE` and by
tools/replaced/run.py, and the outcomes are compared test by test. A difference that tools/compat/replaced.py does not explain, or
an explanation that no test needs any more, makes the exit status 1.
"""

import sys
from pathlib import Path

from compat import compare, replaced, runs

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "target" / "debugger"


def both(minor, here, test):
    """The outcomes of one file each way: (plain, replaced), each a list of runs; more than one where they differ."""
    commands = {"plain": ["-m", "test"], "replaced": [str(ROOT / "tools" / "replaced" / "run.py")]}
    results = {way: [] for way in commands}
    for turn in range(2):
        for way, command in commands.items():
            log = FOLDER / ("%s.%s.%s.%d.log" % (minor, test, way, turn))
            results[way].append(runs.run([here / "python", *command], test, runs.LIMIT, log))
        different = compare.differing(results["plain"][0], results["replaced"][0])
        if all(replaced.reason(minor, name or test) for name in different):
            break
    return results["plain"], results["replaced"]


def main():
    """Run, compare, report."""
    minor, here, *tests = sys.argv[1:]
    here = Path(here).absolute()
    FOLDER.mkdir(parents=True, exist_ok=True)
    needed, failed = set(), False
    for test in tests or replaced.TESTS:
        plains, ours = both(minor, here, test)
        flaky, _, different = compare.verdicts(plains, ours)
        explained = {name for name in different if replaced.reason(minor, name or test)}
        needed |= {replaced.reason(minor, name or test) for name in explained}
        count = len(plains[0]["tests"])
        print(
            "CPython %s %s: %d tests, %d the same, %d explained, %d flaky, %d not explained (%s)"
            % (
                minor,
                test,
                count,
                count - len(different | flaky),
                len(explained),
                len(flaky),
                len(different - explained),
                ours[0]["ended"],
            ),
            flush=True,
        )
        for name in sorted(different - explained):
            failed = True
            print(
                "  %s: %s; without debugop %s"
                % (name or test, compare.outcome(ours[0], name), compare.outcome(plains[0], name))
            )
        failed |= plains[0]["ended"] != "ok" or not count
    if not tests:
        for _, pattern, why in set(replaced.of(minor)) - needed:
            failed = True
            print("  no test of CPython %s needs this reason any more: %s: %s" % (minor, pattern, why))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
