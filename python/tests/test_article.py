"""DEBUG_OP and the functions that insert it, as the article has them: T1 to T4 and T6 of its interface."""

import dis
import gc
import operator
import pickle
import sys
import threading
import traceback
import weakref
from types import FunctionType, MethodType

import pytest
from debugop import article
from debugop.article import (
    DEBUG_OP,
    DebugOp,
    FrameAnalyser,
    MutableCodeObject,
    add_debug_op_everywhere,
    insert_op_debug,
    insert_op_debug_list,
    transform_code,
)


def with_code(function, code, **names):
    """`function` with another code object and with `names` added to a copy of its globals."""
    namespace = {**function.__globals__, **names}
    return FunctionType(code, namespace, function.__name__, function.__defaults__, function.__closure__)


def listen(function, *args, offsets=None):
    """Run `function` with DEBUG_OPs: its result, and (instruction, stack) of each DEBUG_OP."""
    seen = []

    def op_target(stack, frame):
        seen.append((FrameAnalyser(frame).next_instr(), stack))

    code = function.__code__
    code = add_debug_op_everywhere(code, nested=True) if offsets is None else insert_op_debug_list(code, offsets)
    return with_code(function, code, op_target=op_target)(*args), seen


def offset_of(function, opname):
    """The offset of the first instruction whose name starts with `opname`."""
    return next(one.offset for one in dis.get_instructions(function) if one.opname.startswith(opname))


def all_offsets(function, opname):
    return [one.offset for one in dis.get_instructions(function) if one.opname == opname]


def lol(x):
    for i in range(10):
        if i > x:
            break
    return i


# T1: what DEBUG_OP does


def test_without_op_target_nothing_happens():
    namespace = {}
    function = FunctionType(add_debug_op_everywhere((lambda a, b: [a, b]).__code__), namespace)
    assert function(1, 2) == [1, 2]
    assert set(namespace) <= {"__builtins__"}


def test_the_stack_is_a_list_with_the_top_first():
    def difference(a, b):
        return a - b

    result, seen = listen(difference, 50, 8, offsets=[offset_of(difference, "BINARY_OP")])
    assert result == 42
    [(instruction, stack)] = seen
    assert type(stack) is list
    assert stack == [8, 50]
    assert (instruction.opname, instruction.arg) == ("BINARY_OP", dis._nb_ops.index(("NB_SUBTRACT", "-")))


def test_an_empty_slot_is_none():
    def call(function):
        return function(1)

    _, seen = listen(call, abs, offsets=[offset_of(call, "CALL")] if sys.version_info >= (3, 12) else None)
    stack = next(stack for instruction, stack in seen if instruction.opname in ("CALL", "PRECALL"))
    # Before 3.13 the empty slot is below the callable.
    assert stack == ([1, None, abs] if sys.version_info >= (3, 13) else [1, abs, None])


def countdown(depth):
    local = f"level {depth}"
    return countdown(depth - 1) if depth else local


def test_the_frame_is_the_one_that_runs(monkeypatch):
    frames = []

    def op_target(stack, frame):
        frames.append((frame, frame.f_locals["local"], stack, sys._getframe(1) is frame))

    code = insert_op_debug_list(countdown.__code__, all_offsets(countdown, "RETURN_VALUE"))
    monkeypatch.setattr(countdown, "__code__", code)
    monkeypatch.setitem(globals(), "op_target", op_target)
    assert countdown(3) == "level 0"
    assert [local for _, local, _, _ in frames] == ["level 0", "level 1", "level 2", "level 3"]
    assert len({frame for frame, _, _, _ in frames}) == 4
    assert all(stack == ["level 0"] and caller for _, _, stack, caller in frames)


def test_each_list_is_new_and_only_a_copy():
    def pair(a, b):
        return (a, b)

    lists = []

    def op_target(stack, frame):
        lists.append(list(stack))
        stack.clear()
        stack.append("not in the program")

    assert with_code(pair, add_debug_op_everywhere(pair.__code__), op_target=op_target)(1, 2) == (1, 2)
    assert lists[-1] == [(1, 2)]


def raise_in_the_middle(values):
    total = 0
    for value in values:
        total += value
    return total


