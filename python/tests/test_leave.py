"""Frames that were entered while they were traced go on in their own code after `stop()`."""

import asyncio
import contextlib
import ctypes
import gc
import io
import random
import runpy
import sys
import traceback
from pathlib import Path

import debugop
import pytest
from debugop import _core

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"

real_code = ctypes.pythonapi.PyFrame_GetCode
real_code.restype = ctypes.py_object
real_code.argtypes = [ctypes.py_object]

JIT = getattr(sys, "_jit", None)
# Under the JIT frames stay in the copy, and compute the same.
LEAVES = not (JIT and JIT.is_enabled())
only_if_it_leaves = pytest.mark.skipif(not LEAVES, reason="under the JIT frames stay in the copy")


def start(callback=lambda step: None, include=__name__):
    debugop.start(callback, include=include)


def stop():
    """Ends tracing, unless it has ended already."""
    with contextlib.suppress(RuntimeError):
        debugop.stop()


class Plain:
    """Counts the turns of a loop."""

    def __init__(self):
        self.turns = 0

    def turn(self):
        self.turns += 1
        return self.turns


class Watch(Plain):
    """Ends tracing in the third turn of a loop, and says in the last whether the frame `above` that of the turn runs `code` and no copy."""

    def __init__(self, code, above=1):
        super().__init__()
        self.code = code
        self.above = above
        self.left = None

    def turn(self):
        super().turn()
        if self.turns == 3:
            debugop.stop()
        if self.turns >= 3:
            self.left = real_code(sys._getframe(self.above)) is self.code
        return self.turns


def traced(function, *args, kind=Watch):
    """What a function returns that is traced from its beginning, and what has watched it."""
    watch = kind(function.__code__)
    start()
    try:
        return function(watch, *args), watch
    finally:
        stop()


def while_loop(watch):
    i, total = 0, 0
    while i < 30:
        i = i + 1
        total = total + watch.turn()
    return total


def for_loop(watch):
    total = 0
    for i in range(30):
        total += watch.turn() * i
    return total


def for_list(watch):
    total = []
    for one in [str(i) for i in range(30)]:
        total.append((one, watch.turn()))
    return total


def endless(watch):
    while True:
        if watch.turn() == 30:
            break
    return watch.turns


def nested(watch):
    total = 0
    for i in range(6):
        for j in (1, 2, 3, 4, 5):
            total = total * 3 + i * j + watch.turn()
            if total > 10**9:
                total -= 10**9
                continue
    return total


