"""`import debugop` where it cannot work: an ImportError of one sentence that says why."""

import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "debugop"
HERE = "{}.{}.{}".format(*sys.version_info[:3])


@pytest.fixture
def source(tmp_path):
    """A directory with debugop's Python files and no compiled module, to be put on `sys.path`."""
    shutil.copytree(PACKAGE, tmp_path / "debugop", ignore=shutil.ignore_patterns("_core.*", "__pycache__"))
    return tmp_path


def import_error(source, pretend="", python=sys.executable):
    """What `import debugop` says, after running `pretend`, which makes the interpreter claim to be another."""
    program = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n{pretend}\n"
        "try: import debugop\nexcept ImportError as error: print(error)"
    )
    run = subprocess.run([python, "-S", "-E", "-B", "-c", program], stdout=subprocess.PIPE, check=True, timeout=60)
    return run.stdout.decode().rstrip("\n")


def test_pypy(source):
    pretend = "sys.implementation.name = 'pypy'"
    assert import_error(source, pretend) == f"debugop reads the internals of CPython, and this is PyPy (Python {HERE})."


@pytest.mark.parametrize("version", ["3.6.15", "3.10.13", "3.16.0", "4.0.0"])
def test_a_version_out_of_range(source, version):
    pretend = f"sys.version_info = ({version.replace('.', ', ')}, 'final', 0)"
    assert import_error(source, pretend) == f"debugop runs on CPython 3.11 to 3.15, and this is CPython {version}."


@pytest.mark.parametrize(
    "pretend",
    ["sys.version = '3.14.0 free-threading build (main) [GCC]'", "sys.abiflags = 't'", "sys.abiflags = 'td'"],
)
def test_a_free_threaded_build(source, pretend):
    sentence = f"debugop needs the global interpreter lock, and this CPython {HERE} is a free-threaded build."
    assert import_error(source, pretend) == sentence


def test_a_module_compiled_for_another_version(source):
    other = source / "debugop" / "_core.cpython-310-x86_64-linux-gnu.so"
    other.write_bytes(b"not loaded")
    assert import_error(source) == (
        f"debugop's compiled module in {other.parent} is for another interpreter ({other.name}), "
        f"and this is CPython {HERE}, which loads _core{EXTENSION_SUFFIXES[0]}."
    )


def test_no_compiled_module(source):
    assert import_error(source) == (
        f"debugop's compiled module _core{EXTENSION_SUFFIXES[0]} is missing from {source / 'debugop'}: "
        "the package there has not been built."
    )


@pytest.mark.parametrize("minor", ["3.6", "3.7", "3.8", "3.9", "3.10"])
def test_a_real_interpreter_that_is_too_old(source, minor):
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    python = next(root.glob(f"versions/{minor}.*/bin/python{minor}"), None)
    if python is None:
        pytest.skip(f"there is no CPython {minor} under {root}")
    sentence = import_error(source, python=str(python))
    assert sentence == f"debugop runs on CPython 3.11 to 3.15, and this is CPython {python.parent.parent.name}."
