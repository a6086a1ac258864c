"""Other tools in the same process: each gets what it gets alone, and so does debugop."""

import bdb
import cProfile
import io
import pdb  # noqa: T100
import sys

import debugop
import pytest
from debugop import _selfcheck

ENGINES = _selfcheck.engine_names()
OTHERS = [engine for engine in ENGINES if engine != "inject"]
MONITORING = pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")


def helper(x):
    try:
        return [x, 1 / x]
    except ZeroDivisionError:
        return None


def program():
    return [helper(x) for x in range(3)]


def renew():
    """Gives the program's functions code objects that no tool has ever looked at."""
    for function in (helper, program):
        function.__code__ = function.__code__.replace()


@pytest.fixture(autouse=True)
def new_code():
    renew()


def steps(engine, run=None):
    """What debugop tells of `program` while `run` runs it."""
    told = []
    run = run or program

    def callback(step):
        told.append((step.code.co_name, step.instruction.offset, step.event, len(step.stack)))

    with debugop.trace(program, callback, follow=True, engine=engine):
        run()
    assert len(told) > 50
    return told


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def traced_lines(run):
    """What a `sys.settrace` user sees."""
    seen = []

    def trace(frame, event, argument):
        if frame.f_code.co_filename == __file__ and frame.f_code.co_name in ("helper", "program"):
            seen.append((frame.f_code.co_name, event, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    assert len(seen) > 10
    return seen


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "settrace"])
def test_a_trace_function_inside(engine):
    alone, told = traced_lines(program), steps("inject")
    renew()
    seen = []
    assert steps(engine, lambda: seen.extend(traced_lines(program))) == told
    assert seen == alone


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "settrace"])
def test_a_trace_function_outside(engine):
    alone, told = traced_lines(program), steps("inject")
    renew()
    ours = []
    assert traced_lines(lambda: ours.extend(steps(engine))) == alone
    assert ours == told


def test_settrace_names_the_trace_function_that_is_in_the_way():
    def trace(frame, event, argument):
        return None

    sys.settrace(trace)
    try:
        with pytest.raises(RuntimeError, match=r"one has a trace function already: a builtins\.function"):
            debugop.trace(program, engine="settrace").start()
        assert sys.gettrace() is trace
    finally:
        sys.settrace(None)


def test_a_trace_function_of_the_programs_under_settrace():
    """It gets what it asks for; from there on that thread is not reported."""
    alone = traced_lines(program)
    seen, told = [], []
    with debugop.trace(program, told.append, follow=True, engine="settrace"):
        program()
        before = len(told)
        seen.extend(traced_lines(program))
    assert seen == alone
    assert before > 50
    assert len(told) >= before
    assert sys.gettrace() is None


def test_pdb(engine):
    """A session of pdb's inside a traced function."""

    def session():
        out = io.StringIO()
        debugger = pdb.Pdb(
            stdin=io.StringIO("step\nnext\nnext\nwhere\ncontinue\n"), stdout=out, nosigint=True, readrc=False
        )
        debugger.use_rawinput = False
        result = debugger.runcall(helper, 2)
        return result, out.getvalue()

    alone = session()
    if engine == "settrace":
        with debugop.trace(program, engine=engine):
            assert session() == alone
        return
    results = []
    told = steps(engine, lambda: (results.append(session()), program()))
    assert results == [alone]
    assert told[-len(steps("inject")) :] == steps("inject")


def test_bdb_counts_lines(engine):
    class Lines(bdb.Bdb):
        def __init__(self):
            super().__init__()
            self.lines = []

        def user_line(self, frame):
            if frame.f_code.co_filename == __file__:
                self.lines.append(frame.f_lineno)
            self.set_step()

    def session():
        debugger = Lines()
        debugger.runcall(program)
        return debugger.lines

    alone = session()
    seen = []
    with debugop.trace(program, follow=True, engine=engine):
        seen = session()
    assert seen == alone
    assert len(alone) > 5


def test_cprofile(engine):
    def profile():
        profiler = cProfile.Profile()
        profiler.runcall(program)
        return sorted(
            (getattr(entry.code, "co_name", str(entry.code)), entry.callcount)
            for entry in profiler.getstats()
            if getattr(entry.code, "co_name", "") in ("helper", "program")
        )

    alone, told = profile(), steps("inject")
    renew()
    seen = []
    assert steps(engine, lambda: seen.extend(profile())) == told
    assert seen == alone == [("helper", 3), ("program", 1)]


