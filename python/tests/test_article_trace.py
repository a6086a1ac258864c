"""Tracing functions as the article does: T5 and T7 to T11 of its interface."""

import contextlib
import dis
import functools
import gc
import io
import pickle
import re
import sys
import threading
import weakref

import pytest
from debugop import _core
from debugop.article import DummyTrace, FrameAnalyser, StackView, Trace


class Collect(Trace):
    """Keeps (function name, instruction, stack, exception) of every step."""

    def initialize_trace(self):
        self.steps = []

    def callback(self, stack, frame, exc):
        instruction = FrameAnalyser(frame).next_instr()
        self.steps.append((frame.f_code.co_name, instruction, list(stack), exc))

    def of(self, name):
        return [instruction.opname for function, instruction, _, _ in self.steps if function == name]


class Follow(Collect):
    """The same for everything that is called."""

    def callback(self, stack, frame, exc):
        super().callback(stack, frame, exc)
        self.do_auto_follow(stack, frame)

    def functions(self):
        """The functions seen, in the order in which they were first seen."""
        return list(dict.fromkeys(name for name, _, _, _ in self.steps))


def follow(function, *args):
    trace = Follow(function)
    return trace.call(*args), trace


def lol(x):
    for i in range(10):
        if i > x:
            break
    return i


def fail(message):
    raise ValueError(message)


def add(a, b):
    return a + b


# T5: Trace


def test_the_result_is_returned_and_every_instruction_reported():
    trace = Collect(lol)
    assert trace.call(1) == 2
    names = trace.of("lol")
    assert names[0] == "RESUME"
    assert names[-1] == "RETURN_VALUE"
    assert names.count("COMPARE_OP") == 3
    assert trace.steps[-1][2] == [2]


def test_the_offsets_are_those_of_the_original():
    trace = Collect(lol)
    trace.call(3)
    original = {one.offset: one for one in dis.get_instructions(lol)}
    assert trace.steps
    for _, instruction, _, _ in trace.steps:
        assert original[instruction.offset] == instruction


def test_keyword_arguments():
    assert Collect(add).call(1, b=2) == 3


def test_an_exception_is_returned():
    error = Collect(fail).call("no")
    assert type(error) is ValueError
    assert error.args == ("no",)


def test_what_is_no_exception_of_the_program_is_not_held_back():
    def leave():
        sys.exit(3)

    trace = Collect(leave)
    with pytest.raises(SystemExit):
        trace.call()
    assert trace.of("leave")
    code = leave.__code__
    assert not any(isinstance(constant, _core.Site) for constant in code.co_consts)


@pytest.mark.parametrize("function", [lol, fail])
def test_afterwards_everything_is_as_before(function):
    code = function.__code__
    trace = Collect(function)
    trace.call(1)
    assert function.__code__ is code
    seen = len(trace.steps)
    with contextlib.suppress(ValueError):
        function(1)
    assert len(trace.steps) == seen
    assert "op_target" not in function.__globals__


def test_a_trace_can_be_used_again():
    trace = Collect(lol)
    trace.call(1)
    first = [(instruction.offset, len(stack)) for _, instruction, stack, _ in trace.steps]
    trace.steps.clear()
    trace.call(1)
    assert [(instruction.offset, len(stack)) for _, instruction, stack, _ in trace.steps] == first


def test_an_exception_of_the_callback_is_raised_in_the_program():
    class Break(Trace):
        def callback(self, stack, frame, exc):
            if exc is None and FrameAnalyser(frame).next_instr().opname == "COMPARE_OP":
                raise RuntimeError("stop here")

    code = lol.__code__
    error = Break(lol).call(1)
    assert type(error) is RuntimeError
    line = error.__traceback__.tb_next
    while line.tb_frame.f_code.co_name != "lol":
        line = line.tb_next
    assert line.tb_lineno == code.co_firstlineno + 2
    assert lol.__code__ is code


def test_what_has_no_bytecode_is_refused():
    with pytest.raises(TypeError, match="there is no bytecode to trace in <built-in len>"):
        Trace(len)


def test_the_base_class_only_watches():
    assert Trace(lol).call(1) == 2


def test_other_functions_can_be_added():
    def outer(x):
        return add(x, 1)

    trace = Collect(outer)
    assert trace.call(1) == 2
    assert trace.of("add") == []
    assert trace.add_func_to_trace(add) is True
    assert trace.add_func_to_trace(add) is False
    assert trace.call(1) == 2
    assert trace.of("add").count("RETURN_VALUE") == 1


def test_nothing_is_probed_twice():
    trace = Collect(lol)
    trace.call(1)
    once = len(trace.steps)
    for _ in range(3):
        assert trace.add_func_to_trace(lol) is False
    trace.steps.clear()
    trace.call(1)
    assert len(trace.steps) == once


