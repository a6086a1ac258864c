#!/usr/bin/env python3
"""Records CPython's own tests and compares each recording, replayed, with what the same run had in every slot at every step.

    tools/record_tests.py [--jobs N] [--chunk BYTES] 3.13 BIN [TEST...]

BIN is the bin directory of an environment with debugop for that version. Each file runs in a process of its own, as `debugop selfcheck --record
--all -m test FILE`. Without names, the files of tools/compat/recorded.py are taken, and a run of all of them writes its part of docs/exactness.md; a run of some, with
names and --page, says there what they have come to since. A difference that is not explained there makes the exit status 1. The account of one run takes some 150 bytes a step under $TMPDIR while it is compared.
"""

import argparse
import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compat import recorded

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "exactness.md"
# Seconds for a file.
LIMIT = 600
OUTCOME = re.compile(
    r"(\d+) steps, (\d+) slots, (\d+) bytes: (\d+) differ; said not to be known: (\d+) values, (\d+) contents; "
    r"not to be certain: (\d+) contents"
)
HEAD = """\
# Exactness: recordings of CPython's own tests

`make test-cpython RECORD=1` records files of CPython's own tests with everything in them (`debugop selfcheck --record --all -m test FILE`): one run is recorded by plan, and a witness
writes down every slot of the running frame before every step of the same run. The recording is replayed and compared with that, slot by slot: which object it is or which value, and
what is in it. Contents that a recording says it is not certain of (unrecorded code or another thread may have changed them) may differ, nothing else may. `PY=3.13 ARGS="test_x test_y"` takes
some files of one version.

The parts below were written by it.

"""
TABLE = "| CPython | files | steps | slots compared | differences | values not known |\n|---|---|---|---|---|---|\n"


class File:
    """A test file, recorded and compared."""

    def __init__(self, test, status, output, seconds):
        self.test, self.status, self.output, self.seconds = test, status, output, seconds
        found = OUTCOME.search(output)
        self.figures = tuple(map(int, found.groups())) if found else (0,) * 7

    def is_exact(self):
        """Whether nothing differs."""
        return self.status == 0 and self.figures[0] > 0

    def line(self):
        """What to print when the file is done."""
        text = "%-40s %9d steps, %10d slots, %5.1f s" % (self.test, *self.figures[:2], self.seconds)
        if self.is_exact():
            return text
        return "%s\n    DIFFERENT (status %s): %s" % (text, self.status, "\n    ".join(self.output.splitlines()[:3]))


def check(here, test, chunk):
    """Record and compare one file; with `chunk`, in chunks of so many bytes."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dbg") as folder:
        command = [
            str(here / "debugop"),
            "selfcheck",
            "--record",
            *chunk,
            "--all",
            "-m",
            "test",
            "--randseed",
            "1",
            test,
        ]
        names = (name for name in os.environ if not name.startswith(("PYTHON", "NO_COLOR")))
        variables = {name: os.environ[name] for name in names}
        variables.update(TMPDIR=folder, LC_ALL="C.UTF-8", TERM="dumb")
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output = process.communicate(timeout=LIMIT)[0]
            status = process.returncode
        except subprocess.TimeoutExpired:
            status, output = "hang", b""
        finally:
            # What it has left running.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return File(test, status, output.decode(errors="replace"), time.monotonic() - began)


def section(version, files):
    """This version's part of the page."""
    parts = ["## CPython %s\n" % version]
    exact = [file.test for file in files if file.is_exact()]
    parts.append("No difference (%d files): %s.\n" % (len(exact), ", ".join("`%s`" % test for test in exact)))
    rest = [file for file in files if not file.is_exact()]
    if rest:
        parts.append("**Different** (%d):\n" % len(rest))
        parts.append(
            "".join(
                "- `%s`, %d: %s\n" % (file.test, file.figures[3] or 1, recorded.reason(file.test) or "not explained")
                for file in rest
            )
        )
    return "\n".join(parts)


