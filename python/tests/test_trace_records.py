"""Records and values: what is kept of a step, and that the program does not notice."""

import gc
import io
import math
import pickle
import types
import weakref

import debugop
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.running import running_code


def identity(x):
    return x


def captured(value):
    """`value` as it is captured at the return of a function that was called with it."""
    trace = debugop.trace(identity)
    trace(value)
    return trace.records[-1].stack[0]


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 4000), 1 << 4000),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters(exclude_categories=[]), max_size=200),
    st.binary(max_size=200),
    st.binary(max_size=20).map(bytearray),
    st.just(...),
    st.just(NotImplemented),
    st.builds(range, st.integers(), st.integers(), st.integers(1)),
    st.builds(slice, st.integers(), st.none(), st.integers()),
)
keys = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(keys, inner, max_size=5),
        st.sets(keys, max_size=5),
        st.frozensets(keys, max_size=5),
    ),
    max_leaves=8,
)


def depth_of(value):
    if isinstance(value, range | slice):
        return 1
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def same(left, right):
    if type(left) is not type(right):
        return False
    if isinstance(left, float | complex):
        return repr(left) == repr(right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(map(same, left.values(), right.values()))
    return left == right


@given(values)
def test_built_in_values_come_back(value):
    kept = captured(value)
    if depth_of(value) > 3:
        return
    assert kept.is_whole
    assert same(kept.value, value)
    assert kept.type_name == type(value).__name__
    assert kept == captured(value)
    assert len(str(kept)) <= 60 + len("\u0300") * 200
    assert str(kept) == repr(kept) == kept.short(60)


@given(scalars.filter(lambda value: not isinstance(value, str)))
def test_the_text_of_a_short_scalar_is_its_repr(value):
    if len(repr(value)) > 60:
        return
    text = str(captured(value))
    # The repr of a bytearray escapes a single quote inside double quotes too.
    assert text == (repr(value).replace(r"\'", "'") if text.startswith('bytearray(b"') else repr(value))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("x" * 257, "only the beginning of this str was captured; its length is 257"),
        (b"x" * 257, "only the first 256 of 257 bytes were captured"),
        (1 << 5000, "only the size of this int was captured: 5001 bits"),
        (list(range(17)), "only 16 of 17 items were captured"),
        ([[[[[1]]]]], "too deep in a container"),
        (dict.fromkeys(range(20)), "only 16 of 20 items were captured"),
        (identity, "an object of type function is captured by its type and identity only"),
        (io.StringIO(), "an object of type _io.StringIO is captured"),
        ([io.StringIO()], "an object of type _io.StringIO is captured"),
    ],
    ids=lambda one: one[:20] if isinstance(one, str) else type(one).__name__,
)
def test_what_was_not_captured_whole_says_so(value, why):
    kept = captured(value)
    assert not kept.is_whole
    with pytest.raises(ValueError, match=why):
        assert kept.value
    assert kept != value
    assert kept == captured(value)


def test_containers_are_equal_by_content_and_objects_by_identity():
    assert captured([1, [2]]) == captured([1, [2]]) == [1, [2]]
    assert captured([1]) != captured((1,))
    assert captured(math.nan) == captured(math.nan)
    assert captured(0.0) != captured(-0.0)
    assert captured(1) != captured(1.0)
    first, second = object(), object()
    assert captured(first) == captured(first) != captured(second)
    assert captured(first).id == id(first)
    assert captured([1]).id is not None
    assert captured(1).id is None


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (identity, "function", "<function identity>"),
        (len, "builtin_function_or_method", "<built-in len>"),
        (int, "type", "<class int>"),
        (math, "module", "<module math>"),
        (KeyError("x"), "KeyError", "KeyError('x')"),
        (types.SimpleNamespace(a=1), "types.SimpleNamespace", None),
        (iter([]), "list_iterator", "<list_iterator>"),
    ],
    ids=lambda one: None,
)
def test_names_and_texts(value, name, text):
    kept = captured(value)
    assert kept.type_name == name
    assert text is None or str(kept) == text


class Hostile:
    """Every special method that a careless observer might call."""

    def refuse(self, *args):
        raise AssertionError("the program's code was run")

    for special in ("repr", "str", "eq", "hash", "bool", "len", "iter", "getattr", "getattribute", "getitem", "class"):
        locals()[f"__{special}__"] = property(refuse) if special == "class" else refuse
    __sizeof__ = __index__ = __int__ = __format__ = __dir__ = __reduce__ = __reduce_ex__ = __call__ = refuse


class HostileList(list):
    __repr__ = __iter__ = __len__ = __getitem__ = __eq__ = Hostile.refuse


class HostileMeta(type):
    __repr__ = __getattribute__ = __instancecheck__ = Hostile.refuse


class HostileError(Exception):
    __str__ = __repr__ = Hostile.refuse
    args = property(Hostile.refuse)


@pytest.mark.parametrize("make", [Hostile, HostileList, lambda: HostileMeta("Class", (), {}), HostileError])
def test_no_code_of_the_program_runs_while_it_is_captured(make):
    value = make()
    trace = debugop.trace(lambda x: [x, (x,), {1: x}])
    trace(value)
    out = io.StringIO()
    trace.print(file=out, width=80)
    assert "BUILD_LIST" in out.getvalue()