def test_functions_can_be_added_while_the_program_runs():
    class Late(Collect):
        def callback(self, stack, frame, exc):
            super().callback(stack, frame, exc)
            self.add_func_to_trace(add)

    code = add.__code__
    trace = Late(lambda: add(20, 22))
    assert trace.call() == 42
    assert trace.of("add")[-1] == "RETURN_VALUE"
    assert add.__code__ is code


def test_a_traced_function_may_be_traced_again_inside():
    def twice(trace, n):
        return n if n == 0 else trace.call(trace, n - 1) + 1

    trace = Collect(twice)
    assert trace.call(trace, 3) == 3
    assert trace.of("twice").count("RESUME") == 4
    trace.steps.clear()
    twice(Trace(twice), 0)
    assert trace.steps == []


def test_two_traces_of_one_function_both_see_it():
    inner, outer = Collect(lol), Collect(lambda: None)
    outer.add_func_to_trace(lol)
    outer.func = functools.partial(inner.call, 1)
    assert outer.call() == 2
    assert inner.of("lol") == outer.of("lol")


def test_threads():
    barrier = threading.Barrier(4)

    def work(tag):
        barrier.wait()
        total = 0
        for _ in range(50):
            total = add(total, tag)
        return total

    trace = Follow(work)
    results = {}
    threads = [threading.Thread(target=lambda tag=tag: results.setdefault(tag, trace.call(tag))) for tag in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {tag: 50 * tag for tag in range(4)}
    assert trace.of("work").count("RESUME") == 4
    assert trace.of("add").count("RETURN_VALUE") == 200


# T7: auto-follow


class Base:
    def method(self, value):
        return value

    @staticmethod
    def static(value):
        return value

    @classmethod
    def of_class(cls, value):
        return value


class Made(Base):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, value=0, **more):
        self.value = value


KEYWORDS = {"b": 2}


class Callable:
    def __call__(self, value):
        return value


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: add(1, 2), ["add"]),
        (lambda: add(1, b=2), ["add"]),
        (lambda: add(*(1, 2)), ["add"]),
        (lambda: add(*[1], **KEYWORDS), ["add"]),
        (lambda: add(add(1, 2), add(3, 4)), ["add"]),
        (lambda: Base().method(1), ["method"]),
        (lambda: Base.static(1), ["static"]),
        (lambda: Base.of_class(1), ["of_class"]),
        (lambda: Made(1, b=2), ["__new__", "__init__"]),
        (lambda: Callable()(1), ["__call__"]),
        (lambda: functools.partial(add, 1)(2), ["add"]),
        (lambda: (lambda x: x)(1), []),
        (lambda: sorted([2, 1], key=abs), []),
    ],
)
def test_what_is_called_is_followed(call, names):
    result, trace = follow(call)
    assert not isinstance(result, Exception)
    assert trace.functions() == ["<lambda>", *names]


def test_calls_of_calls_are_followed_and_everything_is_restored():
    def outer():
        return middle() + 1

    def middle():
        return lol(1) + 1

    codes = [outer.__code__, middle.__code__, lol.__code__]
    result, trace = follow(outer)
    assert result == 4
    assert trace.functions() == ["outer", "middle", "lol"]
    assert [outer.__code__, middle.__code__, lol.__code__] == codes
    assert all(function.__code__ is code for function, code in zip([outer, middle, lol], codes, strict=True))


def test_following_keeps_no_closure_alive():
    class OnlyFollow(Trace):
        def callback(self, stack, frame, exc):
            self.do_auto_follow(stack, frame)
            followed.append(frame.f_code.co_name)

    class Thing:
        pass

    def outer():
        thing = Thing()

        def inner():
            return thing

        assert inner() is thing
        return weakref.ref(thing), weakref.ref(inner)

    def dies_in_time():
        thing, inner = outer()
        return thing() is None and inner() is None

    followed = []
    assert OnlyFollow(dies_in_time).call() is True
    assert {"dies_in_time", "outer", "inner"} <= set(followed)


# T8: DummyTrace


def test_the_report():
    def outer(x):
        return add(x, 1) * 2

    trace = DummyTrace(outer)
    assert trace.call(20) == 42
    out = io.StringIO()
    trace.do_report(out)
    report = out.getvalue().splitlines()
    assert report == trace.report
    numbers = re.findall(r"=== Entering New Frame (\w+) \((\d+)\) ===", out.getvalue())
    assert [name for name, _ in numbers] == ["outer", "add"]
    assert report[0] == f"=== Entering New Frame outer ({numbers[0][1]}) ==="
    assert report[1] == "[]"
    assert re.fullmatch(r" +\d+  RESUME +0 +0", report[2])
    returning = report.index(f"=== Returning to Frame outer {numbers[0][1]} ===")
    assert report[returning + 1] == "[21]"
    assert re.fullmatch(r" +\d+  RETURN_VALUE", report[-1])
    assert report[-2] == "[42]"
    entering = report.index(f"=== Entering New Frame add ({numbers[1][1]}) ===")
    inside = report[entering:returning]
    assert inside[-4:-2][0] == "[1, 20]"
    assert re.fullmatch(r" +\d+  BINARY_OP +0 +0", inside[-3])


