"""Frames that run already when reporting starts, and code that nobody has named."""

import sys
import threading
import weakref

import debugop
import pytest
from debugop import _core, _selfcheck

ENGINES = _selfcheck.engine_names()
OTHERS = [engine for engine in ENGINES if engine != "inject"]


class Told:
    """Collects (function, offset) of steps."""

    def __init__(self):
        self.steps = []

    def __call__(self, step):
        self.steps.append((step.code.co_name, step.instruction.offset, step.event, len(step.stack)))

    def of(self, name):
        return [step for step in self.steps if step[0] == name]


def long(start, n):
    """Calls `start` in the middle."""
    total = 0
    start()
    for i in range(n):
        total += i
    return total


def whole_tail(function, *args):
    """The steps of a run of `function` that is reported from its beginning, without any of what comes first."""
    told = Told()
    result = debugop.trace(function, told)(lambda: None, *args)
    return result, told.of(function.__name__)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_frame_on_the_stack_is_reported_from_its_next_instruction_on(engine):
    told = Told()
    tracer = _core.Tracer(told, engine=engine)

    def start():
        tracer.watch_callable(long)
        tracer.attach()

    result = long(start, 3)
    steps = told.of("long")
    assert result == 3
    expected = whole_tail(long, 3)[1]
    # The first instruction behind the call of `start` may be that of the event in which it was called.
    assert len(steps) > 20
    assert steps == expected[-len(steps) :]
    assert expected[-len(steps) - 1][1] < steps[0][1] <= expected[-len(steps) + 1][1]
    # The next call is reported as ever.
    before = len(told.of("long"))
    long(lambda: None, 3)
    assert told.of("long")[before:] == expected
    tracer.stop()
    assert long(lambda: None, 3) == 3
    assert told.of("long")[before:] == expected
    assert nothing_left()


def nothing_left():
    """Whether no tool and no trace function of ours is there."""
    if sys.gettrace() is not None:
        return False
    return sys.version_info < (3, 12) or all(sys.monitoring.get_tool(tool) is None for tool in (3, 4))


def test_what_fills_in_goes_away_with_the_last_frame():
    told = Told()
    tracer = _core.Tracer(told)

    def start():
        tracer.watch_callable(long)
        tracer.attach()
        assert sys.version_info < (3, 12) or not nothing_left()

    long(start, 3)
    assert nothing_left()
    tracer.stop()


def test_what_fills_in_goes_away_when_the_frame_ends_with_an_exception():
    told = Told()
    tracer = _core.Tracer(told)

    def start():
        tracer.watch_callable(long)
        tracer.attach()

    with pytest.raises(TypeError):
        long(start, "x")
    assert told.of("long")[-1][2] == "unwind"
    assert nothing_left()
    tracer.stop()


def count():
    for i in range(3):  # noqa: UP028
        yield i


@pytest.mark.parametrize("engine", ENGINES)
def test_a_suspended_generator(engine):
    expected = Told()
    with debugop.trace(count, expected):
        list(count())
    generator = count()
    next(generator)
    told = Told()
    tracer = _core.Tracer(told, engine=engine)
    tracer.watch_callable(count)
    tracer.attach([generator])
    assert list(generator) == [1, 2]
    tracer.stop()
    steps = told.of("count")
    assert len(steps) > 10
    assert steps == expected.of("count")[-len(steps) :]
    assert nothing_left()


@pytest.mark.parametrize("engine", ENGINES)
def test_frames_of_other_threads(engine):
    waiting, go = threading.Event(), threading.Event()

    def pause():
        waiting.set()
        go.wait()

    told = Told()
    results = []
    thread = threading.Thread(target=lambda: results.append(long(pause, 3)))
    thread.start()
    waiting.wait()
    tracer = _core.Tracer(told, engine=engine)
    tracer.watch_callable(long)
    tracer.attach()
    go.set()
    thread.join()
    tracer.stop()
    steps = told.of("long")
    assert results == [3]
    assert len(steps) > 20
    assert steps == whole_tail(long, 3)[1][-len(steps) :]
    assert nothing_left()


def made_at_run_time():
    namespace = {"__name__": __name__}
    exec(compile("def inner(x):\n    return x + 1\nresult = sorted([2, 1], key=inner)", __file__, "exec"), namespace)
    return namespace["result"]


@pytest.mark.parametrize("engine", OTHERS)
def test_code_that_nobody_has_named(engine):
    told = Told()
    tracer = _core.Tracer(told, engine=engine, everywhere=debugop.Follow()._core)
    tracer.enter()
    try:
        made_at_run_time()
        thread = threading.Thread(target=made_at_run_time)
        thread.start()
        thread.join()
    finally:
        tracer.stop()
    assert len(told.of("inner")) >= 2 * 2 * 4
    assert {name for name, *_ in told.steps} >= {"made_at_run_time", "inner", "<module>"}
    assert not {name for name, *_ in told.steps} & {"join", "start", "_bootstrap"}
    assert nothing_left()


@pytest.mark.parametrize("engine", OTHERS)
def test_code_made_without_end_is_let_go(engine):
    alive = weakref.WeakSet()
    tracer = _core.Tracer(None, engine=engine, everywhere=debugop.Follow()._core)
    tracer.enter()
    try:
        for number in range(10_000):
            code = compile(f"x = {number}", __file__, "exec")
            alive.add(code)
            exec(code, {"__name__": __name__})
    finally:
        tracer.stop()
        del code
    assert tracer.steps > 10_000 * 3
    assert len(alive) == 0


@pytest.mark.parametrize("engine", ["inject", *OTHERS])
def test_code_is_let_go_before_the_end(engine):
    alive = weakref.WeakSet()
    tracer = _core.Tracer(None, engine=engine, everywhere=debugop.Follow()._core)
    tracer.enter()
    most = 0
    try:
        for number in range(20_000):
            code = compile(f"x = {number}", __file__, "exec")
            alive.add(code)
            exec(code, {"__name__": __name__})
            if number % 1000 == 0:
                most = max(most, len(alive))
    finally:
        tracer.stop()
    assert 0 < most < 6000
