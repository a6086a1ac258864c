"""`debugop.trace`: how it is used, and that nothing is left of it."""

import asyncio
import contextlib
import functools
import gc
import inspect
import io
import sys
import time
import traceback
import types
import weakref

import debugop
import pytest
from debugop import _core
from oracle.running import running_code


def double(x):
    y = x
    return x + y


def fails(x):
    y = [x]
    return y[x]


def sites_in(function):
    return [constant for constant in running_code(function).co_consts if type(constant) is debugop.Site]


def offsets(records):
    return [record.instruction.offset for record in records]


def every_offset(function):
    return [one.offset for one in debugop.instructions(function)]


class TestWaysOfUse:
    def test_a_context_manager_that_collects(self):
        with debugop.trace(double) as trace:
            assert trace.active
            assert double(3) == 6
        assert not trace.active
        assert offsets(trace) == every_offset(double)
        assert trace.steps == len(trace) == len(trace.records) == len(every_offset(double))

    def test_a_context_manager_with_a_callback(self):
        seen = []
        with debugop.trace(double, lambda step: seen.append(step.instruction.offset)) as trace:
            double("a")
        assert seen == every_offset(double)
        assert (trace.steps, len(trace), list(trace)) == (len(seen), 0, [])

    def test_a_call(self):
        trace = debugop.trace(double)
        assert trace(x=[1]) == [1, 1]
        assert offsets(trace) == every_offset(double)
        assert sites_in(double) == []

    def test_a_decorator(self):
        seen = []

        @debugop.trace(callback=lambda step: seen.append(step.instruction.opname))
        def decorated(x, *, y=1):
            """A docstring."""
            return x - y

        assert decorated(5, y=2) == 3
        assert "BINARY_OP" in seen
        assert decorated.__name__ == "decorated"
        assert decorated.__doc__ == "A docstring."
        assert str(inspect.signature(decorated)) == "(x, *, y=1)"
        steps = len(seen)
        decorated(1)
        assert len(seen) == 2 * steps == decorated.trace.steps

    def test_a_decorator_without_parentheses(self):
        class Class:
            @debugop.trace
            def method(self, x):
                return self, x

        instance = Class()
        assert instance.method(3) == (instance, 3)
        assert Class.method(instance, 4) == (instance, 4)
        assert {record.name for record in Class.method} == {"method"}

    def test_a_code_object(self):
        code = compile("x = 1\ndef f(): return x\ny = f()", "<code>", "exec")
        namespace = {}
        with debugop.trace(code) as trace:
            assert trace.code is not code
            exec(trace.code, namespace)
        assert namespace["y"] == 1
        assert dict.fromkeys(record.qualname for record in trace) == {"<module>": None, "f": None}
        assert {record.code for record in trace} == {code, namespace["f"].__code__}
        with pytest.raises(RuntimeError, match="only while the trace is active"):
            assert trace.code
        again = {}
        debugop.trace(code)(again)
        assert again["y"] == 1

    def test_a_code_object_of_an_expression(self):
        with debugop.trace(compile("[i * 2 for i in (1, 2)]", "<e>", "eval")) as trace:
            assert eval(trace.code) == [2, 4]
        assert len(trace) > 10

    def test_start_and_stop(self):
        trace = debugop.trace(double)
        trace.stop()
        trace.start()
        trace.start()
        double(1)
        trace.stop()
        trace.stop()
        double(1)
        assert len(trace) == len(every_offset(double))
        trace.start()
        double(1)
        trace.stop()
        assert len(trace) == trace.steps == 2 * len(every_offset(double))
        assert trace.records[-1].number == len(every_offset(double))

    def test_the_same_trace_entered_twice(self):
        trace = debugop.trace(double)
        with trace:
            with trace as again:
                assert again is trace
                double(1)
            assert trace.active
            double(1)
        assert not trace.active
        assert len(trace) == 2 * len(every_offset(double))

    def test_start_holds_it_open_and_stop_ends_it_at_once(self):
        trace = debugop.trace(double)
        trace.start()
        with trace:
            pass
        assert trace.active
        with trace:
            trace.stop()
            assert not trace.active
            double(1)
        assert len(trace) == 0

    def test_two_traces_of_one_function_both_get_every_step(self):
        first, second = [], []
        with debugop.trace(double, lambda step: first.append(step.instruction.offset)):
            with debugop.trace(double, lambda step: second.append(step.instruction.offset)):
                double(1)
            double(1)
        assert first == every_offset(double) * 2
        assert second == every_offset(double)
        assert sites_in(double) == []

    def test_traces_that_overlap(self):
        original = double.__code__
        first, second = debugop.trace(double), debugop.trace(double)
        first.start()
        second.start()
        first.stop()
        double(1)
        second.stop()
        assert double.__code__ is original
        assert (len(first), offsets(second)) == (0, every_offset(double))

    def test_a_limit(self):
        with debugop.trace(double, limit=3) as trace:
            double(1)
            double(2)
        assert offsets(trace) == every_offset(double)[:3]
        assert trace.steps == 3
        with trace:
            double(1)
        assert len(trace) == 6

    def test_repr(self):
        trace = debugop.trace(double)
        assert repr(trace) == "<debugop.Trace of double, not active, 0 steps>"
        with trace:
            assert repr(trace) == "<debugop.Trace of double, active, 0 steps>"
        assert trace