def update(minor, files):
    """Put what some files have come to into this version's row and part of the page; its other figures stay those of the run of all."""
    page = PAGE.read_text()
    part = re.search(r"^## CPython %s\..*?(?=^## |\Z)" % re.escape(minor), page, re.MULTILINE | re.DOTALL).group(0)
    listed, _, differing = part.partition("**Different**")
    exact = set(re.findall(r"`([^`]+)`", listed))
    different = {
        name: (int(count), why)
        for name, count, why in re.findall(r"^- `([^`]+)`, (\d+): (.*)$", differing, re.MULTILINE)
    }
    for file in files:
        exact.discard(file.test)
        different.pop(file.test, None)
        if file.is_exact():
            exact.add(file.test)
        else:
            different[file.test] = (file.figures[3] or 1, recorded.reason(file.test) or "not explained")
    lines = [part.splitlines()[0], ""]
    lines.append("No difference (%d files): %s." % (len(exact), ", ".join("`%s`" % name for name in sorted(exact))))
    if different:
        lines += ["", "**Different** (%d):" % len(different), ""]
        lines += ["- `%s`, %d: %s" % (name, *different[name]) for name in sorted(different)]
    row = re.search(r"^\| %s\.\d+ \|.*$" % re.escape(minor), page, re.MULTILINE).group(0)
    cells = row.split(" | ")
    cells[1], cells[4] = str(len(exact) + len(different)), str(sum(count for count, _ in different.values()))
    rest = "\n" if part.endswith("\n\n") else ""
    PAGE.write_text(page.replace(part, "\n".join(lines) + "\n" + rest).replace(row, " | ".join(cells)))


def write(minor, version, files):
    """Put this version's row and part into the page, and leave those of the others."""
    old = PAGE.read_text() if PAGE.exists() else ""
    rows = {minor: row for row, minor in re.findall(r"^(\| (\d\.\d+)\.\d+ \|.*\n)", old, re.MULTILINE)}
    total = [sum(file.figures[at] for file in files) for at in range(7)]
    row = (version, len(files), total[0], total[1], total[3], total[4])
    rows[minor] = "| %s | %d | %d | %d | %d | %d |\n" % row
    sections = {}
    for part in re.split(r"^(?=## CPython )", old, flags=re.MULTILINE)[1:]:
        sections[re.match(r"## CPython (\d\.\d+)", part).group(1)] = part
    sections[minor] = section(version, files)
    order = sorted(rows)
    page = HEAD + TABLE + "".join(rows[minor] for minor in order) + "\n"
    PAGE.write_text(page + "\n".join(sections[minor].rstrip("\n") + "\n" for minor in order))


def main():
    """Record, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--chunk", type=int, help="chunks of so many bytes: where they end, most is to be said; writes no page"
    )
    parser.add_argument(
        "--page", action="store_true", help="of a run of some files, say on the page what they have come to"
    )
    parser.add_argument("minor")
    parser.add_argument("here")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    # A shell's background job ignores it, and so would the tests, some of which then wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    here = Path(options.here).absolute()
    asked = [str(here / "python"), "-c", "import sys; print(sys.version.split()[0])"]
    version = subprocess.run(asked, check=True, stdout=subprocess.PIPE).stdout.decode().strip()
    listing = [str(here / "python"), "-m", "test", "--list-tests"]
    listed = subprocess.run(listing, check=True, stdout=subprocess.PIPE).stdout.decode().split()
    wanted = options.tests or [test for test in recorded.FILES if test in listed]
    chunk = ["--chunk", str(options.chunk)] if options.chunk else []
    files = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(check, here, test, chunk) for test in wanted]
        for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
            files.append(future.result())
            print("%s %d/%d %s" % (version, number, len(futures), files[-1].line()), flush=True)
    files.sort(key=lambda file: file.test)
    unexplained = [file.test for file in files if not file.is_exact() and not recorded.reason(file.test)]
    steps, slots, differences = (sum(file.figures[at] for file in files) for at in (0, 1, 3))
    print("CPython %s: %d files, %d steps, %d slots, %d differ" % (version, len(files), steps, slots, differences))
    if unexplained:
        print("different without a known reason: " + " ".join(unexplained))
    if not options.tests and not chunk:
        write(options.minor, version, files)
    elif options.page and not chunk:
        update(options.minor, files)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
