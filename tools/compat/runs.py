"""Runs one file of CPython's own tests in a process of its own and reads what became of each test.

libregrtest is given `--junit-xml`, which has the tests and how each ended, and `-v`, whose output names the tests with
failing subtests (they have no name in the XML) and, after a crash, the test that ran then. An outcome is "passed",
"skipped", "failed" or "error" with the exception's type, "expected failure" or "unexpected success".
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from compat import files

# Seconds for a file as `python` runs it; with debugop it has SLOWER times what it took, and GRACE.
LIMIT, SLOWER, GRACE = 600, 6, 90
# After the limit faulthandler shows where every thread is and ends the process; after that much more it is killed.
KILLED_AFTER = 20
# libregrtest's status when it was not given what all the tests need.
NO_TESTS_RAN = 4
_FAILURE = re.compile(r"^(?:FAIL|ERROR): (\S*).*?\(([\w.<>]+)\)")
_STARTED = re.compile(r"^\w+ \(([\w.<>]+)\)")


def run(command, test, limit, log):
    """Run `test` by `command`, which ends where the arguments of `-m test` begin: {"ended", "seconds", "tests"}.

    "ended" is "ok" if the tests ran to their end, whatever their outcomes, "skipped" if the file skipped itself as a whole,
    otherwise what happened instead; "tests" maps
    a test's id to the list of its outcomes (an id may be there twice). The output goes to the file `log`.
    """
    # Short, because some tests make sockets in it and the name of a socket has 107 bytes.
    folder = tempfile.mkdtemp(prefix="dbg")
    results = Path(folder) / "results.xml"
    work = Path(folder) / "t"
    work.mkdir()
    arguments = ["-v", "--junit-xml", str(results), "--timeout", str(limit), "--randseed", "1"]
    for pattern, _ in files.IGNORED:
        arguments += ["--ignore", pattern]
    arguments.append(test)
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "NO_COLOR"))}
    environment.update(TMPDIR=str(work), LC_ALL="C.UTF-8", TERM="dumb")
    began = time.monotonic()
    with open(str(log), "wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command] + arguments,
            cwd=str(work),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(limit + KILLED_AFTER)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end_session(process)
    seconds = time.monotonic() - began
    text = Path(str(log)).read_text(errors="replace")
    result = {"ended": _ended(status, results, text), "seconds": round(seconds, 2)}
    result["tests"] = _outcomes(results, text) if result["ended"] == "ok" else {}
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _end_session(process):
    """Kill the process and what it has left running in its process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _ended(status, results, text):
    """How the process ended: "ok", or in words what went wrong, with the test that ran then."""
    if status is None or ("Timeout (" in text and not results.exists()):
        what = "hang"
    elif status < 0:
        what = "crash, " + signal.Signals(-status).name
    elif status in (0, NO_TESTS_RAN) and re.search(r"^\S+ skipped\b", text, re.MULTILINE):
        return "skipped"
    elif not results.exists() or not results.stat().st_size:
        what = "no results, status %d" % status
    else:
        return "ok"
    started = [match.group(1) for match in map(_STARTED.match, text.splitlines()) if match]
    return "%s in %s" % (what, started[-1]) if started else what


def _outcomes(results, text):
    """Each test's id and the sorted list of its outcomes."""
    outcomes = {}
    for case in ElementTree.parse(str(results)).iter("testcase"):
        name = case.get("name")
        if name:
            outcomes.setdefault(_steady(name), []).append(_outcome(case))
    for match in map(_FAILURE.match, text.splitlines()):
        name = match and _steady(match.group(2))
        # Of a doctest the module is named there, and the XML has the test.
        if name and name not in outcomes and "%s.%s" % (name, match.group(1)) not in outcomes:
            outcomes[name] = ["failed in a subtest"]
    return {name: sorted(outcomes[name]) for name in sorted(outcomes)}


def _outcome(case):
    for tag, word in (("failure", "failed"), ("error", "error")):
        found = case.find(tag)
        if found is not None:
            return "%s: %s" % (word, found.get("type"))
    if case.find("skipped") is not None:
        return "skipped"
    if case.find("output") is not None:
        return "expected failure"
    return "unexpected success" if case.find("outcome") is not None else "passed"


def _steady(name):
    """A test's id without the addresses that some have in them."""
    return re.sub(r"0x[0-9a-f]+", "0x", name)