class TestDecoratedFunctions:
    def trace_of(self, function):
        assert not function.trace.active
        return [record.instruction.opname for record in function.trace]

    def test_a_generator_function(self):
        @debugop.trace()
        def numbers(n):
            got = yield n
            yield got * 2
            return 7

        def outer():
            result.append((yield from numbers(1)))

        result = []
        running = outer()
        assert [next(running), running.send(4), *running] == [1, 8]
        assert result == [7]
        assert inspect.isgeneratorfunction(numbers)
        assert self.trace_of(numbers).count("YIELD_VALUE") == 2
        running = numbers(5)
        next(running)
        assert numbers.trace.active
        running.close()
        assert not numbers.trace.active

    def test_a_coroutine_function(self):
        @debugop.trace()
        async def coroutine(x):
            await asyncio.sleep(0)
            return x

        async def main():
            return await asyncio.gather(coroutine(1), coroutine(2))

        assert asyncio.run(main()) == [1, 2]
        assert inspect.iscoroutinefunction(coroutine)
        assert self.trace_of(coroutine).count("RETURN_VALUE") + self.trace_of(coroutine).count("RETURN_CONST") == 2

    def test_an_asynchronous_generator_function(self):
        log = []

        @debugop.trace()
        async def numbers():
            try:
                log.append((yield 1))
                yield 2
            except KeyError:
                yield "caught"
            finally:
                log.append("finally")

        async def main():
            seen = [x async for x in numbers()]
            running = numbers()
            seen += [await anext(running), await running.asend("sent"), await running.athrow(KeyError)]
            with pytest.raises(StopAsyncIteration):
                await anext(running)
            running = numbers()
            await anext(running)
            await running.aclose()
            return seen

        assert asyncio.run(main()) == [1, 2, 1, 2, "caught"]
        assert log == [None, "finally", "sent", "finally", "finally"]
        assert inspect.isasyncgenfunction(numbers)
        assert "YIELD_VALUE" in self.trace_of(numbers)

    def test_methods(self):
        class Class:
            @debugop.trace()
            def method(self):
                return self

            @debugop.trace()
            @classmethod
            def make(cls):
                return cls()

            @classmethod
            @debugop.trace()
            def make_too(cls):
                return cls()

            @debugop.trace()
            @staticmethod
            def static(x):
                return x

            @property
            @debugop.trace()
            def prop(self):
                return 3

        instance = Class()
        assert instance.method() is instance
        assert type(Class.make()) is type(Class.make_too()) is Class
        assert Class.static(2) == instance.static(2) == 2
        assert instance.prop == 3
        for function in (Class.method, Class.make, Class.make_too, Class.static, Class.prop.fget):
            assert function.trace.steps > 0

    def test_recursion_through_the_decorated_name(self):
        @debugop.trace()
        def factorial(n):
            return n * factorial(n - 1) if n else 1

        assert factorial(5) == 120
        assert sum(record.instruction.opname == "RESUME" for record in factorial.trace) == 6

    def test_what_cannot_be_decorated(self):
        for target in (dict, 3, property(double)):
            with pytest.raises(TypeError, match="cannot decorate"):
                debugop.trace()(target)
        with pytest.raises(ValueError, match="limit must be at least 1, not 0"):
            debugop.trace(limit=0)