def test_an_exception_of_the_callback_is_raised_at_the_instruction():
    first = raise_in_the_middle.__code__.co_firstlineno

    def op_target(stack, frame):
        if frame.f_lineno == first + 3 and frame.f_locals["value"] == 2:
            raise RuntimeError("from the callback")

    code = add_debug_op_everywhere(raise_in_the_middle.__code__)
    with pytest.raises(RuntimeError, match="from the callback") as caught:
        with_code(raise_in_the_middle, code, op_target=op_target)([1, 2, 3])
    where = traceback.extract_tb(caught.value.__traceback__)
    assert [(frame.name, frame.lineno) for frame in where[1:2]] == [("raise_in_the_middle", first + 3)]
    assert where[2].name == "op_target"


def test_the_program_can_catch_the_callbacks_exception():
    def careful():
        try:
            caught = "nothing"
        except RuntimeError as error:
            caught = str(error)
        finally:
            caught += "!"
        return caught

    armed = [offset_of(careful, "STORE_FAST")]

    def op_target(stack, frame):
        if armed:
            armed.pop()
            raise RuntimeError("the callback's")

    code = insert_op_debug(careful.__code__, armed[0])
    assert with_code(careful, code, op_target=op_target)() == "the callback's!"


class Namespace(dict):
    """Globals whose look-up of `op_target` raises what it is told to."""

    def __init__(self, error):
        self.error = error

    def __getitem__(self, name):
        if name == "op_target":
            raise self.error
        return super().__getitem__(name)


def test_an_error_in_the_look_up_propagates():
    code = add_debug_op_everywhere((lambda: 1).__code__)
    with pytest.raises(LookupError, match="no op_target today"):
        FunctionType(code, Namespace(LookupError("no op_target today")))()
    assert FunctionType(code, Namespace(KeyError("op_target")))() == 1


def test_an_error_in_an_exact_dict_propagates():
    class Same:
        def __hash__(self):
            return hash("op_target")

        def __eq__(self, other):
            raise OSError("compared")

    with pytest.raises(OSError, match="compared"):
        FunctionType(add_debug_op_everywhere((lambda: 1).__code__), {Same(): 0})()


def test_op_target_of_other_globals_is_found_by_subclass_look_up():
    class Computed(dict):
        def __missing__(self, name):
            if name == "op_target":
                return lambda stack, frame: seen.append(stack)
            raise KeyError(name)

    seen = []
    assert FunctionType(add_debug_op_everywhere((lambda: 7).__code__), Computed())() == 7
    assert seen[-1] == ([7] if sys.version_info[:2] not in ((3, 12), (3, 13)) else [])  # RETURN_CONST


def test_op_target_must_be_callable():
    with pytest.raises(TypeError, match="'int' object is not callable"):
        FunctionType(add_debug_op_everywhere((lambda: 1).__code__), {"op_target": 3})()


def test_op_target_may_be_set_and_deleted_while_the_program_runs():
    seen = []
    namespace = {}
    exec(
        "def program(seen):\n global op_target\n op_target = lambda stack, frame: seen.append(len(stack))\n"
        " one = 1\n del op_target\n two = 2\n return one + two",
        namespace,
    )
    program = namespace["program"]
    program.__code__ = add_debug_op_everywhere(program.__code__)
    assert program(seen) == 3
    # LOAD_CONST 1 (LOAD_SMALL_INT), STORE_FAST and DELETE_GLOBAL, and nothing else.
    assert seen == [0, 1, 0]


def test_debug_op_is_one_object_without_secrets():
    assert repr(DEBUG_OP) == "<debugop.DEBUG_OP>"
    assert type(DEBUG_OP) is DebugOp
    with pytest.raises(TypeError):
        DebugOp()
    assert pickle.loads(pickle.dumps(DEBUG_OP)) == 0


def test_inverting_it_in_source_is_executing_it():
    seen = []
    namespace = {"DEBUG_OP": DEBUG_OP, "op_target": lambda stack, frame: seen.append(stack)}
    assert eval("[1, 2, (3, ~DEBUG_OP)]", namespace) == [1, 2, (3, None)]
    # The stack is as the compiler arranged it: 3 is on top.
    assert seen[0][0] == 3
    assert seen[0][-1] in (1, [1, 2])


