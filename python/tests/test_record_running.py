"""Frames that run already when a recording begins: what is recorded of them is what another engine tells of the same frames."""

import sys
import threading

import debugop
import pytest
from debugop import _core

ENGINE = "monitoring" if sys.version_info >= (3, 12) else "settrace"
# Not tuples: those of cells are not captured whole.
PLAIN = (int, str, list, dict, type(None), bool)


def counted(limit):
    number = 0
    try:
        while number < limit:
            number += 1
            got = yield number
            if got:
                number += got
    finally:
        number = -1


class Manager:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return True


def twice(number):
    return number * 2


def fails(begin, number):
    begin()
    kept = [number]
    try:
        kept.append(twice(number))
        raise KeyError(number)
    except ValueError:
        kept = None
    finally:
        kept.append(3)
    return kept


def inner(begin, number):
    text = "a"
    result = fails(begin, number)
    text += "b"
    return result, text


def work(begin):
    total, names = 1, []
    suspended = counted(9)
    next(suspended)

    def cell():
        nonlocal total
        total += 1
        return total

    try:
        inner(begin, 5)
    except KeyError as error:
        names.append(error.args[0])
    for i in range(4):
        total += twice(i)
        if i % 2:
            continue
        names.append(str(i))
    names.append(suspended.send(2))
    names += [n + cell() for n in suspended if n > 5]
    with Manager() as manager:
        names.append(manager is None)
        int("x")
    try:
        try:
            raise ValueError(1)
        finally:
            total += 10
    except ValueError as error:
        names.append(len(error.args))
    pairs = {name: index for index, name in enumerate("ab")}
    del manager
    while total > 20:
        total //= 2
    return total, names, pairs


FUNCTIONS = [work, inner, fails, counted]
NAMES = {function.__name__ for function in FUNCTIONS} | {"cell", "<listcomp>", "<dictcomp>"}


def told_shape(value):
    if type(value) in PLAIN:
        return repr(value)
    return type(value).__name__


def recorded_shape(value):
    if value.type_name in {kind.__name__ for kind in PLAIN}:
        return repr(value.value)
    return value.type_name.rpartition(".")[2]


def told_steps(run):
    """(function, offset, stack) of each step of the frames, as another engine tells it."""
    steps = []

    def told(step):
        if step.event == "instruction" and step.code.co_name in NAMES:
            steps.append((step.code.co_name, step.instruction.offset, [told_shape(value) for value in step.stack]))

    tracer = _core.Tracer(told, engine=ENGINE)

    def begin():
        for function in FUNCTIONS:
            tracer.watch_callable(function)
        tracer.attach()

    result = run(begin)
    tracer.stop()
    return result, steps


def recorded_steps(path):
    found = []
    replay = debugop.open(path)
    for at in range(len(replay)):
        top = replay.at(at).frames[-1]
        name = top.function.rpartition(".")[2]
        if name in NAMES:
            found.append((name, top.offset, [recorded_shape(value) for value in top.stack]))
    return found


def plain(stack):
    """Slots that the two tell alike: what a generator or a method is called is not one of them."""
    kinds = {"int", "str", "list", "dict", "NoneType", "bool"}
    return [slot for slot in stack if slot and (slot[0] in "0123456789-'\"[{(" or slot in kinds | {"None", "True"})]


def test_frames_that_run_are_recorded_as_they_are_traced(tmp_path):
    path = tmp_path / "x.debugop"
    recording = debugop.record(path)
    expected, told = told_steps(work)
    result = work(recording.start)
    recording.stop()
    assert result == expected
    recorded = recorded_steps(path)
    # The tracer begins with the instruction behind the call that has made it begin, the recording with that.
    first = next(at for at, step in enumerate(told) if step[:2] == recorded[0][:2])
    assert first <= 2
    told = told[first:]
    assert len(recorded) > 300
    assert [step[:2] for step in recorded] == [step[:2] for step in told]
    for one, other in zip(recorded, told, strict=True):
        assert plain(one[2]) == plain(other[2]), (one, other)


