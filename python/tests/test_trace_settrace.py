"""The steps of a trace are the instructions that `sys.settrace` reports, in the same order."""

import ast
import asyncio
import base64
import collections
import contextlib
import copy
import dataclasses
import dis
import functools
import inspect
import io
import json
import re
import re._parser
import statistics
import sys
import textwrap
import tokenize
import types
import typing

import debugop
import pytest
from hypothesis import given
from hypothesis import strategies as st


def all_code(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from all_code(constant)


# Legacy tracing reports neither of these; END_FOR is not executed at all.
UNTRACED = {"RESUME", "END_FOR"}


def settrace_offsets(function, arguments, codes):
    """The result of a call, and (code, offset) of each opcode event in `codes`, EXTENDED_ARG folded."""
    starts = {}  # offset of a prefix or of the opcode itself → offset of the opcode
    for code in codes:
        prefixes = []
        for one in dis.get_instructions(code):
            prefixes.append(one.offset)
            if one.opname != "EXTENDED_ARG":
                starts.update({(code, offset): (one.offset, len(prefixes) > 1) for offset in prefixes})
                prefixes = []
    events = []
    last = {}

    def trace(frame, event, arg):
        if frame.f_code not in codes:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            offset, prefixed = starts[frame.f_code, frame.f_lasti]
            # A prefix and its instruction are one: the second event of the two comes at a greater offset.
            if not (prefixed and last.get(frame, (0, 1 << 30))[0] == offset and last[frame][1] < frame.f_lasti):
                events.append((frame.f_code, offset))
            last[frame] = offset, frame.f_lasti
        return trace

    frame = sys._getframe()
    frame.f_trace_opcodes = True  # 3.12 looks at it when tracing starts (gh-114480)
    sys.settrace(trace)
    try:
        result = outcome(function, arguments)
    finally:
        sys.settrace(None)
        frame.f_trace_opcodes = False
    return result, events


def outcome(function, arguments):
    try:
        result = function(*copy.deepcopy(arguments))
    except Exception as error:
        return type(error), str(error)
    return type(result), re.sub("at 0x[0-9a-fA-F]+", "", repr(result))


def compare(function, *arguments):
    """Traced and untraced runs of `function` agree in their results and in every instruction."""
    plain = outcome(function, arguments)
    codes = set(all_code(function.__code__))
    opnames = {(code, one.offset): one.opname for code in codes for one in dis.get_instructions(code)}
    legacy_result, legacy = settrace_offsets(function, arguments, codes)
    trace = debugop.trace(function)
    with trace:
        traced = outcome(function, arguments)
    steps = [(record.code, record.instruction.offset) for record in trace if record.event == "instruction"]
    steps = [step for step in steps if opnames[step] not in UNTRACED]
    legacy = [step for step in legacy if opnames[step] not in UNTRACED]
    assert plain == traced == legacy_result
    assert [(code.co_name, at, opnames[code, at]) for code, at in steps] == [
        (code.co_name, at, opnames[code, at]) for code, at in legacy
    ]
    assert function.__code__ in codes


CASES = [
    (textwrap.dedent, ("   a\n   b\n",)),
    (textwrap.wrap, ("the quick brown fox " * 5, 20)),
    (json.loads, ('{"a": [1, 2.5, null], "b": "c"}',)),
    (json.loads, ("{",)),
    (json.decoder.py_scanstring, ('abc\\u0041\\n" rest', 0)),
    (statistics.mean, ([1, 2, 3, 4],)),
    (statistics.mode, ([],)),
    (collections.namedtuple, ("Point", "x y")),
    (collections.Counter.most_common, (collections.Counter("abracadabra"), 2)),
    (copy.deepcopy, ([1, (2, {3: [4]})],)),
    (ast.literal_eval, ("[1, (2, {3: 4})]",)),
    (ast.unparse, (ast.parse("def f(a, *b, c=1): return [x async for x in a if b]"),)),
    (re._parser.parse, ("(a|b)*c{2,3}[^d-f]",)),
    (re._parser.parse, ("(a",)),
    (base64.b64encode, (b"hello",)),
    (base64.b32decode, (b"NBSWY3DP",)),
    (functools.total_ordering, (functools.partial,)),
    (inspect.signature, (compare,)),
    (tokenize.untokenize, ([(1, "x"), (54, "="), (2, "1")],)),
    (typing.get_type_hints, (debugop.Trace.stop,)),
    (dis.show_code, (None,)),
    (dataclasses.make_dataclass, ("D", ["a", "b"])),
]


@pytest.mark.parametrize(
    ("function", "arguments"),
    CASES,
    ids=[f"{number}-{function.__name__}" for number, (function, _) in enumerate(CASES)],
)
def test_the_standard_library_executes_what_settrace_reports(function, arguments):
    compare(function, *arguments)


def generator_and_delegation(n):
    def inner():
        try:
            got = yield n
            while got:
                got = yield got * 2
        except KeyError:
            yield "caught"
        finally:
            n.append(1)
        return 7

    def outer():
        return (yield from inner())

    running = outer()
    seen = [next(running), running.send(5), running.throw(KeyError("x"))]
    seen.extend(running)
    running = outer()
    next(running)
    running.close()
    return seen, n


def exceptions_and_finally(n):
    log = []
    for i in range(n):
        try:
            try:
                if i % 3 == 0:
                    raise ValueError(i)
                if i % 3 == 1:
                    continue
                log.append(10 // (i - 2))
            except ZeroDivisionError as error:
                log.append(str(error))
                raise RuntimeError from error
            finally:
                log.append(("finally", i))
        except* ValueError as group:
            log.append(len(group.exceptions))
        except* RuntimeError:
            log.append("runtime")
    with contextlib.suppress(KeyError), contextlib.closing(io.StringIO()) as file:
        file.write("x")
        log.append({}[n])
    return log


def matching_and_comprehensions(items):
    class Point:
        __match_args__ = ("x", "y")

        def __init__(self, x, y):
            self.x, self.y = x, y

    found = []
    for item in [*items, Point(1, 2), {"z": 4}, {"k": 3, "j": 5}, [1, 2, 3], "text"]:
        match item:
            case Point(x=1, y=value) | {"z": value}:
                found.append(value)
            case {"k": 3, **rest}:
                found.append(rest)
            case [first, *rest] if rest:
                found.append((first, rest))
            case str() | int():
                found.append(f"{item!r:>8}" + f"{item}")
            case _:
                found.append(None)
    total = sum(x * y for x in range(4) for y in range(x) if y % 2)
    pairs = {k: v + 1 for k, v in zip("abc", range(3), strict=True)}
    return found, total, pairs, sorted({*pairs}), [[j - i for j in range(i)] for i in range(3)]


def calls_of_every_kind(n):
    def f(a, /, b=2, *args, c=3, **kwargs):
        nonlocal n
        n += 1
        return a, b, args, c, kwargs, n

    x, *y, z = f(1), f(1, 2, 3, c=4, d=5), f(*[1, 2], c=3), f(1, *(2,)), f(*[0], b=1)
    del x
    assert z, "never"
    return y, (lambda *a, **k: (a, k))(1, k=2), [1, 2, 3][::2], n if n else None, not n, 1 < n < 9 or n is None


async def coroutines(n):
    class Manager:
        async def __aenter__(self):
            await asyncio.sleep(0)
            return self

        async def __aexit__(self, *exc):
            return exc[0] is ValueError

    async def numbers():
        for i in range(n):
            yield i
            await asyncio.sleep(0)

    seen = []
    async with Manager():
        async for i in numbers():
            seen.append(i)
        seen += [i async for i in numbers() if i]
        raise ValueError
    return seen, await asyncio.gather(*(asyncio.sleep(0, i) for i in range(2)))


def run(coroutine_function):
    @functools.wraps(coroutine_function)
    def runner(*arguments):
        return asyncio.run(coroutine_function(*arguments))

    return runner


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (generator_and_delegation, []),
        (exceptions_and_finally, 7),
        (matching_and_comprehensions, [1, 2.5]),
        (calls_of_every_kind, 3),
    ],
    ids=lambda one: getattr(one, "__name__", "x"),
)
def test_language_constructs_execute_what_settrace_reports(function, argument):
    compare(function, argument)