def guarded(watch):
    total = []
    for i in range(30):
        try:
            with contextlib.suppress(KeyError):
                if watch.turn() % 3 == 0:
                    raise KeyError(i)
                total.append(100 // (i % 4))
        except ZeroDivisionError as error:
            total.append(error.__traceback__.tb_lineno - guarded.__code__.co_firstlineno)
        finally:
            total.append(-i)
    return total


def in_handlers(watch):
    total = 0
    try:
        total /= total
    except ZeroDivisionError:
        for i in range(15):
            total += watch.turn() * i
        try:
            raise
        except ZeroDivisionError as error:
            total += len(str(error))
    try:
        raise ValueError
    except ValueError:
        pass
    finally:
        for i in range(15):
            total += watch.turn() * i
    return total


def unpacking(watch):
    total = 0
    for i, (a, *b) in enumerate([(n, n + 1, n + 2) for n in range(30)]):
        total += a * i - sum(b) + watch.turn()
    return total


def comprehension(watch):
    return [watch.turn() * i for i in range(30)]


def with_cells(watch):
    total = 0

    def add(number):
        nonlocal total
        total += number

    for i in range(30):
        add(i * watch.turn())
    return total


def words(watch):
    text, n = "", 0
    while n < 30:
        n += 1
        text += str(watch.turn() * n)
    return text


def polling(watch):
    """A loop that does nothing but call: no variable of its own is loaded in it."""
    global next_turn

    def next_turn():
        if watch.turn() == 30:
            raise StopIteration

    watch.above = 2
    with contextlib.suppress(StopIteration):
        while True:
            next_turn()
    return watch.turns


def adding(watch):
    """The first object that is on top in the loop is what is added in place, where a frame cannot leave."""
    turn, total, one = watch.turn, 0, 1
    while True:
        total += one
        one = turn()
        if one > 29:
            return total


FUNCTIONS = [
    while_loop,
    for_loop,
    for_list,
    endless,
    nested,
    guarded,
    in_handlers,
    unpacking,
    with_cells,
    words,
    polling,
    adding,
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_loop_goes_on_in_its_own_code(function):
    result, watch = traced(function)
    assert result == function(Plain())
    assert watch.left is LEAVES


@pytest.mark.skipif(sys.version_info < (3, 12), reason="comprehensions are functions of their own before 3.12")
def test_comprehensions():
    result, watch = traced(comprehension)
    assert result == [(i + 1) * i for i in range(30)]
    assert watch.left is LEAVES


def numbers(watch, count):
    for i in range(count):
        got = yield watch.turn() * i
        if got:
            yield from (one + got for one in range(3))


def test_a_generator_that_is_suspended_goes_on_in_its_own_code():
    watch = Watch(numbers.__code__)
    start()
    try:
        assert list(numbers(watch, 30)) == list(numbers(Plain(), 30))
    finally:
        stop()
    assert watch.left is LEAVES


class Turns:
    """An iterator, and something to await, of `count` turns."""

    def __init__(self, watch, count):
        self.watch, self.left = watch, count

    def __iter__(self):
        return self

    __await__ = __iter__

    def take(self):
        if self.left == 0:
            raise StopIteration("end")
        self.left -= 1

    def __next__(self):
        self.take()
        return self.watch.turn()

    def send(self, value):
        self.take()
        return value, self.watch.turn()

    def throw(self, *error):
        self.take()
        return repr(error[-1]), self.watch.turn()


def delegating(watch, count):
    got = yield from Turns(watch, count)
    yield got


async def awaiting(watch, count):
    return await Turns(watch, count)


def driven(iterator):
    """What comes out of a generator or coroutine that is sent and thrown values: it is suspended in a delegation at each."""
    values, step = [], 0
    with contextlib.suppress(StopIteration):
        while True:
            if step == 6:
                values.append(iterator.throw(KeyError(step)))
            else:
                values.append(iterator.send(None if step < 9 else step))
            step += 1
    return values, step


@pytest.mark.parametrize("function", [delegating, awaiting])
def test_a_delegation_goes_on_in_its_own_code(function):
    watch = Watch(function.__code__, above=2)
    start()
    try:
        result = driven(function(watch, 12))
    finally:
        stop()
    plain = driven(function(Plain(), 12))
    assert result == plain
    assert len(plain[0]) >= 12
    assert watch.left is LEAVES


def test_a_coroutine_goes_on_in_its_own_code():
    async def work(watch):
        total = 0
        for i in range(30):
            total += watch.turn() * i
            await asyncio.sleep(0)
        return total

    watch = Watch(work.__code__)
    start()
    try:
        assert asyncio.run(work(watch)) == asyncio.run(work(Plain()))
    finally:
        stop()
    assert watch.left is LEAVES


def failing(watch, kept):
    """Keeps exceptions whose tracebacks refer to the running frame."""
    for i in range(30):
        try:
            if i % 2:
                raise ValueError(i)
            (  # more than a line
                watch.turn() / 0
            )
        except (ValueError, ZeroDivisionError) as error:
            kept.append(error)
        watch.turn()
    return len(kept)


def places(kept):
    found = []
    for error in kept:
        [entry] = traceback.extract_tb(error.__traceback__)
        found.append((entry.lineno, entry.end_lineno, entry.colno, entry.end_colno, error.__traceback__.tb_lasti))
    return found


def test_tracebacks_of_a_frame_that_has_left():
    expected, kept = [], []
    failing(Plain(), expected)
    _, watch = traced(failing, kept)
    assert watch.left is LEAVES
    assert places(kept) == places(expected)


def test_a_frame_that_somebody_holds_stays():
    held = []

    def hold(watch):
        total = 0
        for i in range(40):
            if i == 1:
                held.append(sys._getframe())
            total += watch.turn() * i
        return total

    result, watch = traced(hold)
    assert result == hold(Plain())
    assert watch.left is False


def test_a_frame_at_the_recursion_limit_stays():
    """Moving a frame takes a call, which must not be the one too many."""

    def deep(n, ends):
        if n:
            return deep(n - 1, ends)
        i, total = 0, 0
        while i < 20:
            i = i + 1
            total = total + i
            if i == 2:
                ends()
        return total

    def reaches(n, ends):
        try:
            return deep(n, ends) == 210
        except RecursionError:
            return False

    old = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(list(traceback.walk_stack(None))) + 50)
        most = max(n for n in range(50) if reaches(n, int))
        for n in (most - 1, most):
            tracer = _core.Tracer(None, everywhere=_core.Follow(include=[__name__]))
            tracer.enter()
            assert reaches(n, tracer.stop), n
    finally:
        sys.setrecursionlimit(old)


@only_if_it_leaves
def test_starting_again_reports_every_step_of_a_frame_that_has_left():
    class Told(Plain):
        """Collects the steps of each turn."""

        def __init__(self):
            super().__init__()
            self.told = []

        def callback(self, step):
            if step.code.co_name == "while_loop":
                self.told.append((self.turns, step.instruction.offset))

    class Restart(Told):
        """Stops in the fifth turn and starts again in the tenth."""

        def turn(self):
            super().turn()
            if self.turns == 5:
                debugop.stop()
            if self.turns == 10:
                assert real_code(sys._getframe(1)) is while_loop.__code__
                start(self.callback)
            return self.turns

    def told(watch):
        start(watch.callback)
        try:
            while_loop(watch)
        finally:
            stop()
        return watch.told

    whole = told(Told())
    assert told(Restart()) == [one for one in whole if not 5 <= one[0] < 10]


@only_if_it_leaves
def test_a_trace_function_afterwards():
    lines = []

    def trace(frame, event, arg):
        if frame.f_code is for_loop.__code__ and event == "line":
            lines.append(frame.f_lineno - for_loop.__code__.co_firstlineno)
        return trace

    class Traced(Watch):
        """Sets a trace function after it has stopped."""

        def turn(self):
            result = super().turn()
            if self.turns == 10:
                sys._getframe(1).f_trace = trace
                sys.settrace(trace)
            return result

    try:
        traced(for_loop, kind=Traced)
    finally:
        sys.settrace(None)
    assert lines == [2, 3] * 20 + [2, 4]


def many_loops(n, stop):
    total = 0
    for x in range(n):
        total += x
        if x == 2:
            stop()
    while total > 0:
        total -= 5
    for x in (y for y in range(n)): total += x  # fmt: skip # noqa: E701
    for x in range(n):
        if x:
            continue
        total += (
            x
            + 1
        )  # fmt: skip
    return total


def test_a_trace_function_at_once():
    """A frame that has one cannot leave. It takes the detour where it asks whether it can: no line begins there, and none behind it. (3.11
    tells of a line at each jump back, and so of the end of the detour, but for who stands in front of the trace function.)
    """

    def lines(begin, end):
        told = []

        def trace(frame, event, arg):
            if frame.f_code is many_loops.__code__:
                told.append((event, frame.f_lineno - frame.f_code.co_firstlineno))
            return trace

        def stop_here():
            end()
            sys._getframe(1).f_trace = trace
            sys.settrace(trace)

        begin()
        try:
            many_loops(6, stop_here)
        finally:
            sys.settrace(None)
            end()
        return told

    plain = lines(lambda: None, lambda: None)
    assert len(plain) > 40
    assert lines(start, stop) == plain


def run_example(path, stop_at=None):
    """What an example prints, and how many steps are told, if tracing is stopped at one of them."""
    steps = 0

    def callback(step):
        nonlocal steps
        steps += 1
        if steps == stop_at:
            debugop.stop()

    before, interval = set(sys.modules), sys.getswitchinterval()
    output = io.StringIO()
    start(callback, include="__example__")
    try:
        with contextlib.redirect_stdout(output):
            runpy.run_path(str(path), run_name="__example__")
        outcome = None
    except Exception as error:
        outcome = [(frame.f_code.co_name, line) for frame, line in traceback.walk_tb(error.__traceback__)], repr(error)
    finally:
        stop()
        sys.setswitchinterval(interval)
        for name in set(sys.modules) - before:
            del sys.modules[name]
    return output.getvalue(), outcome, steps


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_that_are_stopped_anywhere(path):
    *expected, steps = run_example(path, -1)
    assert steps > 0
    chance = random.Random(path.stem)
    for stop_at in sorted({chance.randrange(1, steps + 1) for _ in range(4)}):
        *found, told = run_example(path, stop_at)
        assert found == expected, stop_at
        assert told == stop_at
    gc.collect()
