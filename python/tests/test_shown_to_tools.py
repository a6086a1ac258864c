"""What a tool of sys.monitoring and other users of code objects see while everything is traced."""

import subprocess
import sys
import threading
import traceback
import weakref
from xml.parsers import expat

import debugop
import pytest
from debugop import _core


@pytest.fixture
def everything():
    tracer = _core.Tracer(None, engine="inject", everywhere=debugop.Follow()._core)
    tracer.enter()
    yield tracer
    tracer.stop()


def make():
    """A function that is made while everything is traced."""
    namespace = {}
    text = "def function(number):\n    try:\n        return [1 / n for n in range(number)]\n    except ZeroDivisionError:\n        raise KeyError(number)\n"
    exec(text, namespace)
    return namespace["function"]


def events_of(function, *names, local, code=None):
    """What callbacks are called with, one list for each event in the order of their arrival."""
    monitoring = sys.monitoring
    seen = []
    monitoring.use_tool_id(2, "test")
    wanted = 0
    try:
        for name in names:
            number = getattr(monitoring.events, name)
            wanted |= number
            monitoring.register_callback(
                2, number, lambda code, *more, name=name: seen.append((name, code, *more)) if code in codes else None
            )
        codes = {code or function.__code__, *(one for one in function.__code__.co_consts if hasattr(one, "co_code"))}
        if local:
            monitoring.set_local_events(2, function.__code__, wanted)
            assert monitoring.get_local_events(2, function.__code__) == wanted
        else:
            monitoring.set_events(2, wanted)
        with pytest.raises(KeyError):
            function(3)
    finally:
        monitoring.set_events(2, 0)
        if local:
            monitoring.set_local_events(2, function.__code__, 0)
        for name in names:
            assert monitoring.register_callback(2, getattr(monitoring.events, name), None).__name__ == "<lambda>"
        monitoring.free_tool_id(2)
    # Where a cleanup handler re-raises, PY_UNWIND has the offset of what was raised first (docs/visible.md).
    numbers = [[one for one in more if isinstance(one, int) and name != "PY_UNWIND"] for name, _, *more in seen]
    return [(name, code.co_name, *more) for (name, code, *_), more in zip(seen, numbers, strict=True)]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no sys.monitoring")
@pytest.mark.parametrize("local", [True, False], ids=["local", "global"])
def test_a_tool_sees_the_same_events_with_and_without(local):
    names = ["PY_START", "LINE", "INSTRUCTION", "JUMP", "CALL", "PY_RETURN"]
    if not local:
        names += ["RAISE", "RERAISE", "EXCEPTION_HANDLED", "PY_UNWIND"]
    plain = events_of(make(), *names, local=local)
    tracer = _core.Tracer(None, engine="inject", everywhere=debugop.Follow()._core)
    tracer.enter()
    try:
        traced = events_of(make(), *names, local=local)
    finally:
        tracer.stop()
    assert [one for one in plain if one[0] == "INSTRUCTION"]
    assert traced == plain


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no sys.monitoring")
def test_a_tool_is_told_of_no_jump_that_a_probe_brings_with_it():
    """From 3.14 on one stands between the `LOAD_SPECIAL` of a `with` and its `CALL`, which has to have that before it."""
    namespace = {}
    text = "def function(lock):\n    for _ in range(2):\n        with lock:\n            pass\n    raise KeyError\n"

    def seen():
        exec(text, namespace)
        function = namespace["function"]
        return events_of(lambda number: function(threading.Lock()), "JUMP", local=False, code=function.__code__)

    plain = seen()
    tracer = _core.Tracer(None, engine="inject", everywhere=debugop.Follow()._core)
    tracer.enter()
    try:
        traced = seen()
    finally:
        tracer.stop()
    assert len(plain) == 2
    assert traced == plain


def test_code_that_ran_once_dies(everything):
    function = eval("lambda: 42")
    code = weakref.ref(function.__code__)
    assert function() == 42
    del function
    assert code() is None


def test_rewritten_bytecode_runs(everything):
    def function():
        pass

    # The exception table stays as it is.
    other, old = (lambda: 7).__code__, function.__code__
    function.__code__ = old.replace(co_code=other.co_code, co_consts=other.co_consts, co_linetable=other.co_linetable)
    assert function() == 7


def test_other_users_of_co_extra_are_not_called_for_our_sake():
    program = """
import ctypes, gc
api = ctypes.pythonapi
new = hasattr(api, "PyUnstable_Eval_RequestCodeExtraIndex")
request = api.PyUnstable_Eval_RequestCodeExtraIndex if new else api._PyEval_RequestCodeExtraIndex
kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
called = []
free = kind(called.append)
request.argtypes = [kind]
request(free)
for number in range(100):
    exec(f"def f(): return {number}\\nf()")
gc.collect()
print(called)
"""
    for command in (["-c"], ["-m", "debugop", "run", "--all", "--format", "none", "-c"]):
        done = subprocess.run([sys.executable, *command, program], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_frames_that_c_code_puts_into_a_traceback(everything):
    def start(*_):
        raise KeyError

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    with pytest.raises(KeyError) as caught:
        parser.Parse(b"<a/>", True)
    entries = traceback.extract_tb(caught.tb)
    assert [entry.name for entry in entries] == [
        "test_frames_that_c_code_puts_into_a_traceback",
        "StartElement",
        "start",
    ]
    assert all(entry.lineno for entry in entries)
