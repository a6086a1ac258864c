"""`debugop.bdb.Bdb` beside the standard library's. CPython's own test_bdb runs with it in `make test-debugger`."""

import bdb as standard
import concurrent.futures
import contextlib
import gc
import io
import sys
import threading
import warnings
from pathlib import Path

import pytest
from debugop import _console, _core, bdb
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent / "programs"))
import debugged

sys.path.pop(0)

LINES = len(Path(debugged.__file__).read_text().splitlines())
MOST = 400

commands = st.sampled_from(["step", "step", "next", "next", "return", "until", "continue", "continue", "quit"])
changes = st.one_of(
    st.none(),
    st.tuples(
        st.just("break"),
        st.integers(4, LINES),
        st.booleans(),
        st.sampled_from([None, None, "n == 3", "i > 1", "no such"]),
        st.sampled_from([0, 0, 1, 3]),
    ),
    st.tuples(
        st.just("function"),
        st.sampled_from(["count", "numbers", "delegate", "fails", "handles", "recursive", "joined"]),
        st.integers(0, 2),
        st.sampled_from([None, None, "n == 3"]),
    ),
    st.tuples(st.just("clear"), st.integers(4, LINES)),
    st.just(("clear all",)),
)
scripts = st.lists(st.tuples(commands, changes), min_size=1, max_size=12)


def debugger(module):
    """A class on `module`'s Bdb that overrides `user_*` only and does what a script says."""

    class Debugger(module.Bdb):
        def __init__(self, script, **options):
            super().__init__(**options)
            self.script, self.log = list(script), []

        def stop(self, event, frame, value=None):
            hits = [one.hits for one in module.Breakpoint.bpbynumber if one]
            self.log.append((event, frame.f_code.co_name, frame.f_lineno, value, frame.f_locals.get("i"), hits))
            command, change = self.script.pop(0) if self.script else ("continue", None)
            if change and change[0] == "break":
                _, line, temporary, condition, ignore = change
                if not self.set_break(debugged.__file__, line, temporary, condition):
                    module.Breakpoint.bpbynumber[-1].ignore = ignore
            elif change and change[0] == "function":
                # Its first line, as pdb has it on 3.11, and the first one that is executed, as later versions have it; and one behind that.
                _, name, below, condition = change
                line = getattr(debugged, name).__code__.co_firstlineno + below
                self.set_break(debugged.__file__, line, False, condition, name)
            elif change and change[0] == "clear":
                self.clear_break(debugged.__file__, change[1])
            elif change:
                self.clear_all_breaks()
            if command in ("next", "return"):
                getattr(self, "set_" + command)(frame)
            elif command == "until":
                self.set_until(frame)
            elif len(self.log) > MOST:
                self.set_quit()
            else:
                getattr(self, "set_" + command)()

        def do_clear(self, number):
            self.clear_bpbynumber(number)

        def user_line(self, frame):
            self.stop("line", frame)

        def user_return(self, frame, value):
            self.stop("return", frame, type(value).__name__)

        def user_exception(self, frame, information):
            self.stop("exception", frame, information[0].__name__)

    return Debugger


