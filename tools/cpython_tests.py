#!/usr/bin/env python3
"""Runs CPython's own tests with and without debugop and compares the outcome of every single test.

    tools/cpython_tests.py [--jobs N] [--fast] [--again] [--amend] 3.13 BIN [TEST...]

BIN is the bin directory of an environment with debugop for that version. A test file runs in a process of its own, as
`python -m test FILE` and as `debugop run --all --format none -m test FILE`. Where a test differs, the file runs once more each way: a
test that changes without debugop too is flaky and no difference. A difference that tools/compat/reasons.py does not
explain makes the exit status 1. Results are kept under target/cpython; those without debugop are used again, and those
with it as long as debugop is the same, unless --again is given. A run of every file writes its part of docs/compatibility.md;
with --amend a run of some writes what is there of them.
"""

import argparse
import concurrent.futures
import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from compat import compare, files, page, reasons, runs

ROOT = Path(__file__).resolve().parent.parent


class Suite:
    """The tests of one interpreter."""

    def __init__(self, minor, here, again):
        self.minor = minor
        self.here = Path(here).absolute()
        self.again = again
        self.version, build = self.ask("import sys; print(sys.version.split()[0]); print(sys.version, sys.base_prefix)")
        plugin = Path(self.ask("import debugop._core; print(debugop._core.__file__)")[0]).parent
        digest = hashlib.sha256()
        for path in sorted(plugin.glob("*")):
            if path.is_file():
                digest.update(path.read_bytes())
        where = ROOT / "target" / "cpython" / minor
        self.folders = {
            "plain": where / ("plain-" + hashlib.sha256(build.encode()).hexdigest()[:12]),
            "traced": where / ("traced-" + digest.hexdigest()[:12]),
        }
        for folder in self.folders.values():
            folder.mkdir(parents=True, exist_ok=True)

    def ask(self, code):
        """What Python code prints, line by line; an environment's interpreter names its own version."""
        done = subprocess.run(
            [str(self.here / "python"), "-c", code], check=True, stdout=subprocess.PIPE, cwd=str(self.here)
        )
        return done.stdout.decode().splitlines()

    def tests(self):
        """All test files, as libregrtest names them."""
        done = subprocess.run(
            [str(self.here / "python"), "-m", "test", "--list-tests"], check=True, stdout=subprocess.PIPE
        )
        return done.stdout.decode().split()

    def result(self, way, test, turn, limit):
        """The outcome of `test` run for the `turn`th time as "plain" or "traced"."""
        stem = self.folders[way] / ("%s.%d" % (test, turn))
        kept = Path("%s.json" % stem)
        if kept.exists() and not (self.again and way == "traced"):
            return json.loads(kept.read_text())
        command = [self.here / "python"]
        if way == "traced":
            options = ["run", "--all", "--format", "none", "--output", "%s.summary" % stem]
            command = [self.here / "debugop", *options]
        result = runs.run([*command, "-m", "test"], test, limit, "%s.log" % stem)
        kept.write_text(json.dumps(result, indent=1))
        return result

    def both(self, test):
        """The results of one file each way, more than one where they differ: (test, plain results, traced results)."""
        plains = [self.result("plain", test, 0, runs.LIMIT)]
        # What hangs without debugop does so with it.
        ends = plains[0]["ended"] in ("ok", "skipped")
        limit = (int(runs.SLOWER * plains[0]["seconds"]) if ends else 0) + runs.GRACE
        traceds = [self.result("traced", test, 0, limit)]
        unexplained = [
            name for name in compare.differing(plains[0], traceds[0]) if not reasons.reason(self.minor, name or test)
        ]
        if unexplained:
            plains.append(self.result("plain", test, 1, runs.LIMIT))
            traceds.append(self.result("traced", test, 1, limit))
        return test, plains, traceds

    def seconds(self, test):
        """How long `test` took last time; many if that is not known."""
        kept = self.folders["plain"] / (test + ".0.json")
        return json.loads(kept.read_text())["seconds"] if kept.exists() else float(runs.LIMIT)


def main():
    """Run, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--amend", action="store_true")
    parser.add_argument("minor")
    parser.add_argument("here")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    # A shell's background job ignores it, and so would the tests, some of which then wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    suite = Suite(options.minor, options.here, options.again)
    listed = suite.tests()
    wanted = options.tests or ([test for test in files.FAST if test in set(listed)] if options.fast else listed)
    chosen = sorted((test for test in wanted if not files.left_out(test)), key=suite.seconds, reverse=True)
    whole = not options.tests and not options.fast
    began = time.monotonic()
    compared = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(suite.both, test) for test in chosen]
        for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
            compared.append(page.File(suite.minor, *future.result()))
            print("%s %d/%d %s" % (suite.version, number, len(futures), compared[-1].line()), flush=True)
    summary = page.Summary(suite.minor, suite.version, sorted(compared, key=lambda file: file.test))
    print("\n" + summary.text())
    print("%.0f s" % (time.monotonic() - began))
    if whole:
        summary.write(ROOT / "docs" / "compatibility.md")
    elif options.amend:
        summary.amend(ROOT / "docs" / "compatibility.md")
    return 1 if summary.unexplained() else 0


if __name__ == "__main__":
    sys.exit(main())
