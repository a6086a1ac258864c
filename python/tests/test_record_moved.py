"""Frames that run when a recording begins go on in the copies of their code from the next line on (3.12 and later): the steps, stacks and variables are those that another
engine tells of the same run, and the program sees nothing of it."""

import gc
import subprocess
import sys
import textwrap

import begun_in_the_middle as running
import debugop
import pytest
from debugop import _core

ENGINE = "monitoring" if sys.version_info >= (3, 12) else "settrace"
MOVES = sys.version_info >= (3, 12)
PLAIN = (int, float, str, type(None), bool)
NAMES = {kind.__name__ for kind in PLAIN}


def plain(value):
    return repr(value) if type(value) in PLAIN else ...


def replayed(value):
    return repr(value.value) if value.type_name in NAMES and value.is_whole else ...


def told(run, thread=None):
    """(function, offset, stack, variables) of each step of the module's code, as another engine tells it."""
    steps = {}

    def tell(step):
        if step.event == "instruction" and step.code.co_filename == running.__file__:
            # `f_locals` of a class or module would be the program's own dictionary.
            known = step.frame.f_locals if step.code.co_flags & 1 else {}
            variables = {name: plain(value) for name, value in dict(known).items()}
            kept = (step.code.co_qualname, step.instruction.offset, [plain(value) for value in step.stack], variables)
            steps.setdefault(step.thread, []).append(kept)

    tracer = _core.Tracer(tell, engine=ENGINE, everywhere=_core.Follow(all=True))
    result = run(tracer.attach)
    tracer.stop()
    return result, list(steps.values())


def recorded(path):
    steps = {}
    replay = debugop.open(path)
    for at in range(len(replay)):
        moment = replay.at(at)
        top = moment.frames[-1]
        if top.file == running.__file__:
            variables = {name: replayed(value) for name, value in top.locals.items()}
            name = top.function.removeprefix("begun_in_the_middle.")
            kept = (name, top.offset, [replayed(value) for value in top.stack], variables)
            steps.setdefault(moment.thread, []).append(kept)
    return list(steps.values())


def agree(one, other):
    """What both know is the same."""
    return one is ... or other is ... or one == other


def compare(recorded, told):
    # The tracer begins with the instruction behind the call that has made it begin, the recording with that.
    first = next(at for at, step in enumerate(told) if step[:2] == recorded[0][:2])
    assert first <= 3
    told = told[first:]
    assert [step[:2] for step in recorded] == [step[:2] for step in told]
    for one, other in zip(recorded, told, strict=True):
        assert len(one[2]) == len(other[2])
        assert all(map(agree, one[2], other[2])), (one, other)
        shared = one[3].keys() & other[3].keys()
        assert all(agree(one[3][name], other[3][name]) for name in shared), (one, other)


@pytest.mark.parametrize("shape", running.SHAPES, ids=lambda shape: shape.__name__)
def test_a_frame_that_runs_is_recorded_as_it_is_traced(shape, tmp_path):
    path = tmp_path / "x.debugop"
    plain_result = shape(lambda: None)
    expected, by_thread = told(shape)
    assert expected == plain_result
    recording = debugop.record(path)
    result = shape(recording.start)
    recording.stop()
    assert result == expected
    found = recorded(path)
    assert len(found) == len(by_thread)
    # Threads that take turns as they like do the same.
    for one, other in zip(in_order(found), in_order(by_thread), strict=True):
        compare(one, other)


def in_order(threads):
    return sorted(threads, key=lambda steps: (steps[-1][0], [repr(step[3].get("name")) for step in steps[-1:]]))


def watched(code):
    """The events of the code that debugop's tool asks for."""
    tools = [tool for tool in range(6) if sys.monitoring.get_tool(tool) == "debugop"]
    return [events for tool in tools if (events := sys.monitoring.get_local_events(tool, code))]


needs_monitoring = pytest.mark.skipif(not MOVES, reason="3.11 does not read a frame's code anew at a line")


def moves(begin):
    begin()
    return watched(moves.__code__)


def moves_in_a_loop(begin):
    found = []
    begin()
    for _ in range(2):
        found.append(watched(moves_in_a_loop.__code__))
    return found


def moves_when_called(begin, depth=3):
    if depth:
        moves_when_called(begin, depth - 1)
        found = watched(moves_when_called.__code__)
        return found if depth == 3 else None
    begin()
    return None


def moves_in_a_generator(begin):
    def generator(one, code):
        # No site is where the stack is deepest: the copy has room in the generator.
        wide = (one, one, one, one, one, one)
        begin()
        found = watched(code())
        yield found, len(wide)

    return next(generator(1, lambda: generator.__code__))[0]


@needs_monitoring
@pytest.mark.parametrize("shape", [moves, moves_in_a_loop, moves_when_called, moves_in_a_generator])
def test_the_other_engine_is_not_asked_any_more(shape, tmp_path):
    recording = debugop.record(tmp_path / "x.debugop")
    found = shape(recording.start)
    recording.stop()
    assert found in ([], [[], []])