class TestBadArguments:
    def test_types(self):
        with pytest.raises(TypeError, match="cannot trace a int: a callable or a code object is needed"):
            debugop.trace(3)
        with pytest.raises(TypeError, match="the callback must be callable, not int"):
            debugop.trace(double, 3)
        with pytest.raises(TypeError, match=r"where must be a debugop\.Predicate, not str"):
            debugop.trace(double, where="f")

    def test_what_runs_no_python_function(self):
        for target in (len, int, functools.partial(len)):
            trace = debugop.trace(target)
            with pytest.raises(TypeError, match="runs no Python function"):
                trace.start()
            assert not trace.active

    def test_code_that_no_compiler_wrote(self):
        bad = double.__code__.replace(co_code=b"\x01\x00" * 3)
        with pytest.raises(ValueError, match="cannot trace double"), debugop.trace(bad):
            raise AssertionError("not reached")


class TestRestoration:
    def test_every_function_has_its_own_code_back(self):
        def target():
            return helper()

        def helper():
            return double(1)

        originals = [target.__code__, helper.__code__, double.__code__]
        with debugop.trace(target, follow=True):
            target()
            assert all(map(sites_in, (target, helper, double)))
        assert [target.__code__, helper.__code__, double.__code__] == originals
        assert target.__code__ is originals[0]
        assert double.__code__ is originals[2]

    def test_after_an_exception(self):
        original = fails.__code__
        with pytest.raises(IndexError), debugop.trace(fails):
            fails(3)
        assert fails.__code__ is original
        with pytest.raises(IndexError):
            debugop.trace(fails)(3)
        assert fails.__code__ is original

    def test_closures_that_were_made_while_tracing(self):
        def make():
            def inner(x):
                return x + 1

            return inner

        with debugop.trace(make):
            functions = [make(), (make(),), {"f": make()}, functools.partial(make()), types.MethodType(make(), 1)]
            held_by_c = sorted([1, 2], key=make()), iter(map(make(), [1, 2]))
            assert sites_in(functions[0])
        inner = [functions[0], functions[1][0], functions[2]["f"], functions[3].func, functions[4].__func__]
        assert all(sites_in(function) == [] for function in inner)
        assert {function.__code__ for function in inner} == {inner[0].__code__}
        assert list(held_by_c[1]) == [2, 3]
        assert not any(sites_in(one) for one in gc.get_objects() if type(one) is types.FunctionType)

    def test_a_suspended_generator_goes_on(self):
        def numbers():
            for i in range(4):
                yield i * 2

        with debugop.trace(numbers) as trace:
            running = numbers()
            seen = [next(running), next(running)]
        steps = len(trace)
        assert [*seen, *running] == [0, 2, 4, 6]
        assert len(trace) == steps

    def test_code_that_was_assigned_while_tracing_stays(self):
        def function():
            return 1

        with debugop.trace(function):
            function.__code__ = (lambda: 2).__code__
        assert function() == 2

    def test_the_results_are_those_of_untraced_code(self):
        def annotated(a: int, b=2, *, c: str = "x") -> None:
            """Doc."""
            d = locals()
            return sorted(d)

        plain = annotated(1), annotated.__code__.co_varnames, inspect.signature(annotated), annotated.__doc__
        with debugop.trace(annotated):
            assert annotated.__code__.co_varnames == plain[1]
            assert (annotated(1), inspect.signature(annotated), annotated.__doc__) == (plain[0], plain[2], plain[3])


class Stop(Exception):
    pass


class TestCallbacksThatRaise:
    def raising_at(self, opname):
        def callback(step):
            if step.event == "instruction" and step.instruction.opname == opname:
                raise Stop(step.instruction.offset)

        return callback

    def test_the_exception_appears_at_the_instruction(self):
        with debugop.trace(double, self.raising_at("BINARY_OP")), pytest.raises(Stop) as caught:
            double(1)
        frames = traceback.extract_tb(caught.value.__traceback__)
        line = next(frame.lineno for frame in frames if frame.name == "double")
        assert line == double.__code__.co_firstlineno + 2
        assert frames[-1].name == "callback"
        assert double(2) == 4

    def test_the_traced_function_can_catch_it(self):
        def catches(x):
            log = []
            try:
                log.append(x + 1)
            except Stop:
                log.append("caught")
            finally:
                log.append("finally")
            return log

        with debugop.trace(catches, self.raising_at("BINARY_OP")):
            assert catches(1) == ["caught", "finally"]

    def test_in_a_with_block(self):
        class Manager:
            def __enter__(self):
                return self

            def __exit__(self, *exc):
                self.seen = exc[0]
                return True

        def uses(manager):
            with manager:
                return 1 + manager
            return "suppressed"

        manager = Manager()
        with debugop.trace(uses, self.raising_at("BINARY_OP")):
            assert uses(manager) == "suppressed"
        assert manager.seen is Stop

    def test_in_a_generator(self):
        def numbers(n):
            try:
                yield n
                yield n + 1
            finally:
                log.append("finally")

        log = []
        with debugop.trace(numbers, self.raising_at("BINARY_OP")):
            running = numbers(1)
            assert next(running) == 1
            with pytest.raises(Stop):
                next(running)
            assert log == ["finally"]
            assert list(running) == []

    def test_at_every_instruction_in_turn(self, short_collections):
        def function(n):
            total = 0
            for i in range(n):
                with io.StringIO("ab\nc") as file:
                    total += len([i, *file]) if i else 1
            try:
                total //= n - 2
            except ZeroDivisionError as error:
                total = str(error)
            return f"{total!r:>3}"

        expected = function(2)
        with debugop.trace(function) as trace:
            function(2)
        assert len(trace) > 50
        for number in range(1, len(trace) + 1):

            def callback(step, number=number):
                if step.number == number:
                    raise Stop

            with debugop.trace(function, callback), contextlib.suppress(Stop):
                assert function(2) == expected
            assert sys.exception() is None, f"what was handled at step {number} is still being handled"
            try:
                raise KeyError("outer")
            except KeyError as outer:
                with debugop.trace(function, callback), contextlib.suppress(Stop):
                    function(2)
                assert sys.exception() is outer
            gc.collect()
        assert function(2) == expected


