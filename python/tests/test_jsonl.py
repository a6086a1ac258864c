"""Real `jsonl` reports: every line conforms to the schema, and says what the program and `dis` say."""

import dis
import json
import math
import sys
import threading
from pathlib import Path

import jsonschema
import pytest

SCHEMA = json.loads((Path(__file__).parent.parent.parent / "docs" / "jsonl.schema.json").read_text())

PROGRAMS = {
    "values": """
import fractions, functools, types
class Plain:
    def __init__(self): self.x = 1
    def method(self): return self
class Listlike(list): pass
def outer():
    cell = 3
    def inner(): return cell
    return inner
nested = [[[[[[[[1]]]]]]]]
loop = []; loop.append(loop)
everything = [None, True, 2**53, -2**53, 2**53 - 1, 1.5, -0.0, float('nan'), float('inf'), 1e300, 1j, complex('nan'),
    '', 'é', '\\ud800', 'x' * 10000, b'', b'\\0\\xff', bytearray(b'a'), (), (1, (2,)), [1] * 1000, {1}, frozenset('a'), {'k': [1], 2: 3},
    range(3), range(2**70), slice(1, None, 2), ..., NotImplemented, len, [].append, print, outer(), Plain, Plain(), Plain().method,
    Listlike([1]), int, types, dict.fromkeys, functools.partial(len), fractions.Fraction(1, 2), ValueError('a', 1), 2**1000000,
    -(2**100), outer.__code__, nested, loop, memoryview(b'a'), iter([]), (i for i in ()), object(), type, {}.keys(), '\\x1b[31m\\n\\0']
for value in everything:
    value
def take(*args, **keywords): return args, keywords
take(*everything, a=1, **{'b': 2})
""",
    "control flow": """
import asyncio, contextlib
def gen(n):
    try:
        for i in range(n):
            got = yield i
    finally:
        pass
def deleg():
    result = yield from gen(2)
    return result
list(deleg())
g = gen(3); next(g)
try: g.throw(ValueError('thrown'))
except ValueError as e: kept = e
with contextlib.suppress(KeyError): {}['missing']
try:
    try: 1/0
    except ZeroDivisionError as e: raise KeyError('k') from e
except* KeyError: pass
def match(x):
    match x:
        case {'a': [y, *_]}: return y
        case (1, y) | [2, y]: return y
        case str(): return 's'
[match(x) for x in ({'a': [1, 2]}, (1, 5), 'x', None)]
class A:
    x: int = 1
    def __enter__(self): return self
    def __exit__(self, *args): return True
with A() as a: raise ValueError
async def work(n):
    async with asyncio.Lock():
        await asyncio.sleep(0)
    return n
async def main():
    async def agen():
        yield 1
        yield 2
    print([x async for x in agen()], await asyncio.gather(work(1), work(2)))
asyncio.run(main())
def deep(n): return n and deep(n - 1)
deep(20)
""",
    "threads": """
import threading
def f(n):
    for i in range(n): pass
threads = [threading.Thread(target=f, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(threading.get_native_id(), *(thread.native_id for thread in threads))
""",
    "uncaught": "def f(): raise ValueError(2**100, '\\udcff', float('inf'))\nf()\n",
    "nothing": "",
    "a large function": "def f():\n"
    + "".join(f"    x{i} = {i}.5\n" for i in range(400))
    + "    return x1 if x2 else x3\nf()\n",
}


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def report(programs, source, *options):
    programs.write({"prog.py": source})
    run = programs.debugop("run", "--format", "jsonl", "-o", str(programs.report), *options, "prog.py")
    return [json.loads(line) for line in programs.report.read_text(encoding="utf-8").split("\n")[:-1]], run


def of_kind(kind, lines):
    return [line for line in lines if line["kind"] == kind]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_line_conforms_to_the_schema(programs, validator, name):
    lines, _ = report(programs, PROGRAMS[name])
    for line in lines:
        validator.validate(line)
    assert [line["kind"] for line in lines[:3]] == ["header", "thread", "code"]
    assert [lines.index(line) for line in of_kind("summary", lines)] == [len(lines) - 1]
    known = set()
    for line in lines:
        if line["kind"] == "code":
            assert line["code"] not in known
            known.add(line["code"])
        elif line["kind"] == "step":
            assert line["code"] in known
    numbers = [line["step"] for line in of_kind("step", lines)]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("options", [["--limit", "5"], ["--function", "f"], ["--depth", "1"]])
def test_a_part_of_a_run_conforms_too(programs, validator, options):
    lines, _ = report(programs, PROGRAMS["threads"], *options)
    assert len(lines) > 3
    for line in lines:
        validator.validate(line)


def test_the_schema_refuses_what_is_wrong(programs, validator):
    """The schema is not one that everything conforms to."""
    lines, _ = report(programs, "x = 1.5\n")
    step = of_kind("step", lines)[-1]
    for wrong in (
        {**step, "kind": "stop"},
        {**step, "stack": [1.5]},
        {**step, "stack": [2**53]},
        {**step, "stack": [{"type": "NULL", "value": 1}]},
        {**step, "offset": -2},
        {**step, "extra": 1},
        {name: value for name, value in step.items() if name != "thread"},
    ):
        assert not validator.is_valid(wrong)
    assert validator.is_valid(step)