def test_the_report_goes_to_standard_output(capsys):
    trace = DummyTrace(lol)
    trace.call(1)
    assert capsys.readouterr().out == ""
    trace.do_report()
    assert capsys.readouterr().out.startswith("=== Entering New Frame lol (")


class Touchy:
    def __repr__(self):
        raise AssertionError("repr was called")


def test_the_report_runs_no_code_of_the_programs():
    def function(thing):
        return [thing]

    trace = DummyTrace(function)
    assert not isinstance(trace.call(Touchy()), Exception)
    assert any(re.fullmatch(r"\[\[<.*Touchy>\]\]", line) for line in trace.report)


# T9: exceptions


def test_an_exception_reaches_the_callback_at_its_handler():
    def careful():
        try:
            fail("inside")
        except ValueError as error:
            return str(error)

    result, trace = follow(careful)
    assert result == "inside"
    seen = [
        (name, instruction.opname, exc.args, stack[:1])
        for name, instruction, stack, exc in trace.steps
        if exc is not None
    ]
    # First it leaves fail, from the instruction that raised it; then it is on top of the stack of its handler.
    assert [(name, opname, args) for name, opname, args, _ in seen] == [
        ("fail", "RAISE_VARARGS", ("inside",)),
        ("careful", "PUSH_EXC_INFO", ("inside",)),
    ]
    assert seen[0][3] == []
    assert type(seen[1][3][0]) is ValueError


def test_an_exception_that_leaves_every_frame():
    def outer():
        return middle()

    def middle():
        return 1 // 0

    result, trace = follow(outer)
    assert type(result) is ZeroDivisionError
    left = [(name, instruction.opname) for name, instruction, _, exc in trace.steps if exc is result]
    assert left == [("middle", "BINARY_OP"), ("outer", "CALL")]


def test_the_report_shows_exceptions():
    def careful():
        with contextlib.suppress(ValueError):
            fail("shown")
        return 1

    trace = DummyTrace(careful)
    assert trace.call() == 1
    assert "=== Exception ValueError('shown') ===" in trace.report


# T10: the worked examples


def test_a_generator():
    def numbers():
        yield 1
        yield 2

    def consume():
        return [number * 10 for number in numbers()]

    result, trace = follow(consume)
    assert result == [10, 20]
    inside = [(one.opname, stack) for name, one, stack, _ in trace.steps if name == "numbers"]
    assert [stack[0] for opname, stack in inside if opname == "YIELD_VALUE"] == [1, 2]
    resumed = [one.arg & 3 for name, one, _, _ in trace.steps if name == "numbers" and one.opname == "RESUME"]
    assert resumed == [0, 1, 1]
    report = DummyTrace(consume)
    report.call()
    changes = [line.split()[1:5] for line in report.report if line.startswith("===")]
    names = [words[words.index("Frame") + 1] for words in changes]
    assert names.count("numbers") == 3
    assert [words[0] for words in changes if "numbers" in words] == ["Entering", "Returning", "Returning"]


def test_delegation():
    def inner():
        got = yield "a"
        return got

    def outer():
        return (yield from inner())

    def drive():
        generator = outer()
        first = next(generator)
        try:
            generator.send("sent")
        except StopIteration as stop:
            return first, stop.value

    result, trace = follow(drive)
    assert result == ("a", "sent")
    assert trace.functions() == ["drive", "outer", "inner"]
    assert "SEND" in trace.of("outer")
    sent = [stack[0] for name, one, stack, _ in trace.steps if name == "inner" and one.opname == "STORE_FAST"]
    assert sent == ["sent"]


def test_a_context_manager():
    class Manager:
        def __enter__(self):
            return "entered"

        def __exit__(self, kind, value, tb):
            return kind is KeyError

    def managed():
        with Manager() as value:
            raise KeyError(value)
        return "after"

    trace = Collect(managed)
    trace.add_func_to_trace(Manager.__enter__)
    trace.add_func_to_trace(Manager.__exit__)
    assert trace.call() == "after"
    entered = [stack[0] for name, one, stack, _ in trace.steps if name == "managed" and one.opname == "STORE_FAST"]
    assert entered == ["entered"]
    handled = next(
        stack for name, one, stack, _ in trace.steps if name == "managed" and one.opname == "WITH_EXCEPT_START"
    )
    assert type(handled[0]) is KeyError
    assert trace.of("__exit__")[-1] == "RETURN_VALUE"