class TestCallbacks:
    def test_one_that_stops_its_trace_is_let_go_with_it(self):
        class Kept:
            pass

        def traced(kept):
            def callback(step, kept=kept):
                trace.stop()

            trace = debugop.trace(double, callback)
            trace.start()
            assert double(1) == 2
            return weakref.ref(kept)

        # Nothing else of debugop's may be left to collect: it would enter debugop, which then lets go of everything.
        gc.collect()
        reference = traced(Kept())
        gc.collect()
        assert reference() is None

    def test_one_that_calls_traced_code_is_not_called_for_that(self):
        seen = []

        def callback(step):
            seen.append((step.instruction.offset, double(4)))

        with debugop.trace(double, callback):
            assert double(1) == 2
        assert seen == [(offset, 8) for offset in every_offset(double)]

    def test_what_it_runs_is_reported_to_other_traces(self):
        other = debugop.trace(double)
        with other, debugop.trace(double, lambda step: double(step.number), limit=2):
            double(1)
        assert len(other) == 3 * len(every_offset(double))

    def test_one_that_stops_its_own_trace(self):
        seen = []

        def callback(step):
            seen.append(step.instruction.offset)
            if len(seen) == 3:
                trace.stop()
                with pytest.raises(debugop.StaleStep, match="has been stopped"):
                    assert step.depth
                assert step.frame.f_code.co_name == "double"

        trace = debugop.trace(double, callback)
        with trace:
            assert double(1) == 2
            assert sites_in(double) == []
        assert seen == every_offset(double)[:3]

    def test_one_that_starts_traces_inside(self):
        inner = debugop.trace(double)

        def callback(step):
            if step.number == 2:
                inner.start()
            if step.number == 4:
                inner.stop()

        with debugop.trace(double, callback):
            double(1)
            double(1)
        assert not inner.active
        assert sites_in(double) == []

    def test_stored_steps_are_stale(self):
        kept = []
        with debugop.trace(double, kept.append):
            double(1)
        assert [step.instruction.offset for step in kept] == every_offset(double)
        assert [step.number for step in kept] == list(range(1, len(kept) + 1))
        for step in kept:
            for name in ("frame", "depth", "exception"):
                with pytest.raises(debugop.StaleStep):
                    getattr(step, name)
            with pytest.raises(debugop.StaleStep):
                step.record()
            with pytest.raises(debugop.StaleStep):
                len(step.stack)
            assert step.code is double.__code__
            assert step.event == "instruction"
            assert "double" in repr(step)

    def test_a_step_has_what_the_frame_has(self):
        def callback(step):
            frame = step.frame
            if step.instruction.opname != "RESUME":  # the probe stands after it, on the next instruction's line
                seen.append((frame.f_locals.get("y"), frame.f_lineno, step.instruction.line, step.depth))
            assert frame.f_back.f_code.co_name == "test_a_step_has_what_the_frame_has"

        seen = []
        with debugop.trace(double, callback):
            double(2)
        first = double.__code__.co_firstlineno
        assert seen[0] == (None, first + 1, first + 1, 0)
        assert seen[-1] == (2, first + 2, first + 2, 0)
        assert all(line == ours for _, line, ours, _ in seen)

    def test_exceptions_where_they_arrive_and_leave(self):
        def function(x):
            try:
                return fails(x)
            except IndexError as error:
                raise KeyError(x) from error

        seen = []

        def callback(step):
            if step.exception is not None:
                seen.append((step.code.co_name, step.event, type(step.exception).__name__))

        with debugop.trace(function, callback, follow=True), pytest.raises(KeyError):
            function(5)
        assert seen[0] == ("fails", "unwind", "IndexError")
        assert seen[1] == ("function", "instruction", "IndexError")
        assert seen[-1] == ("function", "unwind", "KeyError")
        assert set(seen[2:-1]) <= {("function", "instruction", "KeyError")}

    def test_the_unwinding_step_names_the_instruction_that_raised(self):
        with debugop.trace(fails) as trace, pytest.raises(IndexError):
            fails(1)
        last = trace.records[-1]
        assert (last.event, last.line) == ("unwind", fails.__code__.co_firstlineno + 2)
        assert last.instruction == trace.records[-2].instruction
        assert str(last.exception) == "IndexError('list index out of range')"

    def test_a_record_of_a_step(self):
        records = []
        with debugop.trace(double) as trace, debugop.trace(double, lambda step: records.append(step.record())):
            double(3)
        for ours, collected in zip(records, trace, strict=True):
            assert (ours.number, ours.instruction, ours.stack, ours.depth, ours.thread, ours.line) == (
                *(collected.number, collected.instruction, collected.stack),
                *(collected.depth, collected.thread, collected.line),
            )

    def test_a_slow_one(self):
        with debugop.trace(double, lambda step: time.sleep(0.001)) as trace:
            assert double(1) == 2
        assert trace.steps == len(every_offset(double))

    def test_tracebacks_are_those_of_untraced_code(self):
        def lines():
            try:
                fails(2)
            except IndexError as error:
                return "".join(traceback.format_exception(error))
            raise AssertionError("not reached")

        plain = lines()
        with debugop.trace(lines, follow=True):
            traced = lines()
        assert traced == plain