def test_only_the_instruction_executes_it():
    namespace = {"operator": operator, "DEBUG_OP": DEBUG_OP}
    assert eval("operator.invert(DEBUG_OP)", namespace) is None
    namespace["op_target"] = lambda stack, frame: None
    with pytest.raises(TypeError, match="only the instruction UNARY_INVERT can execute it"):
        eval("operator.invert(DEBUG_OP)", namespace)
    # UNARY_INVERT runs, but it inverts something else, which does so in turn.
    namespace["Proxy"] = type("Proxy", (), {"__invert__": MethodType(operator.invert, DEBUG_OP)})
    with pytest.raises(TypeError, match="only the instruction UNARY_INVERT can execute it"):
        eval("~Proxy()", namespace)


def test_code_that_cannot_be_analysed_says_so():
    def function():
        return 1

    seen = []
    code = add_debug_op_everywhere(function.__code__).replace(co_linetable=b"")
    assert with_code(function, code)() == 1
    message = r"cannot read the value stack of .*function in .*test_article.py: the location table covers 0 code units"
    with pytest.raises(ValueError, match=message):
        with_code(function, code, op_target=lambda stack, frame: seen.append(stack))()
    assert seen == []


def test_it_runs_inside_generators_while_they_are_suspended_and_resumed():
    def numbers(n):
        for i in range(n):
            got = yield i * 10
            if got:
                yield got

    _, plain = listen(numbers, 3)
    assert plain == []  # making the generator executes nothing of it

    seen = []
    code = add_debug_op_everywhere(numbers.__code__)
    generator = with_code(numbers, code, op_target=lambda stack, frame: seen.append(stack[0] if stack else None))(3)
    assert next(generator) == 0
    assert generator.send("extra") == "extra"
    assert "extra" in seen
    assert list(generator) == [10, 20]


def test_recursion():
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    calls = []

    def op_target(stack, frame):
        calls.append((frame.f_locals["n"], stack[0]))

    returns = all_offsets(fibonacci, "RETURN_VALUE")
    fibonacci.__code__ = insert_op_debug_list(fibonacci.__code__, returns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "op_target", op_target)
        assert fibonacci(7) == 13
    assert len(calls) == 41
    assert dict(calls) == {0: 0, 1: 1, 2: 1, 3: 2, 4: 3, 5: 5, 6: 8, 7: 13}


def test_the_callback_may_execute_debug_op_itself():
    def inner(value):
        return value + 1

    depths = []

    def op_target(stack, frame):
        depths.append(len(depths))
        if len(depths) < 5:
            function(stack[0])

    function = with_code(inner, insert_op_debug(inner.__code__, offset_of(inner, "RETURN_VALUE")), op_target=op_target)
    assert function(1) == 2
    assert len(depths) == 5


