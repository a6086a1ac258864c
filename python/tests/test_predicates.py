"""Predicates: which steps are wanted, compared with a model in Python."""

import re

import debugop
import pytest
from hypothesis import given
from hypothesis import strategies as st


class Shapes:
    def area(self, side):
        return self.square(side) + 1

    def square(self, side):
        total = 0
        for _ in range(side):
            total += side
        return total


def drive(n):
    return sum(Shapes().area(i) for i in range(n))


@pytest.fixture(scope="module")
def records():
    with debugop.trace(drive, follow=True) as trace:
        assert drive(3) == 8
    return trace.records


def names_of(record):
    full = f"{record.module}.{record.qualname}"
    dots = [found.start() for found in re.finditer(r"\.", full)]
    return {full[:dot] for dot in dots} | {full, record.qualname, record.qualname.rpartition(".")[2]}


def lines(first, last):
    return debugop.line(first, last), lambda record: record.line is not None and first <= record.line <= last


def depths(least, most):
    return debugop.depth(least, most), lambda record: least <= record.depth <= most


def named(name):
    return debugop.function(name), lambda record: name in names_of(record)


def opcode(prefix):
    return debugop.opcode(prefix + "*"), lambda record: record.instruction.opname.startswith(prefix)


first_line = Shapes.area.__code__.co_firstlineno
numbers = st.integers(0, 12)
leaves = st.one_of(
    st.tuples(numbers, numbers).map(sorted).map(lambda two: lines(first_line + two[0], first_line + two[1])),
    st.tuples(st.integers(0, 4), st.integers(0, 4)).map(sorted).map(lambda two: depths(*two)),
    st.sampled_from(["drive", "area", "Shapes.square", "Shapes", __name__, __name__ + ".Shapes", "squar"]).map(named),
    st.sampled_from(["LOAD", "CALL", "LOAD_FAST", "FOR", "X"]).map(opcode),
)
predicates = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: (two[0][0] & two[1][0], lambda r: two[0][1](r) and two[1][1](r))),
        st.tuples(inner, inner).map(lambda two: (two[0][0] | two[1][0], lambda r: two[0][1](r) or two[1][1](r))),
        inner.map(lambda one: (~one[0], lambda r: not one[1](r))),
    ),
    max_leaves=6,
)


def key(record):
    return (
        record.depth,
        record.qualname,
        record.event,
        record.instruction.offset,
        [str(slot) for slot in record.stack],
    )


@given(predicates)
def test_they_choose_what_their_model_chooses(records, pair):
    predicate, model = pair
    expected = [key(record) for record in records if model(record)]
    assert [key(record) for record in records.filter(predicate)] == expected
    with debugop.trace(drive, follow=True, where=predicate) as trace:
        drive(3)
    assert [key(record) for record in trace] == expected
    assert [record.number for record in trace] == list(range(1, len(expected) + 1))


def count(records, predicate):
    return len(records.filter(predicate))


def test_module_and_file(records):
    everything = len(records)
    assert count(records, debugop.module(__name__)) == everything
    assert count(records, debugop.module(__name__[:-1])) == 0
    assert count(records, debugop.module(__name__[:-1] + "?")) == everything
    assert count(records, debugop.file("test_predicates.py")) == everything
    assert count(records, debugop.file("tests/*.py")) == everything
    assert count(records, debugop.file("/tests/*.py")) == 0
    assert count(records, debugop.file(__file__)) == everything
    assert count(records, debugop.file("predicates.py")) == 0
    assert count(records, debugop.function("python/tests/")) == everything


def test_a_line_alone_and_a_depth_alone(records):
    line = first_line + 1
    assert {record.line for record in records.filter(debugop.line(line))} == {line}
    assert {record.depth for record in records.filter(debugop.depth(1))} == {0, 1}
    assert {record.depth for record in records.filter(debugop.depth(1, 1))} == {1}


def test_repr_is_the_expression():
    predicate = (debugop.function("f") & ~debugop.line(1, 3)) | debugop.opcode("CALL*")
    text = '((debugop.function("f") & ~debugop.line(1, 3)) | debugop.opcode("CALL*"))'
    assert repr(predicate) == text
    assert eval(repr(predicate)) == predicate
    assert predicate != debugop.opcode("CALL*")
    assert debugop.file("a.py") == debugop.file("a.py") != debugop.module("a.py")


@pytest.mark.parametrize("make", [debugop.function, debugop.module, debugop.file, debugop.opcode])
def test_a_bad_pattern(make):
    with pytest.raises(ValueError, match=r"the pattern `a\[` is not a valid glob: unclosed character class"):
        make("a[")
    with pytest.raises(ValueError, match="a pattern must not be empty"):
        make("")
    with pytest.raises(TypeError):
        make(3)


def test_bad_ranges():
    with pytest.raises(ValueError, match="lines 3 to 2 are no lines"):
        debugop.line(3, 2)
    with pytest.raises(ValueError, match="depths 3 to 2 are no depths"):
        debugop.depth(3, 2)
    with pytest.raises(OverflowError):
        debugop.depth(-1)


def test_and_or_and_not_are_refused():
    with pytest.raises(TypeError, match="combine predicates with &"):
        debugop.line(1) and debugop.line(2)
    with pytest.raises(TypeError, match="unsupported operand"):
        debugop.line(1) & 3
