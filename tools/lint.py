"""The checks of `tools/dev lint`, in the order in which they are run."""

import os
import re
import shutil
import subprocess

import environments
from environments import ROOT, VENV, Failure, run

CARGO_DENY = "0.20.2"


def steps(found, minors):
    """(name, function) of each check; a function raises Failure when its check fails."""
    best = environments.preferred(found)
    bin_directory = environments.tools(found)
    python = found[best]["executable"]
    yield "cargo fmt", lambda: run(["cargo", "fmt", "--all", "--check", "--", "--files-with-diff"])
    yield "ruff check", lambda: run([bin_directory / "ruff", "check", "--quiet", "."])
    yield "ruff format", lambda: run([bin_directory / "ruff", "format", "--check", "."])
    yield "mypy", lambda: run([bin_directory / "mypy", "--no-error-summary"])
    yield "cargo clippy", lambda: clippy(["--workspace"], PYO3_PYTHON=python)
    # The other versions compile other modules of the two crates that link Python.
    for minor in minors:
        if minor != best:
            target = ROOT / "target" / ("py" + minor)
            yield (
                "cargo clippy, CPython " + minor,
                lambda minor=minor, target=target: clippy(
                    ["-p", "debugop-capture", "-p", "debugop-py"],
                    PYO3_PYTHON=found[minor]["executable"],
                    CARGO_TARGET_DIR=target,
                ),
            )
    yield "generated opcode tables", lambda: run(["cargo", "xtask", "opcodes", "--check"])
    yield "stubs against the built module", lambda: stubtest(best, found, bin_directory)
    yield "cargo deny", cargo_deny


def clippy(options, **variables):
    """Clippy with warnings denied, over tests, examples and benchmarks too."""
    run(["cargo", "clippy", "--quiet", "--locked", "--all-targets", *options, "--", "-D", "warnings"], **variables)


def stubtest(minor, found, bin_directory):
    """Compare the stubs with what the built package really has."""
    environments.build(minor, found)
    environments.install_wheel(minor, bin_directory)
    run(
        [
            bin_directory / "python",
            "-m",
            "mypy.stubtest",
            "--concise",
            "--allowlist",
            "tools/requirements/stubtest-allowlist.txt",
            "debugop",
        ]
    )


def cargo_deny():
    """Licences, sources and duplicate versions; advisories too where their database can be fetched."""
    executable = shutil.which("cargo-deny") or str(VENV / "cargo" / "bin" / "cargo-deny")
    if not os.path.exists(executable):
        print("cargo-deny is not installed; building it once into .venv/cargo takes about three minutes", flush=True)
        run(["cargo", "install", "--quiet", "--locked", "--root", VENV / "cargo", "cargo-deny@" + CARGO_DENY])
    run([executable, "--log-level", "error", "check", "bans", "licenses", "sources"])
    advisories = subprocess.run(
        [executable, "check", "advisories"], cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text = advisories.stdout.decode(errors="replace")
    if advisories.returncode and re.search("failed to fetch advisory database", text):
        print("advisories were not checked: the advisory database cannot be fetched from here")
    elif advisories.returncode:
        raise Failure(text)