def test_setprofile(engine):
    def profile():
        seen = []
        sys.setprofile(
            lambda frame, event, argument: (
                seen.append((frame.f_code.co_name, event)) if frame.f_code.co_name in ("helper", "program") else None
            )
        )
        try:
            program()
        finally:
            sys.setprofile(None)
        return seen

    alone, told = profile(), steps("inject")
    renew()
    seen = []
    assert steps(engine, lambda: seen.extend(profile())) == told
    assert seen == alone
    assert len(alone) >= 8


def monitored(run, tool=2, local=False):
    """What another tool sees with INSTRUCTION, PY_START and LINE events."""
    monitoring, seen = sys.monitoring, []
    events = monitoring.events
    codes = {helper.__code__, program.__code__}

    def take(kind):
        def callback(code, where):
            if code in codes:
                seen.append((kind, code.co_name, where))

        return callback

    monitoring.use_tool_id(tool, "another")
    wanted = {events.INSTRUCTION: "instruction", events.PY_START: "start", events.LINE: "line"}
    for event, kind in wanted.items():
        monitoring.register_callback(tool, event, take(kind))
    try:
        if local:
            for code in codes:
                monitoring.set_local_events(tool, code, sum(wanted))
        else:
            monitoring.set_events(tool, sum(wanted))
        run()
    finally:
        monitoring.set_events(tool, 0)
        for code in codes:
            monitoring.set_local_events(tool, code, 0)
        for event in wanted:
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
    assert len(seen) > 50
    return seen


@MONITORING
@pytest.mark.parametrize("local", [False, True], ids=["global", "local"])
@pytest.mark.parametrize("engine", ENGINES)
def test_another_monitoring_tool_inside(engine, local):
    alone, told = monitored(program, local=local), steps("inject")
    renew()
    seen = []
    assert steps(engine, lambda: seen.extend(monitored(program, local=local))) == told
    assert seen == alone


@MONITORING
@pytest.mark.parametrize("local", [False, True], ids=["global", "local"])
@pytest.mark.parametrize("engine", ENGINES)
def test_another_monitoring_tool_outside(engine, local):
    alone, told = monitored(program, local=local), steps("inject")
    renew()
    ours = []
    assert monitored(lambda: ours.extend(steps(engine)), local=local) == alone
    assert ours == told


@MONITORING
def test_both_tool_identifiers_are_taken():
    sys.monitoring.use_tool_id(4, "four")
    try:
        assert steps("monitoring") == steps("inject")
        sys.monitoring.use_tool_id(3, "three")
        try:
            with pytest.raises(RuntimeError, match=r"both are taken: 4 by four, 3 by three"):
                debugop.trace(program, engine="monitoring").start()
        finally:
            sys.monitoring.free_tool_id(3)
    finally:
        sys.monitoring.free_tool_id(4)


@pytest.mark.parametrize("first", ENGINES)
@pytest.mark.parametrize("second", ENGINES)
def test_two_traces_by_two_engines(first, second):
    """A trace that begins while another one is active."""
    told = steps("inject")
    inner = []
    outer = steps(first, lambda: inner.extend(steps(second)))
    assert inner == told
    assert outer == told
    assert not any("debugop" in str(constant) for constant in program.__code__.co_consts)


@pytest.mark.parametrize("asked_for", ["sys.settrace(lambda *_: None)", "sys.setprofile(lambda *_: None)", "unwind()"])
def test_a_program_that_ends_by_an_exception_while_its_events_are_asked_for(programs, engine, asked_for):
    """The exception passes through frames that were not on the stack when they were asked for (crashed 3.15.2)."""
    if asked_for == "unwind()" and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring came with 3.12")
    programs.write(
        {
            "program.py": f"""
import sys
def unwind():
    sys.monitoring.use_tool_id(2, "two")
    sys.monitoring.register_callback(2, sys.monitoring.events.PY_UNWIND, lambda *_: None)
    sys.monitoring.set_events(2, sys.monitoring.events.PY_UNWIND)
{asked_for}
sys.exit(3)
"""
        }
    )
    for command in (["program.py"], ["-m", "program"]):
        done = programs.debugop("run", "--engine", engine, "--format", "none", *command)
        assert done.status == 3, done.stderr
