"""`make test-packages`: the test suites of other people's packages, with and without debugop, compared test by test.

The source distributions come from the package index, pinned by tools/requirements/packages.txt. The files of tests whose outcome differs are
run again both ways, up to ROUNDS times, while nothing else runs; a test that differs from itself, or that does the same both ways then, is flaky and no
difference.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tarfile
import time
import xml.etree.ElementTree as ElementTree

import environments
from environments import ROOT, Failure

FOLDER = ROOT / "target" / "packages"
REPORT = ROOT / "docs" / "compatibility-packages.md"

# How often the files of tests that differ are run again.
ROUNDS = 3

# What a package is there for, and what pytest is given besides.
PACKAGES = {
    "anyio": (
        "asyncio, threads, subprocesses; without tests/test_sockets.py, which needs IPv6",
        ["--timeout", "120", "--ignore", "tests/test_sockets.py"],
    ),
    "attrs": ("code that is made at run time, slots, hypothesis", []),
    "jinja2": ("compiled templates, generators, asyncio", []),
}

# Tests that may differ: (package, pattern of the test's name, reason). Each waits for a process that is not traced, or is a race that it loses
# without debugop, too, on a busy machine.
REASONS = (
    (
        "anyio",
        r"test_pytest_plugin\.test_(keyboardinterrupt_during_test|dynamic_async_fixture_access_does_not_hang)",
        "gives a pytest of its own three seconds from start to end; on a busy machine it fails plain, too",
    ),
    (
        "anyio",
        r"test_lazyimport\.test_sourceless_install",
        "makes a virtual environment with pip in it within a minute; needs ensurepip; on a busy machine it fails plain, too",
    ),
    (
        "anyio",
        r"test_from_thread\.test_thread_cancelled_and_abandoned",
        "cancels a task that its thread may not have taken up yet, and waits for it in vain then; plain, too, if the thread is late",
    ),
    (
        "anyio",
        r"test_synchronization\.TestCapacityLimiter\.test_acquire_cancelled",
        "waits a tenth of a second for another task",
    ),
)


def run_all(minors, found):
    """Compare every package on every version; rewrite the report; Failure for a difference without a reason."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    # A shell's background job ignores it, and so would the tests, some of which then wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = shlex.split(os.environ.get("ARGS", "")) or list(PACKAGES)
    unexplained = []
    for minor in minors:
        environments.build(minor, found)
        try:
            here = environments.environment(
                "packages-" + minor, found[minor], environments.REQUIREMENTS / "packages.txt"
            )
        except Failure as failure:
            print("CPython %s is left out: a requirement cannot be installed there.\n%s" % (minor, failure), flush=True)
            remember(minor, "all", None)
            continue
        environments.install_wheel(minor, here)
        for package in chosen:
            outcome = compare(package, minor, here)
            remember(minor, package, outcome)
            unexplained += ["%s %s: %s" % (minor, package, text) for text in outcome["unexplained"]]
    rows = [json.loads(path.read_text()) for path in FOLDER.glob("*.json")]
    REPORT.write_text(document(rows, REPORT.read_text() if REPORT.exists() else ""))
    if unexplained:
        raise Failure("Tests that differ without a reason:\n  " + "\n  ".join(unexplained))


def remember(minor, package, outcome):
    """Keep the outcome: the report is about the last run on each version, be they run together or not."""
    (FOLDER / ("%s.%s.json" % (minor, package))).write_text(json.dumps([minor, package, outcome]))