@needs_monitoring
def test_the_block_of_a_script_is_moved(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import sys, debugop
            code, found, total = sys._getframe().f_code, [], 0
            with debugop.record("x.debugop"):
                for number in range(3):
                    total += number
                    found.append(sys.monitoring.get_tool(4))
            print(found, total, sys._getframe().f_code is code, sys.monitoring.get_tool(4))
        """)
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "[None, None, None] 3 True None\n"
    replay = debugop.open(tmp_path / "x.debugop")
    stores = [top for at in range(len(replay)) if (top := replay.at(at).frames[-1]).opname == "STORE_NAME"]
    assert [top.stack[-1].value for top in stores] == [0, 0, 1, 1, 2, 3]
    assert replay.at(len(replay) - 1).frames[-1].opname.startswith("CALL")


def with_a_tool(begin, told):
    total = 0
    begin()
    for number in range(2):
        total += number
        told.append(None)
    return total


def is_told_the_same(run, tmp_path):
    """What `run` is told, which is given what begins a recording, is what it is told without one."""
    expected = run(lambda: None)
    recording = debugop.record(tmp_path / "x.debugop")
    found = run(recording.start)
    recording.stop()
    assert found == expected
    assert len(found) >= 6


@needs_monitoring
@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_another_tool_is_told_what_it_would_be(local, early, tmp_path):
    """Of the lines of a frame that runs, before the recording and afterwards."""
    monitoring = sys.monitoring
    line = monitoring.events.LINE

    def run(begin):
        told = []

        def watch():
            monitoring.use_tool_id(2, "another")
            monitoring.register_callback(2, line, lambda code, number: told.append((code.co_name, number)))
            if local:
                monitoring.set_local_events(2, with_a_tool.__code__, line)
            else:
                monitoring.set_events(2, line)

        def begins():
            if early:
                watch()
                begin()
            else:
                begin()
                watch()

        try:
            assert with_a_tool(begins, told) == 1
        finally:
            monitoring.set_events(2, 0)
            monitoring.set_local_events(2, with_a_tool.__code__, 0)
            monitoring.register_callback(2, line, None)
            monitoring.free_tool_id(2)
        return [one for one in told if one and one[0] == "with_a_tool"]

    is_told_the_same(run, tmp_path)


def traced(begin, found):
    begin()
    total = 1
    for number in range(2):
        total += number
    found.append(total)
    return total


@pytest.mark.parametrize("early", [False, True])
def test_a_trace_function_is_told_what_it_would_be(early, tmp_path):
    def run(begin):
        told = []

        def tell(frame, event, _):
            if frame.f_code is traced.__code__:
                told.append((event, frame.f_lineno, frame.f_lasti, dict(frame.f_locals) if event == "return" else None))
            return tell

        def watch():
            sys._getframe(2).f_trace = tell
            sys.settrace(tell)

        def begins():
            if early:
                watch()
                begin()
            else:
                begin()
                watch()

        try:
            traced(begins, [])
        finally:
            sys.settrace(None)
        # 3.11 tells whoever traces a frame of opcodes if somebody has asked for them, as a recording does in frames that run.
        return [one[:3] for one in told if MOVES or one[0] != "opcode"]

    is_told_the_same(run, tmp_path)


def goes_on(begin, end):
    begin()
    total = 0
    for number in range(200):
        total += number
        if number == 100:
            end()
    frame = sys._getframe()
    return total, frame.f_lasti, frame.f_code is goes_on.__code__


def test_a_frame_goes_on_when_the_recording_has_ended(tmp_path):
    expected = goes_on(lambda: None, lambda: None)
    recording = debugop.record(tmp_path / "x.debugop")
    assert goes_on(recording.start, recording.stop) == expected
    again = debugop.record(tmp_path / "y.debugop")
    assert goes_on(again.start, again.stop) == expected
    for name in ("x", "y"):
        replay = debugop.open(tmp_path / f"{name}.debugop")
        last = replay.at(len(replay) - 1).frames[-1].locals
        assert last["number"].value == 100
        assert last["total"].value == 5050


def begins_again(paths, found):
    for path in paths:
        with debugop.record(path):
            for number in range(3):
                found.append(number)
        found.append(path.name)


def test_a_frame_can_be_recorded_again_and_again(tmp_path):
    found, paths = [], [tmp_path / f"{number}.debugop" for number in range(4)]
    begins_again(paths, found)
    assert found == [item for path in paths for item in (0, 1, 2, path.name)]
    for path in paths:
        replay = debugop.open(path)
        tops = [replay.at(at).frames[-1] for at in range(len(replay))]
        assert {top.function.rpartition(".")[2] for top in tops} == {"begins_again"}
        numbers = [top.locals["number"].value for top in tops if "number" in top.locals]
        assert list(dict.fromkeys(numbers)) == ([0, 1, 2] if path.name == "0.debugop" else [2, 0, 1])


def keeps(begin):
    kept = [object()]
    begin()
    for _ in range(3):
        kept.append(object())
    return [sys.getrefcount(one) for one in kept]


def test_references_are_counted(tmp_path):
    expected = keeps(lambda: None)
    before = sys.getrefcount(keeps.__code__)
    for number in range(5):
        recording = debugop.record(tmp_path / f"{number}.debugop")
        assert keeps(recording.start) == expected
        recording.stop()
    gc.collect()
    assert sys.getrefcount(keeps.__code__) <= before + 2