def test_objects_die_when_they_would():
    class Thing:
        def __del__(self):
            log.append("died")

    def function():
        thing = Thing()
        references.append(weakref.ref(thing))
        log.append("made")
        del thing
        log.append("after del")
        Thing()
        log.append("after the temporary")

    def run(action):
        log.clear()
        action()
        return log.copy()

    log, references = [], []
    plain = run(function)
    with debugop.trace(function, follow=True) as trace:
        traced = run(function)
    steps = []
    with debugop.trace(function, lambda step: steps.append((step, step.stack, step.record()))):
        watched = run(function)
    assert plain == traced == watched == ["made", "died", "after del", "died", "after the temporary"]
    assert all(reference() is None for reference in references)
    assert len(trace) > 20
    assert len(steps) > 20


def test_records_of_a_generator_are_one_frame():
    def numbers(n):
        yield from range(n)

    with debugop.trace(numbers) as trace:
        first, second = numbers(2), numbers(3)
        assert [next(first), next(second), *first, *second] == [0, 0, 1, 1, 2]
    frames = [record.frame for record in trace if record.instruction.opname == "RETURN_GENERATOR"] or [1, 2]
    assert len({record.frame for record in trace}) == len(frames)


def test_fields():
    trace = debugop.trace(fields_target)
    trace(3)
    first, last = trace.records[0], trace.records[-1]
    assert (first.number, last.number) == (1, len(trace))
    assert {record.name for record in trace} == {"fields_target"}
    assert (first.qualname, first.module, first.filename) == ("fields_target", __name__, __file__)
    assert (first.depth, first.event, first.exception) == (0, "instruction", None)
    assert last.line == fields_target.__code__.co_firstlineno + 1
    assert last.code is fields_target.__code__
    assert last.stack == (6,)
    assert repr(last).startswith(f"<debugop.Record {len(trace)} instruction ")


def fields_target(n=1):
    return [n + n][0]


def test_they_are_a_sequence():
    trace = debugop.trace(identity)
    trace(1)
    records = trace.records
    everything = list(records)
    assert len(records) == len(everything) > 1
    assert everything == [records[at] for at in range(len(records))] == list(trace)
    assert records[-1] == everything[-1] != everything[0]
    assert records[::-1] == everything[::-1]
    assert records[1:99] == everything[1:]
    assert records[5:1:-2] == everything[5:1:-2]
    for index in (len(everything), -len(everything) - 1, 1 << 90):
        with pytest.raises(IndexError, match="record index out of range"):
            records[index]
    with pytest.raises(TypeError):
        records["x"]
    running = iter(records)
    next(running)
    trace(2)
    assert len(list(running)) == 2 * len(everything) - 1
    records.clear()
    assert (len(trace), list(trace), repr(records)) == (0, [], "<debugop.Records: 0 steps>")


def test_printing_cuts_to_the_width(capsys):
    trace = debugop.trace(identity)
    trace("x" * 300)
    trace.print(width=50)
    text = capsys.readouterr().out
    assert "identity" in text
    assert "RETURN_VALUE" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 50


def test_printing_shows_lines_of_code_without_a_file():
    import linecache

    source = "def shown(a):\n    return a * 2\n"
    linecache.cache["<cell 1>"] = (len(source), None, source.splitlines(True), "<cell 1>")
    namespace = {}
    exec(compile(source, "<cell 1>", "exec"), namespace)
    trace = debugop.trace(namespace["shown"])
    trace(4)
    out = io.StringIO()
    trace.print(file=out)
    assert "return a * 2" in out.getvalue()


def site_of(function):
    return next(constant for constant in running_code(function).co_consts if type(constant) is debugop.Site)


def test_a_probed_function_can_be_pickled_by_value():
    def function(x):
        return [x + 1 for _ in range(2)]

    def reduced(constant):
        """What comes out of pickling a constant by value, as cloudpickle does with code objects."""
        if isinstance(constant, types.CodeType):
            return constant.replace(co_consts=tuple(map(reduced, constant.co_consts)))
        return pickle.loads(pickle.dumps(constant))

    with debugop.trace(function) as trace:
        site = site_of(function)
        assert pickle.loads(pickle.dumps(site)) == 0
        assert "RESUME in" in repr(site)
        copy = types.FunctionType(reduced(running_code(function)), globals())
        assert copy(3) == [4, 4]
        assert len(trace) == 0
        function(1)
        steps = len(trace)
    assert steps > 10
    assert not any(type(constant) is debugop.Site for constant in copy.__code__.co_consts)
    # A site that outlives its trace, or is used by hand, does nothing.
    assert ~site is None
    with pytest.raises(TypeError):
        debugop.Site()


def test_values_of_null_and_of_the_interpreters_own_numbers():
    def loop(items):
        return [print for item in items]

    trace = debugop.trace(loop)
    trace([1, 2])
    slots = {str(value): value for record in trace for value in record.stack}
    if "NULL" in slots:
        assert slots["NULL"].value is debugop.NULL
        assert slots["NULL"].type_name == "NULL"
    raw = [value for text, value in slots.items() if text.startswith("<raw")]
    assert all(isinstance(value.value, int) for value in raw)
    gc.collect()