def in_a_thread(function):
    """What `function` returns in a thread of its own, which ends with what it leaves behind.

    If a debugger quits on the line of a handler that is `pass`, the exception stays handled: CPython does not count the handler's
    last instruction, `POP_EXCEPT`, among what an error can come from (3.11-3.15), with `bdb` too.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_what_quitting_leaves_is_cpythons():
    def quitting_on(module, line):
        class Quits(module.Bdb):
            def user_line(self, frame):
                if frame.f_lineno == line:
                    self.set_quit()

        def run():
            with contextlib.suppress(module.BdbQuit):
                Quits().runcall(debugged.main)
            return repr(sys.exception())

        return in_a_thread(run)

    gc.disable()  # what a debugger raises in a callback of the collector's nobody gets to see
    try:
        left = [quitting_on(standard, line) for line in range(1, LINES)]
        assert [quitting_on(bdb, line) for line in range(1, LINES)] == left
    finally:
        gc.enable()
    assert "KeyError('thrown')" in left


def debug(module, script, **options):
    """What a debugger on `module` is told while `main` runs, and the breakpoints that are left."""
    module.Breakpoint.clearBreakpoints()
    one = debugger(module)(script, **options)

    def run():
        try:
            return one.runcall(debugged.main)
        except module.BdbQuit:
            return "quit"  # in the debugger's own frame

    gc.disable()  # a callback of the collector's is stepped into
    try:
        result = in_a_thread(run)
    finally:
        gc.enable()
    left = [(bp.line, bp.hits, bp.ignore) for bp in module.Breakpoint.bpbynumber if bp]
    module.Breakpoint.clearBreakpoints()
    assert sys.gettrace() is None
    return one.log, left, result


@settings(max_examples=200, deadline=None)
@given(scripts)
@example([("continue", ("break", 8, False, None, 0))] + [("continue", None)] * 10)
@example([("continue", ("break", 9, False, None, 0)), ("next", None), ("step", None), ("continue", None)])
@example(
    [("continue", ("break", 25, False, None, 0)), ("return", None), ("return", None), ("step", None), ("step", None)]
)
@example([("continue", ("break", 15, True, None, 1)), ("step", None), ("continue", ("break", 7, False, "i > 1", 0))])
@example([("continue", ("break", 76, False, None, 0))] + [("continue", None)] * 10)
@example(
    [("next", ("break", 10, False, None, 1)), ("continue", None), ("continue", None), ("next", ("clear all",))]
    + [("step", None)] * 5
)
@example([("step", ("function", "count", 0, None))])
@example([("step", ("function", "count", 0, "n == 3"))])
@example([("continue", ("function", "count", 0, None))] + [("continue", None)] * 10)
@example([("continue", ("function", "recursive", 1, None)), ("continue", None), ("next", None), ("continue", None)])
@example(
    [("step", ("break", 5, False, None, 0)), ("continue", ("function", "count", 0, None))] + [("continue", None)] * 9
)
@example(
    [("step", ("break", 5, False, "n == 3", 0)), ("continue", ("function", "count", 1, None))]
    + [("continue", None)] * 9
)
@example([("step", ("function", "count", 0, "n == 3")), ("continue", ("break", 5, False, None, 2)), ("continue", None)])
@example([("step", ("function", "numbers", 0, None)), ("continue", None), ("continue", ("clear all",))])
@example([("until", ("function", "handles", 0, None)), ("until", ("function", "handles", 0, None))])
def test_what_stops_is_what_stops_with_the_standard_library(script):
    assert debug(bdb, script) == debug(standard, script)


def leaf(n):
    return n + 1


@pytest.mark.parametrize("below", [0, 1], ids=["by its def", "by its first line"])
def test_a_breakpoint_by_a_functions_name_is_in_its_bytecode(below):
    """What line events tell of is counted at once, what is in the bytecode when something stops."""
    seen = []

    class Debugger(bdb.Bdb):
        def user_line(self, frame):
            if frame.f_code is leaf.__code__:
                seen.append(("stopped", frame.f_lineno - leaf.__code__.co_firstlineno, frame.f_locals["n"]))
            elif not self.breaks:
                self.set_break(__file__, leaf.__code__.co_firstlineno + below, cond="n == 4", funcname="leaf")
            self.set_continue()

    def program():
        total = sum(leaf(n) for n in range(10) if seen.append(bdb.Breakpoint.bpbynumber[-1].hits) is None)
        seen.append(_core.breakpoint_reasons())
        return total

    try:
        assert Debugger().runcall(program) == 55
        assert bdb.Breakpoint.bpbynumber[-1].hits == 10
    finally:
        bdb.Breakpoint.clearBreakpoints()
    if sys.version_info >= (3, 12):  # before, `program`, which runs already, has the whole thread traced
        assert seen == [0, 0, 0, 0, 0, ("stopped", 1, 4), 5, 5, 5, 5, 5, []]
    else:
        assert ("stopped", 1, 4) in seen


def test_the_names_are_those_of_the_standard_library():
    assert set(dir(standard)) <= set(dir(bdb))
    assert bdb.__all__ == standard.__all__
    assert {name for name in dir(standard.Bdb) if not name.startswith("_")} == {
        name for name in dir(bdb.Bdb) if not name.startswith("_")
    }


def overriding(name):
    """Classes on each module's Bdb that count the calls of one of their methods."""
    classes = []
    for module in (bdb, standard):

        def method(self, *arguments, _module=module):
            self.calls += 1
            return getattr(super(self.cls, self), name)(*arguments)

        cls = type("Overriding", (debugger(module),), {name: method, "calls": 0})
        cls.cls = cls
        classes.append((module, cls))
    return classes


@pytest.mark.parametrize(
    "name",
    [
        "trace_dispatch",
        "dispatch_line",
        "dispatch_call",
        "dispatch_return",
        "stop_here",
        "break_here",
        "break_anywhere",
    ],
)
def test_a_method_of_a_subclass_is_called_as_often(name, request):
    counts = []
    # What finalisers of other tests' objects execute would be counted.
    gc.collect()
    gc.disable()
    request.addfinalizer(gc.enable)
    for module, cls in overriding(name):
        module.Breakpoint.clearBreakpoints()
        one = cls([("continue", ("break", 8, False, None, 0))])
        one.runcall(debugged.main)
        counts.append((one.calls, one.log))
        module.Breakpoint.clearBreakpoints()
    assert counts[0] == counts[1]
    assert counts[0][0] > 3


