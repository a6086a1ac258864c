"""What compiled breakpoints are to the program, to other tools and to each other."""

import gc
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import debugop
import pytest
from debugop import _core


def adder(n: int) -> int:
    total = 0
    for i in range(n):
        total += i
    return total


LINE = adder.__code__.co_firstlineno + 3


class Stops(list[tuple[int, bool]]):
    """What `on_stop` is told of `adder`."""

    def __call__(self, frame: FrameType, line: int, raised: bool) -> None:
        assert frame.f_code is adder.__code__
        self.append((frame.f_locals["i"], raised))

    def at(self, condition: str | None = None, **options: Any) -> _core.CompiledBreakpoint:
        return _core.CompiledBreakpoint(__file__, LINE, condition=condition, on_stop=self, **options)


@pytest.fixture
def stops() -> Iterator[Stops]:
    yield Stops()
    _core.set_breakpoints([])


def test_the_program_sees_its_own_code(stops: Stops) -> None:
    before = adder.__code__
    _core.set_breakpoints([stops.at("i == 2")])
    assert adder.__code__ is before
    assert adder(4) == 6
    assert stops == [(2, False)]
    assert "BreakSite" not in repr(adder.__code__.co_consts)
    _core.set_breakpoints([])
    assert adder.__code__ is before
    assert not any(type(one).__name__ == "BreakSite" for one in gc.get_objects())
    adder(4)
    assert len(stops) == 1


def test_what_is_in_force_is_what_was_set_last(stops: Stops) -> None:
    first, second = stops.at("i == 1"), stops.at("i == 2")
    _core.set_breakpoints([first])
    adder(4)
    _core.set_breakpoints([first, second])
    adder(4)
    _core.set_breakpoints([second])
    adder(4)
    assert [i for i, _ in stops] == [1, 1, 2, 2]
    assert (first.hits, second.hits) == (8, 7), "what stops keeps those after it on the line from being reached"


def test_a_frame_that_runs_a_copy_is_left_alone_when_it_is_retired(stops: Stops) -> None:
    def on_stop(frame: FrameType, line: int, raised: bool) -> None:
        stops(frame, line, raised)
        _core.set_breakpoints([])

    _core.set_breakpoints([_core.CompiledBreakpoint(__file__, LINE, on_stop=on_stop)])
    assert adder(4) == 6
    assert stops == [(0, False)]


def test_what_the_callback_raises_is_raised_at_the_line(stops: Stops) -> None:
    def on_stop(frame: FrameType, line: int, raised: bool) -> None:
        raise KeyError("stop")

    _core.set_breakpoints([_core.CompiledBreakpoint(__file__, LINE, condition="i == 1", on_stop=on_stop)])
    with pytest.raises(KeyError, match="stop"):
        adder(4)
    _core.set_breakpoints([stops.at("i == 1")])
    adder(4)
    assert stops == [(1, False)], "and nothing is left of it"


def test_passed_over(stops: Stops) -> None:
    one = stops.at("i % 2", ignore=2)
    _core.set_breakpoints([one])
    adder(8)
    assert ([i for i, _ in stops], one.ignore, one.hits) == ([5, 7], 0, 8)


def test_paused(stops: Stops) -> None:
    _core.set_breakpoints([stops.at("i == 1")])
    _core.pause_breakpoints(True)
    adder(4)
    assert not stops
    _core.pause_breakpoints(False)
    adder(4)
    assert stops == [(1, False)]


def test_beside_a_tracer(stops: Stops) -> None:
    before = adder.__code__
    _core.set_breakpoints([stops.at("i == 1")])
    with debugop.trace(adder, lambda step: None) as tracer:
        assert adder(4) == 6
        steps = tracer.steps
    assert steps > 20
    assert not stops, "while it is traced, line events have to tell"
    assert adder(4) == 6
    assert stops == [(1, False)]
    with debugop.trace(adder, lambda step: None):
        _core.set_breakpoints([])
        _core.set_breakpoints([stops.at("i == 2")])
    adder(4)
    assert stops == [(1, False), (2, False)]
    _core.set_breakpoints([])
    assert adder.__code__ is before
    with debugop.trace(adder, lambda step: None) as tracer:
        adder(4)
    assert tracer.steps == steps


def test_a_tracer_reports_the_same(stops: Stops) -> None:
    def steps() -> list[tuple[str, int, int]]:
        seen: list[tuple[str, int, int]] = []

        def on_step(step: debugop.Step) -> None:
            seen.append((step.event, step.instruction.offset, len(step.stack)))

        with debugop.trace(adder, on_step):
            assert adder(3) == 3
        return seen

    alone = steps()
    assert len(alone) > 20
    _core.set_breakpoints([stops.at("i == 1")])
    assert steps() == alone
    _core.set_breakpoints([])


def divider(values: list[int]) -> Iterator[int]:
    for value in values:
        try:
            yield 6 // value
        except ZeroDivisionError as error:
            yield len(error.args)
        finally:
            value += 1
    raise KeyError([value for value in values if value])