def test_threads_see_their_own_stacks():
    def work(tag):
        total = 0
        for i in range(200):
            total = total + len((tag, i))
        return total

    wrong = []

    def op_target(stack, frame):
        if frame.f_locals["tag"] != threading.current_thread().name:
            wrong.append(frame)
        for value in stack:
            if type(value) is tuple and value[0] != threading.current_thread().name:
                wrong.append(value)

    function = with_code(work, add_debug_op_everywhere(work.__code__), op_target=op_target)
    results = {}

    def run(name):
        results[name] = function(name)

    names = [f"thread {n}" for n in range(4)]
    threads = [threading.Thread(target=run, args=(name,), name=name) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(names, 400)
    assert wrong == []


def test_code_objects_die_and_their_successors_are_not_mistaken_for_them():
    def run(depth):
        expression = "0" + "".join(f", (a{n}" for n in range(depth)) + ")" * depth
        names = {f"a{n}": n for n in range(depth)}
        code = add_debug_op_everywhere(compile(expression, "<made>", "eval"))
        deepest = []
        eval(code, {**names, "op_target": lambda stack, frame: deepest.append(len(stack))})
        return max(deepest), weakref.ref(code)

    found = []
    for depth in [1, 7, 3, 20, 2, 11] * 20:
        deepest, code = run(depth)
        found.append(deepest - depth)
        assert code() is None
    assert set(found) == {found[0]}


def test_nothing_leaks():
    def function(a, b):
        return [a, (b, a)]

    value = object()
    traced = with_code(function, add_debug_op_everywhere(function.__code__), op_target=lambda stack, frame: None)

    def counts():
        gc.collect()
        return sys.getrefcount(value), sys.getrefcount(traced.__code__), len(gc.get_objects())

    for _ in range(10):
        traced(value, value)
    before = counts()
    for _ in range(2000):
        traced(value, value)
    after = counts()
    assert after[:2] == before[:2]
    assert abs(after[2] - before[2]) < 50


# T2: MutableCodeObject


def every_kind(a, /, b, *rest, c=1, **more):
    """A code object with something in every field."""
    free = [a, b, c]

    def inner(x):
        try:
            return [y for y in free if y is not x]
        except TypeError:
            return rest, more

    return inner


@pytest.mark.parametrize(
    "code", [lol.__code__, every_kind.__code__, every_kind(1, 2).__code__], ids=lambda code: code.co_name
)
def test_a_mutable_code_object_copies_everything(code):
    mutable = MutableCodeObject(code)
    assert mutable.co_consts == list(code.co_consts)
    assert mutable.co_varnames == list(code.co_varnames)
    assert mutable.co_code == code.co_code
    copy = mutable.get_code()
    assert copy == code
    assert copy is not code
    for name in MutableCodeObject.args_name:
        assert getattr(copy, name) == getattr(code, name), name
    assert list(copy.co_lines()) == list(code.co_lines())
    assert list(copy.co_positions()) == list(code.co_positions())


def test_a_mutable_code_object_can_be_edited():
    def greet():
        return "hello"

    mutable = MutableCodeObject(greet.__code__)
    mutable.co_consts[mutable.co_consts.index("hello")] = "goodbye"
    mutable.co_name = "part"
    greet.__code__ = mutable.get_code()
    assert greet() == "goodbye"
    assert greet.__code__.co_name == "part"


def test_debug_op_can_be_written_by_hand():
    def plain(a):
        return a

    mutable = MutableCodeObject(plain.__code__)
    mutable.co_consts.append(DEBUG_OP)
    index = len(mutable.co_consts) - 1
    by_hand = [("LOAD_CONST", index), ("UNARY_INVERT", 0), ("POP_TOP", 0)]
    at = offset_of(plain, "RETURN_VALUE")
    mutable.co_code[at:at] = bytes(byte for name, arg in by_hand for byte in (dis.opmap[name], arg))
    # Three units more, on the line of the first instruction after RESUME: code 15 (no location) in units of one.
    mutable.co_linetable += bytes([0x80 | 15 << 3 | 2])
    mutable.co_stacksize += 1
    seen = []
    function = with_code(
        plain,
        mutable.get_code(),
        op_target=lambda stack, frame: seen.append((stack, FrameAnalyser(frame).next_instr())),
    )
    assert function("value") == "value"
    [(stack, instruction)] = seen
    assert stack == ["value"]
    # Nobody knows what it was inserted into, so the offset is that in the code that runs.
    assert (instruction.opname, instruction.offset) == ("RETURN_VALUE", at + 6)


# T3: inserting


def test_one_debug_op():
    result, seen = listen(lol, 1, offsets=[offset_of(lol, "COMPARE_OP")])
    assert result == 2
    assert [stack[:2] for _, stack in seen] == [[1, 0], [1, 1], [1, 2]]
    code = insert_op_debug(lol.__code__, offset_of(lol, "COMPARE_OP"))
    assert code.co_stacksize <= lol.__code__.co_stacksize + 1
    assert code.co_consts == (*lol.__code__.co_consts, DEBUG_OP)


def test_a_jump_lands_on_the_debug_op():
    offset = offset_of(lol, "FOR_ITER")
    _, seen = listen(lol, 2, offsets=[offset])
    # Once by falling through, and each time around the loop by a jump backwards.
    assert [instruction.offset for instruction, _ in seen] == [offset] * 4


def test_offsets_are_those_of_the_original_in_any_order():
    offsets = [
        one.offset for one in dis.get_instructions(lol) if one.opname in ("COMPARE_OP", "STORE_FAST", "FOR_ITER")
    ]
    forwards = insert_op_debug_list(lol.__code__, offsets)
    assert insert_op_debug_list(lol.__code__, [*reversed(offsets), *offsets]).co_code == forwards.co_code
    assert insert_op_debug_list(lol.__code__, iter(offsets)).co_code == forwards.co_code
    assert insert_op_debug_list(lol.__code__, []).co_code == lol.__code__.co_code


def test_a_wrong_offset_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"lol in .* has no instruction at offset 100000$"):
        insert_op_debug(lol.__code__, 100_000)
    with pytest.raises(ValueError, match=r"has no instruction at offset -2$"):
        insert_op_debug(lol.__code__, -2)
    compare = offset_of(lol, "COMPARE_OP")
    with pytest.raises(ValueError, match=rf"{compare + 2} \(it is inside COMPARE_OP, whose offset is {compare}\)"):
        insert_op_debug(lol.__code__, compare + 2)
    with pytest.raises(ValueError, match=r"before RESUME at offset 0 of lol in .*: the frame is incomplete"):
        insert_op_debug_list(lol.__code__, [compare, 0])
    with pytest.raises(TypeError):
        insert_op_debug(lol.__code__, "first")


