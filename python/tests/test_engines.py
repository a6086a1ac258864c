"""The engines: `debugop selfcheck`, and what one engine tells in a process with others."""

import json
import re
import subprocess
import sys
from pathlib import Path

import debugop
import pytest
from debugop import _core, _selfcheck

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
PROGRAMS = sorted((Path(__file__).resolve().parent / "engines").glob("*.py"))
ENGINES = _selfcheck.engine_names()
OTHERS = [engine for engine in ENGINES if engine != "inject"]


def selfcheck(*command):
    """Runs `debugop selfcheck COMMAND...` and returns its status and its output."""
    command = [sys.executable, "-m", "debugop", "selfcheck", *map(str, command)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


def agreed(command, least):
    """Asserts that the engines agree on a program, over no fewer steps; returns the names of the differences met."""
    status, output = selfcheck(*command)
    first, *rest = output.splitlines()
    match = re.fullmatch(r"(\d+) steps, (\d+) events, (\d+) frames: (.*) agree", first)
    assert status == 0, output
    assert match, output
    assert int(match[1]) >= least
    assert int(match[2]) >= 1
    assert int(match[3]) >= 1
    assert match[4].split(", ") == ENGINES
    return {re.match(r"  \d+ differ in (\w+): ", line)[1] for line in rest}


@pytest.mark.parametrize("example", EXAMPLES)
def test_engines_agree_on_the_examples(example):
    agreed([f"examples/{example}.py"], 30)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_engines_agree_on_programs(program):
    agreed([program], 300)


def test_engines_agree_on_the_standard_library(tmp_path):
    data = tmp_path / "data.json"
    data.write_text('[1, {"a": 2.5, "b": [null, true, "x"]}]')
    agreed(["--include", "json", "--include", "argparse", "-m", "json.tool", data], 4000)
    agreed(["--include", "re", "--include", "enum", "-c", "import re; print(re.sub('a+(b|c)', 'x', 'aab'))"], 2000)


def test_every_known_difference_is_met(tmp_path):
    """A difference that does not occur any more is to be taken out of the list."""
    program = tmp_path / "program.py"
    program.write_text(
        """
class Base:
    def method(self):
        return id(self)
class Derived(Base):
    def __getattr__(self, name):
        raise AttributeError(name)
    def method(self):
        return super().method()
for _ in range(100):
    Derived().method()
try:
    with open("/dev/null"):
        1 / 0
except ZeroDivisionError:
    pass
def generator():
    yield 1
suspended = generator()
next(suspended)
suspended.close()
"""
    )
    expected = set(_selfcheck.REASONS)
    if sys.version_info < (3, 12):
        expected -= {"super", "methods"}
    if sys.version_info < (3, 14):
        expected.remove("close")
    assert agreed([program], 1000) == expected


@pytest.mark.parametrize(
    ("program", "what"),
    [
        ("import os\nx = os.path.realpath('/proc/self')", "the engines differ"),
        ("import debugop, sys\nx = 'settrace' in str(sys.orig_argv)\nif x:\n    y = 1", "the engines differ"),
        ("import sys\nprint(next(a for a in sys.orig_argv if a in ('inject', 'settrace', 'monitoring')))", "differ"),
        ("import sys\nsys.exit('settrace' in sys.orig_argv)", "differ|exit status"),
    ],
)
def test_a_difference_is_found(program, what):
    status, output = selfcheck("-c", program)
    assert status == 1, output
    assert re.search(what, output), output
    assert all(name in output for name in ENGINES) or "exit status" in output


def test_what_is_shown_of_a_difference():
    status, output = selfcheck("-c", "import os\nfor i in range(5): pass\nx = os.path.realpath('/proc/self')\ny = 1")
    assert status == 1
    lines = output.splitlines()
    assert re.fullmatch(r"after \d+ equal steps: the engines differ \(thread 1\)", lines[0])
    assert sum(line.lstrip().startswith("all ") for line in lines) == 10
    assert [line.split()[1] for line in lines if line.startswith(">")] == ENGINES


def test_missing_and_further_steps_are_a_difference():
    """The comparison itself, without processes."""

    def compare(*streams):
        comparison = _selfcheck.Comparison(["inject", "settrace"])
        comparison.run([iter(stream) for stream in streams])
        return comparison.steps

    one = ["1 1.1 0 enter a", "1 1.1 0 step b", "1 1.1 0 return c"]
    assert compare(one, one) == 3
    events = [
        "1 event:thread_start T",
        one[0],
        "1 1.1 0 event:c_call a:1:f 4 CALL | <len>",
        *one[1:],
        "1 event:thread_end",
    ]
    assert compare(events, events) == 3
    assert compare(events, events[:-1]) == 3, "that a thread ends with the program need not be noticed"
    for at in (0, 2):
        for other in ([*events[:at], *events[at + 1 :]], [*events[:at], events[at] + "x", *events[at + 1 :]]):
            with pytest.raises(_selfcheck.Differs):
                compare(events, other)
    for other in (one[:2], [*one, "1 1.1 0 step d"], [one[0], "1 1.1 0 step x", one[2]], ["2 " + one[0][2:], *one[1:]]):
        with pytest.raises(_selfcheck.Differs):
            compare(one, other)
        with pytest.raises(_selfcheck.Differs):
            compare(other, one)
    # Threads may come in any order.
    assert compare(["1 a", "2 b", "1 c"], ["2 b", "1 a", "1 c"]) == 3
    # What `super()` leaves may differ, and what is near it may not.
    assert compare(["1 a | super:<f> | 5"], ["1 a | super:NULL | 5"]) == 1
    with pytest.raises(_selfcheck.Differs):
        compare(["1 a | super:<f> | 5"], ["1 a | super:NULL | 6"])


def explained(one, other, names=("inject", "settrace")):
    """The names of the known differences by which two streams of lines differ."""
    comparison = _selfcheck.Comparison(list(names))
    comparison.run([iter(one), iter(other)])
    return set(comparison.explained)


def test_numbers_from_outside_of_the_program_may_differ():
    """What `os.getpid` and others return, wherever it comes up, and what is calculated from it at once."""

    def lines(told, calculated, *later, function="getpid"):
        return [
            f"1 1.1 0 event:c_return f:1:f 4 CALL | <{function}> | {told}",
            f"1 1.1 0 step f:1:f 6 FORMAT_SIMPLE | {told}",
            f"1 1.1 0 step f:1:f 8 STORE_FAST | 'process {told}'",
            f"1 1.1 0 step f:1:f 10 BINARY_OP | {told} | 1",
            f"1 1.1 0 step f:1:f 12 STORE_FAST | {calculated}",
            *(
                line
                for number in later
                for line in ("1 1.1 0 step f:1:f 14 LOAD_FAST", f"1 1.1 0 step f:1:f 16 STORE_FAST | {number}")
            ),
        ]

    one = lines(10353, 10354, 10354, 10353)
    assert explained(one, lines(20771, 20772, 20772, 20771)) == {"outside"}
    assert explained(lines(3, 4, 3), lines(5, 6, 5)) == {"outside"}
    for other in (
        lines(20771, 20772, 20772, 20772),
        lines(20771, "'20772'", 20772, 20771),
        lines(20771, 20772, 20772, 20771)[:-1],
    ):
        with pytest.raises(_selfcheck.Differs):
            explained(one, other)
    with pytest.raises(_selfcheck.Differs):
        explained(lines(3, 4, 4), lines(5, 6, 6))  # 4 and 6 may be anything
    with pytest.raises(_selfcheck.Differs):
        explained(lines(1, 2, function="len"), lines(3, 4, function="len"))


def test_methods_may_be_bound_where_nothing_is_specialised():
    def lines(*columns):
        return [f"1 1.1 0 step f:1:f 4 CALL | 7 | {' | '.join(columns)}"]

    function, bound = lines("<A.m>", "<A>"), lines("<A.m>", "<NULL>")
    assert explained(function, bound) == {"methods"}
    assert explained(function, lines("<NULL>", "<A.m>")) == {"methods"}  # before 3.13
    assert explained(lines("<str.m>", "<A>"), lines("<A.m>", "<NULL>")) == {"methods"}
    for other in (lines("<A.n>", "<NULL>"), lines("<A.m>", "<B>"), lines("<A.m>", "<NULL>", "3")):
        with pytest.raises(_selfcheck.Differs):
            explained(function, other)
    with pytest.raises(_selfcheck.Differs):
        explained(function, bound, names=("monitoring", "settrace"))


def numbers(n):
    for i in range(n):
        try:
            yield 1 / i
        except ZeroDivisionError:
            yield [x for x in range(i)]  # noqa: C416


def called(n):
    return sum(len(str(value)) for value in numbers(n))


def told(engine, function=called, *args, **options):
    """What a trace says of a call."""
    with debugop.trace(function, engine=engine, **options) as trace:
        result = function(*args)
    return result, [
        (one.code.co_qualname, one.event, one.instruction.offset, one.instruction.opname, [str(v) for v in one.stack])
        for one in trace
        if "object at" not in str(one.stack)
    ]


@pytest.mark.parametrize("engine", OTHERS)
def test_a_trace_says_the_same(engine):
    ours, theirs = told("inject", called, 4, follow=True), told(engine, called, 4, follow=True)
    drop = re.compile(r"0x[0-9a-f]+")
    assert drop.sub("", json.dumps(ours)) == drop.sub("", json.dumps(theirs))
    assert len(ours[1]) > 100


@pytest.mark.parametrize("engine", OTHERS)
def test_code_stays_as_it_is(engine):
    code = called.__code__
    with debugop.trace(called, engine=engine):
        assert called.__code__ is code
        called(2)
    assert called.__code__ is code


@pytest.mark.parametrize("engine", OTHERS)
def test_nothing_is_left_behind(engine):
    told(engine, called, 3, follow=True)
    assert sys.gettrace() is None
    if sys.version_info >= (3, 12):
        for tool in (3, 4):
            assert sys.monitoring.get_tool(tool) is None
        sys.monitoring.use_tool_id(4, "test")
        try:
            assert sys.monitoring.get_events(4) == 0
            assert sys.monitoring.get_local_events(4, called.__code__) == 0
        finally:
            sys.monitoring.free_tool_id(4)


@pytest.mark.parametrize("engine", OTHERS)
def test_a_callback_can_raise(engine):
    def callback(step):
        if step.instruction.opname.startswith("BINARY"):
            raise LookupError("from the callback")

    def divides(n):
        try:
            return n + 1
        except LookupError as error:
            return repr(error)

    assert debugop.trace(divides, callback, engine=engine)(1) == "LookupError('from the callback')"


@pytest.mark.parametrize("engine", OTHERS)
def test_a_callback_can_write_the_stack(engine):
    def callback(step):
        if step.instruction.opname.startswith("BINARY"):
            step.stack[0] = 40

    def adds(n):
        return n + 2

    assert debugop.trace(adds, callback, engine=engine)(1) == 42


@pytest.mark.parametrize("engine", OTHERS)
def test_what_a_callback_runs_is_not_reported(engine):
    names = []
    debugop.trace(called, lambda step: (names.append(step.code.co_name), numbers(1)), engine=engine)(2)
    assert "<lambda>" not in names
    assert "called" in names


@pytest.mark.parametrize("engine", OTHERS)
def test_a_generator_that_is_suspended_when_the_trace_ends(engine):
    with debugop.trace(numbers, engine=engine) as trace:
        generator = numbers(5)
        next(generator)
    before = len(trace)
    assert list(generator) == [[*range(0)], 1.0, 0.5, 1 / 3, 0.25][1:]
    assert len(trace) == before > 0


@pytest.mark.parametrize("engine", OTHERS)
def test_exceptions_are_not_kept_alive(engine):
    import weakref

    class Mine(Exception):
        pass

    def raises():
        raise Mine

    references = []

    def catches():
        try:
            raises()
        except Mine as error:
            references.append(weakref.ref(error))

    dead = []

    def calls():
        catches()
        dead.append(references[0]() is None)

    # Without a callback in Python, whose call would release what is put off.
    tracer = _core.Tracer(None, follow=debugop.Follow()._core, engine=engine)
    tracer.watch_callable(calls)
    calls()
    tracer.stop()
    assert tracer.steps > 20
    assert dead == [True]


def test_unknown_engines():
    with pytest.raises(
        ValueError, match=r"there is no engine \"turbo\": the engines are inject, monitoring and settrace"
    ):
        debugop.trace(called, engine="turbo").start()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="3.11 is the version without sys.monitoring")
def test_monitoring_needs_3_12():
    with pytest.raises(ValueError, match=r"needs CPython 3\.12 or newer, and this is 3\.11; use inject or settrace"):
        debugop.trace(called, engine="monitoring").start()
    command = [sys.executable, "-m", "debugop", "run", "--engine", "monitoring", "-c", "pass"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "needs CPython 3.12 or newer" in done.stderr
    assert done.stderr.count("\n") == 1