@pytest.mark.parametrize("name", ["control flow", "a large function"])
def test_code_objects_are_as_dis_shows_them(programs, name):
    lines, _ = report(programs, PROGRAMS[name])
    found = {}

    def collect(code):
        found[code.co_qualname, code.co_firstlineno] = code
        for constant in code.co_consts:
            if isinstance(constant, type(code)):
                collect(constant)

    collect(compile(PROGRAMS[name], "prog.py", "exec"))
    described = [line for line in of_kind("code", lines) if line["filename"].endswith("prog.py")]
    assert len(described) > 1
    for line in described:
        code = found[line["qualname"], line["first_line"]]
        expected = [one for one in dis.get_instructions(code) if one.opname != "EXTENDED_ARG"]
        assert line["name"] == code.co_name
        assert line["python"] == "{}.{}".format(*sys.version_info)
        assert line["module"] == "__main__"
        assert [one["offset"] for one in line["instructions"]] == [one.offset for one in expected]
        assert [one["opname"] for one in line["instructions"]] == [one.opname for one in expected]
        assert [one["arg"] for one in line["instructions"]] == [one.arg for one in expected]
        positions = [
            [p.lineno, p.end_lineno, p.col_offset, p.end_col_offset] for p in (one.positions for one in expected)
        ]
        assert [one["position"] for one in line["instructions"]] == positions
        offsets = {one["offset"]: one for one in line["instructions"]}
        for step in of_kind("step", lines):
            if step["code"] == line["code"]:
                instruction = offsets[step["offset"]]
                assert (step["opname"], step["arg"]) == (instruction["opname"], instruction["arg"])


def test_threads_have_their_native_ids(programs):
    lines, run = report(programs, PROGRAMS["threads"])
    ids = [int(word) for word in run.stdout.split()]
    assert set(ids[1:]) | {ids[0]} == {step["thread"] for step in of_kind("step", lines)}
    assert threading.get_native_id() not in ids


# ------------------------------------------------------------------------------------------------------------ values


def decoded(value):
    """The Python value that a value of the report stands for, as far as it is told whole."""
    if not isinstance(value, dict):
        return value
    match value:
        case {"type": "int", "value": digits}:
            return int(digits)
        case {"type": "float", "value": number}:
            return float(number)
        case {"type": "complex", "real": real, "imag": imag}:
            return complex(float(real), float(imag))
        case {"type": "str", "wtf8": text}:
            return bytes.fromhex(text).decode("utf-8", "surrogatepass")
        case {"type": "bytes", "hex": text}:
            return bytes.fromhex(text)
        case {"type": "bytearray", "hex": text}:
            return bytearray.fromhex(text)
        case {"type": "list" | "tuple" | "set" | "frozenset" as kind, "items": items}:
            return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](map(decoded, items))
        case {"type": "dict", "pairs": pairs}:
            return {decoded(key): decoded(value) for key, value in pairs}
        case {"type": "range" | "slice" as kind, "start": start, "stop": stop, "step": step}:
            return {"range": range, "slice": slice}[kind](decoded(start), decoded(stop), decoded(step))
        case {"type": "Ellipsis"}:
            return ...
        case {"type": "NotImplemented"}:
            return NotImplemented
    raise AssertionError(value)


def same(left, right):
    """Equal, of equal types, NaN equal to itself and -0.0 different from 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


EXACT = [
    None, True, False, 0, -1, 2**53 - 1, 2**53, -(2**53), 2**63, -(2**63), 2**64, 10**40, -(10**100), 3**500, 0.0, -0.0, 0.1, 1e-320, 1.7976931348623157e308,
    5e-324, float("nan"), float("inf"), float("-inf"), 1e16, 123456789.123456789, 1j, complex("-0-0j"), complex("nan+infj"), "", "é", "\ud800", "a\udcffb",
    "\ud83d\ude00", "😀", "\x00\x1b\n\u2028", b"", b"\x00\xff", (), (1, (2, [3])), [None, ...], {"a": 1, 2: (3,)}, {1}, frozenset({"a"}), range(5), range(2**70, 0, -3),
    slice(None, 3), slice("a", 2, 1.5), ..., NotImplemented, bytearray(b"ab"),
]  # fmt: skip


def test_values_come_back_as_they_were(programs):
    """Each value is on the stack when `take` is called with it."""
    source = "from math import nan, inf\nnanj = complex('nan')\ninfj = complex(0, inf)\n"
    expressions = [
        f"complex(float('{value.real}'), float('{value.imag}'))" if isinstance(value, complex) else ascii(value)
        for value in EXACT
    ]
    source += "def take(x): pass\n" + "".join(f"take({expression})\n" for expression in expressions)
    lines, run = report(programs, source, "--function", "<module>")
    assert run.status == 0, run.stderr
    calls = [
        step
        for step in of_kind("step", lines)
        if step["opname"] == "CALL" and step["line"] > 4 and '"take"' in json.dumps(step["stack"][-3:-1])
    ]
    assert len(calls) == len(EXACT)
    for step, value in zip(calls, EXACT, strict=True):
        assert same(decoded(step["stack"][-1]), value), (step["stack"], value)


def test_what_was_cut_says_so(programs):
    lines, _ = report(programs, "x = ['a' * 100000, list(range(100000)), 2**1000000, b'b' * 100000]\nfor y in x: y\n")
    tops = [
        step["stack"][-1]
        for step in of_kind("step", lines)
        if step["line"] == 2 and step["opname"].startswith(("STORE", "POP_TOP"))
    ]
    kinds = {top["type"]: top for top in tops if isinstance(top, dict) and "type" in top}
    assert kinds["str"]["length"] == 100000 > len(kinds["str"]["value"])
    assert kinds["list"]["length"] == 100000 > len(kinds["list"]["items"])
    assert kinds["bytes"]["length"] == 100000 > len(kinds["bytes"]["hex"]) // 2
    assert kinds["int"]["bits"] == 1000001
    assert int(kinds["int"]["leading"], 16) == 2**63