def test_a_forbidden_place_says_why():
    def generator():
        yield 1

    offset = all_offsets(generator, "RESUME")[1]
    with pytest.raises(ValueError, match=rf"before RESUME at offset {offset} .* a suspended frame must find RESUME"):
        insert_op_debug(generator.__code__, offset)


def test_code_that_no_compiler_wrote_is_refused():
    broken = lol.__code__.replace(co_linetable=lol.__code__.co_linetable[:-2])
    with pytest.raises(ValueError, match=r"cannot insert DEBUG_OP into lol in .*: "):
        add_debug_op_everywhere(broken)


def test_lines_and_columns_stay_with_their_instructions():
    for function in (lol, every_kind, raise_in_the_middle):
        code = function.__code__
        before = [(one.opname, one.positions) for one in dis.get_instructions(code) if one.opname != "EXTENDED_ARG"]
        probed = dis.get_instructions(add_debug_op_everywhere(code))
        after = [(one.opname, one.positions) for one in probed if one.opname != "EXTENDED_ARG"]
        probe = ["LOAD_CONST", "UNARY_INVERT", "POP_TOP"]
        kept, at = [], 0
        while at < len(after):
            if [name for name, _ in after[at : at + 3]] == probe:
                # A probe has the position of what it stands before.
                assert {position for _, position in after[at : at + 3]} == {after[at + 3][1]}
                at += 3
            else:
                kept.append(after[at])
                at += 1
        assert kept == before


def test_more_constants_than_one_byte_can_count():
    source = "def many():\n total = 0\n" + "".join(f" total += {n}.5\n" for n in range(700)) + " return total\n"
    namespace = {}
    exec(source, namespace)
    many = namespace["many"]
    assert len(many.__code__.co_consts) > 600
    result, seen = listen(many)
    assert result == many()
    adds = [stack for instruction, stack in seen if instruction.opname == "BINARY_OP"]
    assert [stack[0] for stack in adds] == [n + 0.5 for n in range(700)]
    # Instructions that need EXTENDED_ARG are named by their own offset, not their prefix's.
    reported = {instruction.offset for instruction, _ in seen}
    assert reported <= {one.offset for one in dis.get_instructions(many) if one.opname != "EXTENDED_ARG"}


def test_jumps_that_outgrow_their_argument():
    body = "".join(f"  if x == {n}:\n   continue\n  y = x * {n}\n" for n in range(120))
    source = f"def far(n):\n y = 0\n for x in range(n):\n{body} return y\n"
    namespace = {}
    exec(source, namespace)
    far = namespace["far"]
    result, seen = listen(far, 10)
    assert result == far(10)
    assert "EXTENDED_ARG" in {one.opname for one in dis.get_instructions(far)}
    loops = [stack for instruction, stack in seen if instruction.opname == "FOR_ITER"]
    assert len(loops) == 11