def plain(x):
    with contextlib.nullcontext():
        return [y for y in (x, 1) if y]


def generating():
    yield from (1, 2)


async def numbers():
    yield 1
    yield 2


async def waiting():
    return [number async for number in numbers()]


def awaited():
    try:
        waiting().send(None)
    except StopIteration as end:
        return end.value


RAISING = {
    "function": (plain, lambda: plain(1)),
    "generator": (generating, lambda: list(generating())),
    "coroutine": (waiting, awaited),
    "asynchronous generator": (numbers, awaited),
}


# Where it raises within a delegation, what was to be awaited never is.
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", RAISING)
@pytest.mark.parametrize("again", [False, True], ids=["once", "again"])
def test_wherever_a_callback_raises_there_is_a_line(name, again):
    function, run = RAISING[name]

    def raised_at(number):
        """The entries of the traceback that are the function's, for a callback that raises at this step, or from it on."""
        count = 0

        def on_step(step):
            nonlocal count
            count += 1
            if count == number or (again and count > number):
                raise KeyError(count)

        with debugop.trace(function, on_step):
            try:
                run()
            except KeyError as error:
                entry = error.__traceback__
            else:
                return None
        entries = []
        while entry:
            if entry.tb_frame.f_code is function.__code__:
                entries.append((entry.tb_lineno, entry.tb_lasti))
            entry = entry.tb_next
        return entries

    first = function.__code__.co_firstlineno
    number = 1
    while (entries := raised_at(number)) is not None:
        assert entries, number
        for line, lasti in entries:
            assert line is not None, number
            assert first <= line <= first + 2
            assert 0 <= lasti < len(function.__code__.co_code)
        number += 1
    assert number > 5


def test_what_is_only_counted_is_counted_beside_others_too():
    """Loops, an addition to a string, an exception that leaves: as many steps as a callback hears of, whoever else listens meanwhile."""

    def work(n):
        text = ""
        for i in range(n):
            text += str(i) if i % 2 else "-"
        raise ValueError(text)

    def run(n):
        with contextlib.suppress(ValueError):
            work(n)

    run(3)
    heard = []
    counted, other = _core.Tracer(None), _core.Tracer(heard.append)
    counted.watch_callable(work)
    run(5)
    alone = counted.steps
    other.watch_callable(work)
    run(5)
    together = counted.steps - alone
    other.stop()
    run(5)
    after = counted.steps - alone - together
    counted.stop()
    run(5)
    assert alone == together == after == other.steps == len(heard)
    assert counted.steps == alone + together + after
    assert alone > len(debugop.instructions(work))
