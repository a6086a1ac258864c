"""What every test here shares."""

import dataclasses
import gc
import os
import shutil
import signal
import subprocess
import sys

import pytest
from hypothesis import settings

# A traced program can be slower than hypothesis's default deadline of 200 ms an example; pytest-timeout bounds a test.
# Where the Rust property tests have the same cases each time, these do, too.
settings.register_profile("debugop", deadline=None, derandomize="PROPTEST_RNG_SEED" in os.environ)
settings.load_profile("debugop")

# A shell without job control has what it starts in the background ignore Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclasses.dataclass
class Run:
    """What a process did."""

    stdout: str
    stderr: str
    status: int


class Programs:
    """Runs programs in one directory, each time made anew, so that everything that a program can see of it is the same."""

    def __init__(self, directory):
        self.directory = directory / "work"
        self.report = directory / "report"

    def write(self, files):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        for name, content in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def run(self, command, stdin=b"", env=(), timeout=60):
        """Run a command line, its words without the interpreter."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NO_COLOR"))}
        environment |= {"COLUMNS": "80", **dict(env)}
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.directory,
            env=environment,
            input=stdin,
            capture_output=True,
            timeout=timeout,
        )
        return Run(done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), done.returncode)

    def debugop(self, *arguments, flags=(), **options):
        return self.run([*flags, "-m", "debugop", *arguments], **options)


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


@pytest.fixture
def short_collections():
    """For tests that collect often: what has been there before, most of the heap, is left out."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """An exception that a test leaves behind as handled is seen by all that come after it."""
    result = yield
    assert sys.exception() is None, "the test leaves it handled"
    return result


def pytest_addoption(parser):
    """For test_examples.py."""
    parser.addoption(
        "--write-expected", action="store_true", help="write examples/expected instead of comparing with it"
    )