def test_functions_that_a_frame_makes_which_runs_are_recorded(tmp_path):
    path = tmp_path / "x.debugop"
    shift = 3

    def early(number):
        return [number + shift for _ in range(2)]

    with debugop.record(path):

        def late(number, *, by=shift):
            def inside():
                return by

            triple = number * inside()
            return triple + shift

        class Made:
            kind = "made"

            @property
            def half(self):
                return shift // 2

        found = [late(2), (lambda text: text + "!")("a"), Made().half, early(4), {n: late(n) for n in range(2)}]
        found.append(sum(n + shift for n in found[3]))
    assert found == [9, "a!", 1, [7, 7], {0: 3, 1: 6}, 20]
    assert late.__code__ in test_functions_that_a_frame_makes_which_runs_are_recorded.__code__.co_consts
    replay = debugop.open(path)
    tops = [replay.at(at).frames[-1] for at in range(len(replay))]
    names = {top.function.rpartition("<locals>.")[2] for top in tops}
    expected = {"late", "inside", "<lambda>", "Made", "Made.half", "early", "<genexpr>"}
    if sys.version_info < (3, 12):
        expected |= {"<listcomp>", "<dictcomp>"}
    assert names - {"test_functions_that_a_frame_makes_which_runs_are_recorded"} == expected
    products = [top.locals["triple"].value for top in tops if "triple" in top.locals]
    assert list(dict.fromkeys(products)) == [6, 0, 3]


def test_the_end_of_a_block_is_recorded_to_its_last_instruction(tmp_path):
    path = tmp_path / "x.debugop"
    with debugop.record(path):
        one, two = 1, 2
        one = two  # noqa: F841
    replay = debugop.open(path)
    last = replay.at(len(replay) - 1).frames[-1]
    assert last.locals["one"].value == 2
    # What calls `__exit__`.
    assert last.opname.startswith(("CALL", "PRECALL"))


def test_the_frame_with_the_block_is_recorded_inside_it(tmp_path):
    path = tmp_path / "x.debugop"
    before = 4
    with debugop.record(path):
        total = before
        for i in range(3):
            total += twice(i)
    after = total
    assert after == 10
    replay = debugop.open(path)
    own = "test_the_frame_with_the_block_is_recorded_inside_it"
    frames = [replay.at(at).frames[-1] for at in range(len(replay))]
    inside = [frame for frame in frames if frame.function == own]
    assert {frame.function for frame in frames} == {own, "twice"}
    totals = [frame.locals["total"].value for frame in inside if "total" in frame.locals]
    assert list(dict.fromkeys(totals)) == [4, 6, 10]
    assert all(frame.locals["before"].value == 4 for frame in inside)
    assert all("after" not in frame.locals for frame in inside)


def test_threads_that_wait_are_recorded_when_they_go_on(tmp_path):
    path = tmp_path / "x.debugop"
    waits, goes_on = threading.Event(), threading.Event()

    def waiter():
        number = 7
        waits.set()
        goes_on.wait()
        number += twice(number)
        return number

    thread = threading.Thread(target=waiter, name="waiting")
    thread.start()
    waits.wait()
    with debugop.record(path):
        goes_on.set()
        thread.join()
    replay = debugop.open(path)
    tops = [replay.at(at).frames[-1] for at in range(len(replay))]
    numbers = [top.locals["number"].value for top in tops if top.function.endswith("waiter")]
    assert list(dict.fromkeys(numbers)) == [7, 21]


def test_a_tool_that_is_in_the_way_is_said(tmp_path, capfd):
    if sys.version_info < (3, 12):
        pytest.skip("3.11 has no sys.monitoring")
    path = tmp_path / "x.debugop"
    for tool in (3, 4):
        sys.monitoring.use_tool_id(tool, "another")
    try:
        with debugop.record(path):
            twice(1)
    finally:
        for tool in (3, 4):
            sys.monitoring.free_tool_id(tool)
    assert "frames that run already" in capfd.readouterr().err
    assert len(debugop.open(path)) > 3


def test_nothing_is_left_of_it(tmp_path):
    with debugop.record(tmp_path / "x.debugop"):
        twice(1)
    assert sys.gettrace() is None
    assert sys.version_info < (3, 12) or not any(map(sys.monitoring.get_tool, range(6)))
    with debugop.record(tmp_path / "y.debugop"):
        twice(1)
    assert len(debugop.open(tmp_path / "y.debugop")) > 10