def test_user_call_is_told_of_functions_with_breakpoints():
    class Calls(debugger(bdb)):
        def user_call(self, frame, arguments):
            calls.append(frame.f_code.co_name)

    calls = []
    bdb.Breakpoint.clearBreakpoints()
    one = Calls([("continue", ("break", 34, False, None, 0))])
    one.runcall(debugged.main)
    bdb.Breakpoint.clearBreakpoints()
    # 3.11 stays in the mode for stepping, where it is told of all functions of the file.
    assert [name for name in calls if sys.version_info >= (3, 12) or name == "handles"] == ["handles", "handles"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no sys.monitoring")
@pytest.mark.parametrize("overrides", [False, True])
def test_the_console_is_told_of_calls_only_if_it_wants(overrides):
    """What pdb does in `user_call` it does where it stops only."""
    told = []

    class Quiet(_console.Console):
        def _start_session(self, dispatch):
            def heard(frame, event, argument):
                told.append((event, frame.f_code.co_name))
                return dispatch(frame, event, argument)

            super()._start_session(heard)

    class Curious(Quiet):
        def user_call(self, frame, arguments):
            return super().user_call(frame, arguments)

    kind = Curious if overrides else Quiet
    one = kind(stdin=io.StringIO("continue\n"), stdout=io.StringIO(), readrc=False, nosigint=True)
    assert one.set_break(debugged.__file__, 26, cond="n == 77") is None
    try:
        one.runcall(debugged.main)
    finally:
        bdb.Breakpoint.clearBreakpoints()
    assert (("call", "fails") in told) == overrides


def test_a_stop_is_one_hit(tmp_path):
    """Also in the first function that gets breakpoints, which is when what tools are told begins to be translated."""
    file = tmp_path / "hit.py"
    file.write_text("def f():\n    for i in range(3):\n        i += 1\nf()\n")
    hits = []

    class Debugger(bdb.Bdb):
        def user_line(self, frame):
            hits.append([one.hits for one in bdb.Breakpoint.bpbynumber if one])
            self.set_continue()

    debugger = Debugger()
    debugger.set_break(str(file), 2)
    try:
        debugger.run(compile(file.read_text(), str(file), "exec"), {})
    finally:
        debugger.clear_all_breaks()
    assert hits == [[0], [1], [2], [3], [4]]


def test_lines_without_breakpoints_are_not_told():
    """While a program runs to a breakpoint it has no trace function, and afterwards no tool is left."""
    seen = []
    has_tools = sys.version_info >= (3, 12)

    def tool():
        return sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) if has_tools else None

    class Looking(debugger(bdb)):
        def break_here_soon(self):
            seen.append((sys.gettrace(), tool()))

    # Not in a frame that runs already, which 3.11 has to trace.
    one = Looking([("continue", ("break", 32, False, None, 0))])
    original, debugged.numbers = debugged.numbers, lambda n: one.break_here_soon() or original(n)
    try:
        one.runcall(debugged.main)
    finally:
        debugged.numbers = original
        bdb.Breakpoint.clearBreakpoints()
    assert set(seen) == {(None, "debugop debugger" if has_tools else None)}
    assert tool() is None


def test_a_jump_at_a_breakpoint():
    class Jumping(debugger(bdb)):
        def stop(self, event, frame, value=None):
            super().stop(event, frame, value)
            if event == "line" and frame.f_lineno == 7:
                frame.f_lineno = 10

    bdb.Breakpoint.clearBreakpoints()
    one = Jumping([("continue", ("break", 7, False, None, 0))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a local that the jump leaves unbound becomes None
        result = one.runcall(debugged.count, 5)
    bdb.Breakpoint.clearBreakpoints()
    assert result == 0


def test_other_threads_run_on():
    """A breakpoint is the thread's that is debugged, as with a trace function."""
    bdb.Breakpoint.clearBreakpoints()
    names = []

    class Names(debugger(bdb)):
        def stop(self, event, frame, value=None):
            super().stop(event, frame, value)
            names.append(threading.current_thread().name)

    def both():
        thread = threading.Thread(target=debugged.count, args=(5,))
        thread.start()
        thread.join()
        return debugged.count(5)

    one = Names([("continue", ("break", 7, False, None, 0))])
    one.runcall(both)
    bdb.Breakpoint.clearBreakpoints()
    assert set(names) == {threading.current_thread().name}
    assert len(names) == 6, names


def test_two_threads_debug():
    """Each thread's debugger stops in its own thread."""
    bdb.Breakpoint.clearBreakpoints()
    logs = {}

    def run(name):
        one = debugger(bdb)([("continue", ("break", 7, False, None, 0))] if name == "a" else [("continue", None)])
        ready.wait()
        one.runcall(debugged.count, 6)
        logs[name] = len(one.log)

    ready = threading.Barrier(2)
    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bdb.Breakpoint.clearBreakpoints()
    assert logs == {"a": 7, "b": 1}


def test_an_error_of_the_debugger_ends_it():
    class Failing(debugger(bdb)):
        def stop(self, event, frame, value=None):
            super().stop(event, frame, value)
            if len(self.log) > 1:
                raise ZeroDivisionError

    bdb.Breakpoint.clearBreakpoints()
    one = Failing([("continue", ("break", 7, False, None, 0))])
    with pytest.raises(ZeroDivisionError):
        one.runcall(debugged.count, 5)
    bdb.Breakpoint.clearBreakpoints()
    assert sys.gettrace() is None
    if sys.version_info >= (3, 12):
        assert sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) is None
