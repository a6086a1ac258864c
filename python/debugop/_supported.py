"""Which interpreters debugop runs on, and the sentence that refuses any other.

debugop reads CPython's frames and value stacks by their memory layout, so each compiled module fits exactly one minor
version, and an interpreter that nobody has checked must be refused before that module is loaded.

This file is the one place that names the supported versions. It has to run on interpreters that are *not* supported, so
its syntax and imports stay within Python 3.6.
"""

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

#: The CPython minor versions debugop is made for, oldest first.
VERSIONS = ((3, 11), (3, 12), (3, 13), (3, 14), (3, 15))

_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}


def check(package, directory):
    # type: (str, str) -> None
    """Raise ImportError, with one sentence that says why, unless *package*'s compiled module can run here.

    *directory* is where the package's files are. The compiled module is looked for, not imported.
    """
    reason = _interpreter_refused() or _module_refused(package, directory)
    if reason:
        raise ImportError(reason, name=package, path=directory)


def _interpreter_refused():
    # type: () -> str
    here = _this_interpreter()
    if sys.implementation.name != "cpython":
        return "debugop reads the internals of CPython, and this is {}.".format(here)
    if tuple(sys.version_info[:2]) not in VERSIONS:
        first, last = ("{}.{}".format(*version) for version in (VERSIONS[0], VERSIONS[-1]))
        return "debugop runs on CPython {} to {}, and this is {}.".format(first, last, here)
    # "A free-threaded build says so in sys.version" (PEP 703; Doc/howto/free-threading-python.rst); sys.abiflags has
    # "t" on the same builds, but does not exist on every platform.
    if "free-threading" in sys.version or "t" in getattr(sys, "abiflags", ""):
        return "debugop needs the global interpreter lock, and this {} is a free-threaded build.".format(here)
    return ""


def _module_refused(package, directory):
    # type: (str, str) -> str
    if find_spec(package + "._core") is not None:
        return ""
    others = sorted(name for name in os.listdir(directory) if name.startswith("_core.") and not name.endswith(".pyi"))
    if others:
        return (
            "debugop's compiled module in {} is for another interpreter ({}), and this is {}, which loads _core{}."
        ).format(directory, ", ".join(others), _this_interpreter(), EXTENSION_SUFFIXES[0])
    return ("debugop's compiled module _core{} is missing from {}: the package there has not been built.").format(
        EXTENSION_SUFFIXES[0], directory
    )


def _this_interpreter():
    # type: () -> str
    implementation = _IMPLEMENTATIONS.get(sys.implementation.name, sys.implementation.name)
    version = "{}.{}.{}".format(*sys.version_info[:3])
    return "CPython " + version if implementation == "CPython" else "{} (Python {})".format(implementation, version)