def test_inserting_twice():
    offset = offset_of(lol, "COMPARE_OP")
    once = add_debug_op_everywhere(lol.__code__)
    twice = add_debug_op_everywhere(once)
    assert twice.co_consts == once.co_consts
    offsets = []

    def op_target(stack, frame):
        offsets.append((FrameAnalyser(frame).next_instr().offset, [value for value in stack if value is not DEBUG_OP]))

    assert with_code(lol, twice, op_target=op_target)(1) == 2
    # Both layers speak of the instructions of the original.
    assert {offset for offset, _ in offsets} == {instruction.offset for instruction, _ in listen(lol, 1)[1]}
    # Between the two instructions of a DEBUG_OP its own operand or result is on the stack.
    compared = [stack[:2] for where, stack in offsets if where == offset and stack[0] is not None]
    assert compared == [[1, i] for i in range(3) for _ in range(len(compared) // 3)]
    assert len(compared) > 3


def test_nested_code_objects_are_left_alone_unless_asked_for():
    def outer():
        return (lambda: "inner")()

    seen = []
    target = {"op_target": lambda stack, frame: seen.append(frame.f_code.co_name)}
    assert with_code(outer, add_debug_op_everywhere(outer.__code__), **target)() == "inner"
    assert set(seen) == {"outer"}
    assert with_code(outer, add_debug_op_everywhere(outer.__code__, nested=True), **target)() == "inner"
    assert set(seen) == {"outer", "<lambda>"}


def test_transform_code():
    offset = offset_of(lol, "COMPARE_OP")
    code = transform_code(lol.__code__, lambda code: insert_op_debug(code, offset), add_stacksize=5)
    assert code.co_stacksize == lol.__code__.co_stacksize + 5
    seen = []
    target = lambda stack, frame: seen.append(FrameAnalyser(frame).next_instr().offset)  # noqa: E731
    assert with_code(lol, code, op_target=target)(0) == 1
    assert seen == [offset, offset]
    assert transform_code(lol.__code__).co_code == add_debug_op_everywhere(lol.__code__).co_code


# T4: the printed example


def test_the_printed_example(capsys):
    def op_target(stack, frame):
        print([value if type(value) in (int, bool) else type(value).__name__ for value in stack])

    traced = with_code(lol, add_debug_op_everywhere(lol.__code__), op_target=op_target)
    assert traced(1) == 2
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "[]"
    assert "[10, 'type', 'NoneType']" in printed or "[10, 'NoneType', 'type']" in printed
    # range(10), its iterator, and then three times around: i, then i and x, then whether i > x.
    around = printed[printed.index("['range']") + 1 :]
    if sys.version_info >= (3, 15):
        around = [line.replace("'NoneType', ", "").replace("'NoneType'", "") for line in around]
    compared = [line for line in around if line.startswith(("[1, ", "[True", "[False"))]
    assert [line for line in compared if line.count(",") >= 2 or line.startswith(("[T", "[F"))] == [
        "[1, 0, 'range_iterator']",
        "[False, 'range_iterator']",
        "[1, 1, 'range_iterator']",
        "[False, 'range_iterator']",
        "[1, 2, 'range_iterator']",
        "[True, 'range_iterator']",
    ]
    assert printed[-1] == "[2]"


# T6: FrameAnalyser


def test_the_next_instruction_is_described_as_dis_does():
    _, seen = listen(lol, 1)
    assert {instruction.offset: instruction for instruction, _ in seen}.items() <= {
        instruction.offset: instruction for instruction in dis.get_instructions(lol)
    }.items()
    names = [instruction.opname for instruction, _ in seen]
    assert names.count("COMPARE_OP") == 3
    assert names[-1] == "RETURN_VALUE"
    compare = next(instruction for instruction, _ in seen if instruction.opname == "COMPARE_OP")
    assert compare.argrepr in (">", "bool(>)")


def test_a_frame_that_calls_is_at_its_call():
    def caller():
        return callee()

    def callee():
        return 1

    found = []

    def op_target(stack, frame):
        found.append(FrameAnalyser(frame.f_back).next_instr())

    callee = with_code(callee, add_debug_op_everywhere(callee.__code__), op_target=op_target)
    assert caller() == 1
    assert {(instruction.opname, instruction.offset) for instruction in found} == {("CALL", offset_of(caller, "CALL"))}


def test_a_frame_that_has_not_started():
    def generator():
        yield

    waiting = generator()
    if waiting.gi_frame.f_lasti < 0:
        with pytest.raises(ValueError, match="the frame has not started"):
            FrameAnalyser(waiting.gi_frame).next_instr()
    else:
        assert FrameAnalyser(waiting.gi_frame).next_instr().opname in ("RETURN_GENERATOR", "POP_TOP")


def test_the_names_of_the_article_are_there():
    for name in article.__all__:
        assert getattr(article, name) is not None