def test_coroutines_execute_what_settrace_reports():
    codes = set(all_code(coroutines.__code__))
    opnames = {(code, one.offset): one.opname for code in codes for one in dis.get_instructions(code)}
    result, legacy = settrace_offsets(run(coroutines), (3,), codes)
    with debugop.trace(coroutines) as trace:
        assert outcome(run(coroutines), (3,)) == result
    steps = [(record.code, record.instruction.offset) for record in trace if record.event == "instruction"]
    shown = [
        [(code.co_name, at, opnames[code, at]) for code, at in one if opnames[code, at] not in UNTRACED]
        for one in (steps, legacy)
    ]
    assert shown[0] == shown[1]


# Programs over two ints: each statement is one line with an indented block or none.
names = st.sampled_from("ab")
atoms = names | st.integers(-3, 40).map(str)
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(["+", "-", "*", "//", "%", "<", "==", "and", "or", "in (1, 2) or"]), inner
        ).map(lambda parts: "({} {} {})".format(*parts)),
        st.tuples(inner, inner, inner).map(lambda parts: "({} if {} else {})".format(*parts)),
        inner.map(lambda one: f"len([i for i in range(({one}) % 4)])"),
        inner.map(lambda one: f"sum(i for i in (1, {one}))"),
    ),
    max_leaves=6,
)
assignments = st.tuples(names, st.sampled_from(["=", "+=", "-="]), expressions).map(" ".join).map(lambda one: [one])