DIVIDED = [divider.__code__.co_firstlineno + line for line in (1, 3, 5, 7, 8)]
OTHERS = ["settrace"] if sys.version_info < (3, 12) else ["monitoring", "settrace"]


@pytest.mark.parametrize("engine", OTHERS)
def test_other_engines_report_the_same(engine: Any) -> None:
    hits: list[int] = []

    def steps(before: Callable[[], object] = int, during: Callable[[], object] = int) -> list[Any]:
        """The steps of `divider` where a tracer starts after `before`, with `during` in the middle of it."""
        seen: list[Any] = []

        def on_step(step: debugop.Step) -> None:
            raised = type(step.exception).__name__
            seen.append((step.code, step.event, step.instruction.offset, [type(value) for value in step.stack], raised))

        before()
        with debugop.trace(divider, on_step, engine=engine):
            with pytest.raises(KeyError):
                list(divider([1, 0, 2]))
            running = divider([3, 0])
            seen.append(next(running))
            during()
            with pytest.raises(KeyError):
                list(running)
            with pytest.raises(KeyError):
                list(divider([1, 0, 2]))
        return seen

    def on_stop(frame: FrameType, line: int, raised: bool) -> None:
        hits.append(line)

    def set_breakpoints() -> None:
        condition = "[value for _ in (1,)] and (lambda: True)()"
        _core.set_breakpoints(
            [_core.CompiledBreakpoint(__file__, line, condition=condition, on_stop=on_stop) for line in DIVIDED]
        )
        assert _core.breakpoint_reasons() == []

    def remove() -> None:
        _core.set_breakpoints([])

    alone = steps()
    assert len(alone) > 150
    try:
        assert steps(set_breakpoints) == alone
        stops = list(hits)
        assert {*stops} == {*DIVIDED}
        assert steps(set_breakpoints, remove) == alone
        assert steps(remove, set_breakpoints) == alone
        remove()
        hits.clear()
        assert steps() == alone
        set_breakpoints()
        for _ in range(2):
            with pytest.raises(KeyError):
                list(divider([1, 0, 2]))
        with pytest.raises(KeyError):
            list(divider([3, 0]))
        assert sorted(hits) == sorted(stops), "they go on as without the tracer"
    finally:
        remove()


def test_who_refers_to_the_code(stops: Stops) -> None:
    _core.set_breakpoints([stops.at("i == 1")])
    assert adder in gc.get_referrers(adder.__code__)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
def test_events_of_the_code_alone(stops: Stops) -> None:
    monitoring = sys.monitoring
    lines: list[int] = []

    def on_line(code: Any, line: int) -> None:
        assert code is adder.__code__
        lines.append(line)

    monitoring.use_tool_id(4, "test")
    monitoring.register_callback(4, monitoring.events.LINE, on_line)

    def heard() -> list[int]:
        lines.clear()
        monitoring.set_local_events(4, adder.__code__, monitoring.events.LINE)
        adder(3)
        monitoring.set_local_events(4, adder.__code__, 0)
        adder(3)
        return list(lines)

    try:
        alone = heard()
        assert len(alone) > 5
        _core.set_breakpoints([stops.at("i == 1")])
        assert heard() == alone
    finally:
        monitoring.register_callback(4, monitoring.events.LINE, None)
        monitoring.free_tool_id(4)


def test_what_is_logged(stops: Stops) -> None:
    logged: list[str] = []
    templates = ["{i}: {total!r:>3} \"'", "{i=}", "no expression", "{missing}", "{{}} {[x for x in (i,)]}"]
    made = [
        _core.CompiledBreakpoint(__file__, LINE, condition="i == 2", log=text, on_log=logged.append)
        for text in templates
    ]
    _core.set_breakpoints([*made, stops.at("i == 3")])
    adder(4)
    assert logged == ["2:   1 \"'", "i=2", "no expression", "<NameError: name 'missing' is not defined>", "{} [2]"]
    assert stops == [(3, False)]


@pytest.mark.parametrize("text", ["1 +", "yield 1", "await i", "i = 1", "(yield)", "a\0b"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        _core.CompiledBreakpoint(__file__, LINE, condition=text)


def test_nothing_leaks(stops: Stops) -> None:
    def turn() -> int:
        _core.set_breakpoints([stops.at("(lambda: [i])() and 'constant' == i or 1 / i")])
        adder(3)
        _core.set_breakpoints([])
        stops.clear()
        gc.collect()
        return len(gc.get_objects())

    turn()
    first = turn()
    assert max(turn() for _ in range(5)) <= first + 5


def test_code_that_comes_and_goes(stops: Stops) -> None:
    count = []
    _core.set_breakpoints(
        [_core.CompiledBreakpoint("<made>", 1, condition="x % 2", on_stop=lambda *stop: count.append(stop[1]))]
    )
    for x in range(200):
        exec(compile("x", "<made>", "exec"), {"x": x})
    assert len(count) == 100