def source(package, here):
    """The directory of the package's unpacked source distribution."""
    pins = (environments.REQUIREMENTS / "packages.txt").read_text()
    version = re.search(r"^%s==(\S+)$" % package, pins, re.MULTILINE).group(1)
    folder = FOLDER / ("%s-%s" % (package, version))
    if not folder.exists():
        command = [here / "python", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        environments.run_quietly([*command, "--dest", FOLDER, "%s==%s" % (package, version)])
        with tarfile.open(str(folder) + ".tar.gz") as archive:
            archive.extractall(str(FOLDER), filter="data")
    return folder


def compare(package, minor, here):
    """Run the tests of `package` both ways."""
    folder = source(package, here)
    options = PACKAGES[package][1]
    plain, plain_time = outcomes(folder, here, minor, "plain", options)
    traced, traced_time = outcomes(folder, here, minor, "traced", options)
    differing, flaky = settle(plain, traced, folder, here, minor, options)
    reasons = {name: reason(package, name) for name in differing}
    described = {name: "%s: %s plain, %s traced" % (name, plain.get(name), traced.get(name)) for name in differing}
    print(
        "CPython %s, %s: %d tests, %d differ, %d flaky; %.0f s plain, %.0f s traced"
        % (minor, folder.name, len(plain), len(differing), len(flaky), plain_time, traced_time),
        flush=True,
    )
    return {
        "name": folder.name,
        "tests": len(plain),
        "passed": sum(outcome == "passed" for outcome in plain.values()),
        "flaky": sorted(flaky),
        "explained": [(described[name], reasons[name]) for name in differing if reasons[name]],
        "unexplained": [described[name] for name in differing if not reasons[name]],
        "times": (plain_time, traced_time),
    }


def settle(plain, traced, folder, here, minor, options):
    """The names of tests that differ, and of those that are flaky what they did: all are run again, with the others of their files, until that is known of each."""
    differing = sorted(name for name in plain.keys() | traced.keys() if plain.get(name) != traced.get(name))
    flaky = []
    for turn in range(ROUNDS):
        if not differing:
            break
        print("  differ, so they run again: %s" % ", ".join(differing), flush=True)
        some = [*options, *files(differing, folder)]
        again_plain, _ = outcomes(folder, here, minor, "plain-%d" % turn, some)
        again_traced, _ = outcomes(folder, here, minor, "traced-%d" % turn, some)
        for name in differing[:]:
            ways = [(plain, again_plain, "plain"), (traced, again_traced, "traced")]
            changed = [
                "%s and %s %s" % (one.get(name), two.get(name), way)
                for one, two, way in ways
                if one.get(name) != two.get(name)
            ]
            if changed:
                differing.remove(name)
                flaky.append("%s: %s" % (name, ", ".join(changed)))
                print("  flaky: " + flaky[-1], flush=True)
    return differing, flaky


def files(names, folder):
    """The test files that these tests are in, relative to the package's directory; none, which means all, if that is not known of one of them."""
    found = set()
    for name in names:
        words = name.split(".")
        paths = ("/".join(words[:count]) + ".py" for count in range(len(words), 0, -1))
        path = next((path for path in paths if (folder / path).exists()), None)
        if path is None:
            return []
        found.add(path)
    return sorted(found)


def reason(package, name):
    """Why this test may differ; None if it may not."""
    found = (why for of, pattern, why in REASONS if of == package and re.search(pattern, name))
    return next(found, None)


def outcomes(folder, here, minor, way, options):
    """The outcome of every test by name, and how long it took."""
    results = FOLDER / ("%s.%s.%s.xml" % (folder.name, minor, way))
    log = FOLDER / ("%s.%s.%s.log" % (folder.name, minor, way))
    if results.exists():
        results.unlink()
    debugop = ["-m", "debugop", "run", "--all", "--format", "none"] if way.startswith("traced") else []
    command = [
        here / "python",
        *debugop,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--junitxml",
        results,
        *options,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONHASHSEED"] = "0"
    shutil.rmtree(str(folder / ".hypothesis"), ignore_errors=True)
    began = time.monotonic()
    with open(str(log), "wb") as output:
        status = subprocess.call(
            [str(word) for word in command],
            cwd=str(folder),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=3600,
        )
    # 1: some tests failed. Anything else, a crash above all, is a finding.
    if status not in (0, 1) or not results.exists():
        raise Failure(
            "%s, CPython %s, %s: pytest ended with status %s; see %s" % (folder.name, minor, way, status, log)
        )
    return read(results), time.monotonic() - began


def read(results):
    """The outcomes in a JUnit file."""
    found = {}
    for case in ElementTree.parse(str(results)).getroot().iter("testcase"):
        name = "%s.%s" % (case.get("classname"), case.get("name"))
        kinds = {child.tag for child in case}
        outcome = next((kind for kind in ("failure", "error", "skipped") if kind in kinds), "passed")
        # A test that fails in its teardown is there twice.
        found[name] = outcome if found.get(name, "passed") == "passed" else found[name]
    return found


def document(rows, old):
    """docs/compatibility-packages.md; what `old` says of what is not among `rows` is left there."""
    lines = [
        "# Other people's packages under debugop",
        "",
        "`make test-packages` runs the test suites of these packages plain and under `debugop run --all -m pytest`, and compares the",
        "outcome of each test. It wrote this page.",
        "",
    ]
    lines += ["- %s: %s" % (package, what) for package, (what, _) in PACKAGES.items()]
    lines += [
        "",
        "| CPython | package | tests | passed plain | same | different | flaky |",
        "|---|---|---|---|---|---|---|",
    ]
    table = {}
    for line, minor, package in re.findall(r"^(\| (3\.\d+) \| (\w+).*)$", old, re.MULTILINE):
        table[minor, package] = line
    for minor, package, outcome in rows:
        if outcome is None:
            table[minor, package] = "| %s | %s | a requirement cannot be installed | | | | |" % (minor, package)
            continue
        different = len(outcome["explained"]) + len(outcome["unexplained"])
        numbers = (outcome["tests"], outcome["passed"], outcome["tests"] - different, different, len(outcome["flaky"]))
        table[minor, package] = "| %s | %s | %d | %d | %d | %d | %d |" % (minor, outcome["name"], *numbers)
    lines += [table[key] for key in sorted(table, key=lambda key: (int(key[0].split(".")[1]), key[1]))]
    lines += [
        "",
        "Flaky: differed in one run and not in one of the next %d of its file, plain or traced." % ROUNDS,
        "",
    ]
    flaky = [(minor, outcome) for minor, _, outcome in rows if outcome and outcome["flaky"]]
    for minor, outcome in flaky:
        for text in outcome["flaky"]:
            why = reason(outcome["name"].rpartition("-")[0], text)
            lines.append("- %s, %s, %s%s" % (minor, outcome["name"], text, " (%s)" % why if why else ""))
    lines += [""] * bool(flaky)
    lines += ["## Differences", ""]
    found = False
    for minor, _, outcome in rows:
        for text, why in (outcome or {}).get("explained", []) + [
            (t, "NOT EXPLAINED") for t in (outcome or {}).get("unexplained", [])
        ]:
            found = True
            lines.append("- %s, %s, %s: %s" % (minor, outcome["name"], text, why))
    if not found:
        lines.append("None.")
    return "\n".join(lines) + "\n"
