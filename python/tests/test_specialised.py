"""What calls Python functions is specialised as it is without debugop, while it is watched and afterwards."""

import os
import subprocess
import sys

import pytest

WATCHED = """
class Thing:
    def __init__(self, value):
        self.value = value

    @property
    def double(self):
        return self.value * 2

    def __getitem__(self, index):
        return index

    def method(self, a, b=3):
        return self.value + a + b


def callee(a, b):
    return a + b


def varied(*a, b=1):
    return sum(a) + b


def caller():
    total = 0
    thing = Thing(1)
    for index in range(3000):
        total += callee(index, 1)
        total += thing.double
        total += thing[index]
        total += thing.method(index)
        total += thing.method(index, 2)
        total += varied(index, 1)
        total += callee(a=index, b=2)
        total += Thing(index).value
    return total
"""

# A function's code is put in place of it when something begins, and back when it ends. The sets are those of specialised instructions in
# the code that `caller` really runs. Nobody watches a frame that runs already: on 3.11 that takes a trace function, with which nothing is specialised.
PROGRAM = """
from watched import caller
import ctypes
import dis
import sys
import debugop

borrowed = ctypes.pythonapi.PyFunction_GetCode
borrowed.restype, borrowed.argtypes = ctypes.c_void_p, [ctypes.py_object]


def function_code(function):
    return ctypes.cast(borrowed(function), ctypes.py_object).value


WANTED = {
    "CALL_PY_EXACT_ARGS",
    "CALL_BOUND_METHOD_EXACT_ARGS",
    "CALL_PY_WITH_DEFAULTS",
    "CALL_PY_GENERAL",
    "CALL_KW_PY",
    "CALL_ALLOC_AND_ENTER_INIT",
    "LOAD_ATTR_PROPERTY",
    "BINARY_SUBSCR_GETITEM",
    "BINARY_OP_SUBSCR_GETITEM",
}


def look():
    result = caller() + caller()
    found = dis.get_instructions(function_code(caller), adaptive=True)
    return result, sorted({one.opname for one in found} & WANTED)


before = look()
if sys.argv[1] == "record":
    watcher = debugop.record(sys.argv[2])
    watcher.start(running=False)
else:
    watcher = debugop.trace(caller, lambda step: None, follow=True)
    watcher.start()
assert function_code(caller) is not caller.__code__
during = look()
watcher.stop()
assert function_code(caller) is caller.__code__
after = look()
assert before[0] == during[0] == after[0]
print(*before[1], sep=",")
print(*during[1], sep=",")
print(*after[1], sep=",")
"""


def look(how, directory, **environment):
    (directory / "watched.py").write_text(WATCHED, encoding="utf-8")
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, how, directory / "calls.debugop"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **environment},
        cwd=directory,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return [set(line.split(",")) for line in found.stdout.splitlines()]


@pytest.mark.parametrize("how", ["record", "trace"])
def test_calls_are_specialised_all_the_time(how, tmp_path):
    before, during, after = look(how, tmp_path, PYTHON_JIT="0")
    assert "CALL_PY_EXACT_ARGS" in before
    assert during == before
    assert after == before


JIT = getattr(sys, "_jit", None)


@pytest.mark.skipif(not (JIT and JIT.is_available()), reason="this interpreter has no JIT, or does not say so")
def test_the_jit_never_takes_one_code_for_the_other(tmp_path):
    """What is compiled inlines code by the function's version: it has to change, as it does with any assignment to `__code__`."""
    _before, during, after = look("record", tmp_path, PYTHON_JIT="1")
    assert "CALL_PY_EXACT_ARGS" not in during
    assert "CALL_PY_EXACT_ARGS" not in after