def test_a_list_comprehension():
    def squares(n):
        return [i * i for i in range(n)]

    result, trace = follow(squares, 3)
    assert result == [0, 1, 4]
    appended = [(stack[0], list(stack)) for _, one, stack, _ in trace.steps if one.opname == "LIST_APPEND"]
    assert [value for value, _ in appended] == [0, 1, 4]
    # Until 3.11 it is a function of its own.
    assert trace.functions() == (["squares"] if sys.version_info >= (3, 12) else ["squares", "<listcomp>"])


def test_a_generator_expression():
    result, trace = follow(lambda n: sum(i * i for i in range(n)), 4)
    assert result == 14
    yielded = [stack[0] for name, one, stack, _ in trace.steps if name == "<genexpr>" and one.opname == "YIELD_VALUE"]
    assert yielded == [0, 1, 4, 9]


def test_exceptions_in_a_generator():
    def careful():
        try:
            yield 1
        except KeyError:
            yield "caught"
        finally:
            closed.append(True)

    closed = []

    def drive():
        generator = careful()
        return next(generator), generator.throw(KeyError("thrown")), generator.close()

    result, trace = follow(drive)
    assert result == (1, "caught", None)
    assert closed == [True]
    arrived = [type(exc) for name, _, _, exc in trace.steps if name == "careful" and exc is not None]
    assert KeyError in arrived
    assert arrived[-1] is GeneratorExit


# T11: changing the stack


class Change(Trace):
    """Calls `change(stack)` before the instructions called `opname`."""

    def __init__(self, func, opname, change):
        super().__init__(func)
        self.opname, self.change = opname, change

    def callback(self, stack, frame, exc):
        if exc is None and FrameAnalyser(frame).next_instr().opname.startswith(self.opname):
            self.change(stack)


def test_an_operand_is_changed():
    def change(stack):
        assert stack == [2, 40]
        stack[0] = 9
        stack[1] = 33
        assert stack == [9, 33]

    assert Change(add, "BINARY_OP", change).call(40, 2) == 42


def test_the_result_is_changed():
    def change(stack):
        stack[-1] = "another"

    assert Change(lol, "RETURN_VALUE", change).call(1) == "another"


def test_a_condition_is_changed():
    def change(stack):
        stack[0] = stack[0] is False

    assert Change(lol, "POP_JUMP", change).call(5) == 0


def test_a_slice_is_changed():
    def change(stack):
        stack[:] = [5, 50]
        stack[0:1] = iter([6])

    assert Change(add, "BINARY_OP", change).call(1, 2) == 56


def test_references_are_counted_right():
    class Thing:
        pass

    things = [Thing(), Thing()]
    alive = weakref.ref(things[1])

    def change(stack):
        stack[0] = things[1]

    def function(thing):
        return [thing]

    for _ in range(20):
        assert Change(function, "BUILD_LIST", change).call(things[0]) == [things[1]]
    before = sys.getrefcount(things[0]), sys.getrefcount(things[1])
    for _ in range(20):
        Change(function, "BUILD_LIST", change).call(things[0])
    gc.collect()
    assert (sys.getrefcount(things[0]), sys.getrefcount(things[1])) == before
    things.clear()
    gc.collect()
    assert alive() is None


def test_what_the_interpreter_could_not_survive_is_refused():
    def change(stack):
        iterator = next(i for i, value in enumerate(stack) if type(value).__name__ == "range_iterator")
        stack[iterator] = "no iterator"

    error = Change(lol, "FOR_ITER", change).call(1)
    assert type(error) is TypeError
    assert "FOR_ITER" in str(error)


@pytest.mark.parametrize(
    "change",
    [
        lambda stack: stack.append(1),
        lambda stack: stack.pop(),
        lambda stack: stack.clear(),
        lambda stack: stack.reverse(),
        lambda stack: stack.insert(0, 1),
        lambda stack: stack.__delitem__(0),
        lambda stack: stack.__iadd__([1]),
        lambda stack: stack.__setitem__(slice(0, 1), [1, 2]),
    ],
)
def test_the_stack_keeps_its_length(change):
    error = Change(add, "BINARY_OP", change).call(1, 2)
    assert type(error) is TypeError
    assert "a value stack keeps its length and order" in str(error)


def test_an_index_out_of_range():
    def change(stack):
        stack[2] = 1

    assert type(Change(add, "BINARY_OP", change).call(1, 2)) is IndexError


def test_a_kept_stack_stays_readable_but_changes_nothing():
    kept = []
    assert Change(add, "BINARY_OP", kept.append).call(1, 2) == 3
    [stack] = kept
    assert type(stack) is StackView
    assert stack == [2, 1]
    with pytest.raises(_core.StaleStep):
        stack[0] = 5
    assert stack == [2, 1]
    copy = pickle.loads(pickle.dumps(stack))
    assert type(copy) is list
    assert copy == [2, 1]
