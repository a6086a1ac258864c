"""`step.stack`: the value stack as a sequence."""

import collections.abc
import dis
import threading

import debugop
import pytest


def at(opname, target, look, *arguments):
    """The result of `look` for the first step of `target(*arguments)` that is about to execute `opname`."""
    found = []

    def callback(step):
        if not found and step.instruction.opname.startswith(opname):
            found.append(look(step.stack))

    debugop.trace(target, callback)(*arguments)
    return found[0]


def add(left, right):
    return [left, right, left + right]


def test_bottom_first():
    seen = at(
        "BINARY_OP", add, lambda stack: [len(stack), stack[0], stack[1], stack[-1], stack[-2], stack.copy()], 1, 2
    )
    assert seen == [4, 1, 2, 2, 1, [1, 2, 1, 2]]


def test_slices_are_lists():
    looks = [slice(None), slice(1, 3), slice(None, None, -1), slice(-1, None), slice(9, 12), slice(None, None, 2)]
    for look in looks:
        assert at("BINARY_OP", add, lambda stack, look=look: stack[look], 1, 2) == [1, 2, 1, 2][look]


@pytest.mark.parametrize("index", [4, -5, 1 << 40, -(1 << 40), 1 << 100])
def test_an_index_out_of_range(index):
    def look(stack):
        with pytest.raises(IndexError, match="out of range: it has 4 slots"):
            stack[index]
        return True

    assert at("BINARY_OP", add, look, 1, 2)


def test_it_is_a_sequence():
    class Index:
        def __index__(self):
            return 1

    def look(stack):
        assert isinstance(stack, collections.abc.Sequence)
        assert not isinstance(stack, collections.abc.MutableSequence)
        assert list(stack) == stack.copy() == [1, 2, 1, 2]
        assert list(reversed(stack)) == [2, 1, 2, 1]
        assert 2 in stack
        assert 3 not in stack
        assert stack[Index()] == 2
        assert (stack.index(2), stack.index(2, 2), stack.count(1)) == (1, 3, 2)
        with pytest.raises(ValueError, match="not in list"):
            stack.index(3)
        with pytest.raises(TypeError):
            stack["0"]
        with pytest.raises(TypeError):
            del stack[0]
        match stack:
            case [first, *_, last]:
                return first, last

    assert at("BINARY_OP", add, look, 1, 2) == (1, 2)


def test_null_is_not_none():
    def call(function):
        return [None, function(None)]

    stack = at("CALL", call, lambda stack: stack.copy(), lambda x: x)
    assert debugop.NULL in stack
    assert None in stack
    assert not debugop.NULL
    assert repr(debugop.NULL) == "NULL"
    assert [slot for slot in stack if slot is debugop.NULL] == [debugop.NULL]


class Untouchable:
    def __getattribute__(self, name):
        raise AssertionError(f"{name} was looked up")

    def __repr__(self):
        raise AssertionError("__repr__ was called")

    __eq__ = __hash__ = __str__ = __repr__


def test_repr_runs_none_of_the_programs_code():
    shown = at("BUILD_LIST", lambda x: [x, 1], repr, Untouchable())
    assert shown.startswith("<debugop.Stack [<")
    assert "Untouchable" in shown
    assert shown.endswith(", 1]>")


def test_objects_are_the_programs_own():
    thing = object()
    assert at("BUILD_LIST", lambda x: [x, x], lambda stack: stack[0] is thing and stack[1] is thing, thing)


def test_a_stale_stack_says_so():
    kept = at("BINARY_OP", add, lambda stack: stack, 1, 2)
    empty = at("RESUME", add, lambda stack: stack, 1, 2)
    for use in (len, list, reversed, lambda stack: stack[0], lambda stack: stack[:], lambda stack: stack.copy()):
        for stack in (kept, empty):
            with pytest.raises(debugop.StaleStep, match="this step is over"):
                use(stack)
    assert repr(kept) == "<debugop.Stack (over)>"


def test_another_thread_cannot_use_it():
    outcome = []

    def use(stack):
        try:
            stack[0]
        except debugop.StaleStep as error:
            outcome.append(str(error))

    def look(stack):
        thread = threading.Thread(target=use, args=(stack,))
        thread.start()
        thread.join()
        return stack[0]

    assert at("BINARY_OP", add, look, 1, 2) == 1
    assert len(outcome) == 1
    assert "only be used by the callback" in outcome[0]


def test_a_deep_stack():
    source = "def deep(x): return " + "[x, " * 80 + "x + x" + "]" * 80
    namespace = {}
    exec(source, namespace)
    seen = at("BINARY_OP", namespace["deep"], lambda stack: (len(stack), stack.copy(), stack[81]), 7)
    assert seen == (82, [7] * 82, 7)


def raises_in_with(manager, function):
    with manager:
        return function(1)


class Suppresses:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return True


def test_lasti_is_the_originals_and_cannot_be_written():
    """Below an exception stands the code unit that raised it; the copy that runs has others."""
    found = []

    def callback(step):
        if step.instruction.opname == "PUSH_EXC_INFO":
            lasti = step.stack[-2]
            with pytest.raises(TypeError, match="cannot write"):
                step.stack[-2] = lasti
            found.append((lasti, step.record().stack[-2].value))

    def fails(x):
        return x + "1"

    debugop.trace(raises_in_with, callback)(Suppresses(), fails)
    [(lasti, recorded)] = found
    assert lasti == recorded
    raised = max(
        (one for one in dis.get_instructions(raises_in_with) if one.offset <= 2 * lasti), key=lambda one: one.offset
    )
    assert raised.opname == "CALL"