def indented(block):
    return ["    " + line for line in block]


def blocks(statement):
    return st.lists(statement, min_size=1, max_size=3).map(lambda parts: [line for part in parts for line in part])


statements = st.recursive(
    assignments | st.sampled_from([["raise KeyError(a)"], ["return a, b"], ["yield a"], ["pass"]]),
    lambda inner: st.one_of(
        st.tuples(expressions, blocks(inner), blocks(inner)).map(
            lambda parts: [f"if {parts[0]}:", *indented(parts[1]), "else:", *indented(parts[2])]
        ),
        st.tuples(expressions, blocks(inner)).map(
            lambda parts: [f"for b in range(({parts[0]}) % 5):", *indented(parts[1])]
        ),
        st.tuples(blocks(inner), blocks(inner), blocks(inner)).map(
            lambda parts: [
                *("try:", *indented(parts[0]), "except KeyError as error:", *indented(parts[1])),
                *("finally:", *indented(parts[2])),
            ]
        ),
        blocks(inner).map(lambda block: ["with contextlib.suppress(KeyError):", *indented(block)]),
    ),
    max_leaves=8,
)


@given(blocks(statements), st.integers(0, 5), st.integers(-2, 9))
def test_generated_programs_execute_what_settrace_reports(block, a, b):
    source = "\n".join(["def program(a, b):", *indented(block), "    return a - b"])
    namespace = {"contextlib": contextlib}
    exec(source, namespace)
    program = namespace["program"]
    if inspect.isgeneratorfunction(program):
        body = program.__code__

        def program(a, b, made=program):
            return list(made(a, b))

        compare_generator(namespace["program"], body, program, a, b)
    else:
        compare(program, a, b)


def compare_generator(made, body, drive, *arguments):
    codes = set(all_code(body))
    opnames = {(code, one.offset): one.opname for code in codes for one in dis.get_instructions(code)}
    result, legacy = settrace_offsets(drive, arguments, codes)
    with debugop.trace(made) as trace:
        assert outcome(drive, arguments) == result
    steps = [(record.code, record.instruction.offset) for record in trace if record.event == "instruction"]
    assert [step for step in steps if opnames[step] not in UNTRACED] == [
        step for step in legacy if opnames[step] not in UNTRACED
    ]
