"""Whole programs with DEBUG_OPs: they compute what they computed before, and the stacks are right."""

import dis
import importlib
import subprocess
import sys
import textwrap
from pathlib import Path
from types import FunctionType

import pytest
from debugop import _core
from debugop.article import FrameAnalyser, Trace, add_debug_op_everywhere

PROGRAMS = {
    "loops": """
        def main():
            found = []
            for i in range(20):
                if i % 3 == 0:
                    continue
                j = i
                while j > 0:
                    j -= 4
                    if j == 2:
                        break
                else:
                    found.append((i, "else"))
                if i > 12:
                    break
            else:
                found.append("never")
            return found
    """,
    "try": """
        def attempt(n):
            log = []
            try:
                try:
                    log.append(10 // n)
                    if n == 3:
                        raise KeyError(n)
                    if n == 4:
                        return log
                except ZeroDivisionError as error:
                    log.append(str(error))
                    raise ValueError("from zero") from error
                else:
                    log.append("else")
                finally:
                    log.append("inner finally")
            except (ValueError, KeyError) as error:
                log.append((type(error).__name__, error.args, type(error.__cause__).__name__))
            finally:
                log.append("outer finally")
            return log

        def main():
            return [attempt(n) for n in range(5)]
    """,
    "except star": """
        def main():
            seen = []
            try:
                raise ExceptionGroup("group", [ValueError(1), TypeError(2), ExceptionGroup("in", [ValueError(3)])])
            except* ValueError as group:
                seen.append(("values", len(group.exceptions)))
            except* TypeError as group:
                seen.append(("types", len(group.exceptions)))
            return seen
    """,
    "with": """
        class Manager:
            def __init__(self, log, swallow):
                self.log, self.swallow = log, swallow
            def __enter__(self):
                self.log.append("enter")
                return self
            def __exit__(self, kind, value, tb):
                self.log.append(kind and kind.__name__)
                return self.swallow

        def main():
            log = []
            with Manager(log, True) as one, Manager(log, False):
                log.append(one.swallow)
                raise KeyError
            for i in range(3):
                with Manager(log, True):
                    if i == 1:
                        break
                    [][1]
            def early():
                with Manager(log, False):
                    return "early"
            return log, early()
    """,
    "generators": """
        def count(n):
            try:
                for i in range(n):
                    got = yield i
                    if got is not None:
                        yield got * 2
            finally:
                yield "cleanup"

        def delegate(n):
            result = yield from count(n)
            return result, "done"

        def main():
            out = list(delegate(3))
            generator = delegate(5)
            out.append(next(generator))
            out.append(generator.send(21))
            out.append(generator.throw(KeyError("in")))
            try:
                out += generator
            except KeyError as error:
                out.append(error.args)
            out.append(sum(i * j for i in range(4) for j in range(i)))
            return out
    """,
    "comprehensions": """
        def main():
            matrix = [[i * j for j in range(3)] for i in range(3)]
            flat = {value for row in matrix for value in row if value % 2 == 0}
            table = {key: [n for n in range(key)] for key in range(3)}
            return matrix, sorted(flat), table, [lambda: i for i in range(3)][0]()
    """,
    "closures": """
        total = 0

        def make(n):
            count = 0
            def step(by=1, *rest, key=None, **more):
                nonlocal count
                global total
                count += by + n + sum(rest) + sum(more.values())
                total += count
                return count, key
            return step

        def main():
            step = make(10)
            return step(), step(2), step(1, 2, 3, key="k", x=4), step(*[1, 2], **{"key": 0, "y": 1}), total
    """,
    "classes": """
        def decorate(function):
            def wrapper(*args, **kwargs):
                return ("wrapped", function(*args, **kwargs))
            return wrapper

        class Meta(type):
            def __call__(cls, *args):
                return super().__call__(*args)

        class Base(metaclass=Meta):
            attribute = [n for n in range(3)]
            def __init__(self, value):
                self._value = value
            @property
            def value(self):
                return self._value
            @value.setter
            def value(self, value):
                self._value = value
            @decorate
            def double(self):
                return self.value * 2

        class Derived(Base):
            def double(self):
                return super().double(), __class__.__name__

        def main():
            thing = Derived(4)
            thing.value += 1
            thing.__dict__["extra"] = None
            del thing.extra
            return thing.double(), Base.attribute, sorted(vars(thing))
    """,
    "match": """
        def kind(value):
            match value:
                case 0 | 1:
                    return "bit"
                case int(n) if n > 100:
                    return f"big {n:>6}"
                case [first, *rest]:
                    return first, rest
                case {"key": inner, **others}:
                    return kind(inner), others
                case str() as text:
                    return text.upper()
                case _:
                    return None

        def main():
            return [kind(v) for v in (1, 500, [1, 2, 3], {"key": "deep", "x": 1}, "s", 7.5)]
    """,
    "expressions": """
        def main():
            a, (b, *c), d = 1, (2, 3, 4), "text"
            if (n := len(c)) > 1 and 0 < n <= 2 < 3:
                a, b = b, a
            text = f"{a!r:>4}|{b}|{d=}|{n:{n + 3}}"
            value = {**{"x": 1}, "y": [*c, *range(2)]}
            value["y"][1:3] = "ab"
            del value["y"][0]
            try:
                assert a == 1, f"a is {a}"
            except AssertionError as error:
                text += str(error)
            return text, value, a if b else c, not a, -a, ~b, a is None, "e" in d, c[-1], d[::2]
    """,
    "async": """
        class Later:
            def __init__(self, value):
                self.value = value
            def __await__(self):
                got = yield self.value
                return got

        class Manager:
            async def __aenter__(self):
                return await Later("enter")
            async def __aexit__(self, *exc):
                await Later("exit")
                return exc[0] is KeyError

        async def numbers(n):
            for i in range(n):
                yield await Later(i)

        async def program():
            out = []
            async with Manager() as got:
                out.append(got)
                raise KeyError
            async for n in numbers(3):
                out.append(n)
            out.append([n async for n in numbers(2) if n is not None])
            try:
                await Later("throw")
            except ValueError as error:
                out.append(str(error))
            return out

        def main():
            coroutine, sent, seen = program(), None, []
            while True:
                try:
                    if sent == "<throw>":
                        seen.append(coroutine.throw(ValueError("thrown")))
                    else:
                        seen.append(coroutine.send(sent))
                    sent = f"<{seen[-1]}>"
                except StopIteration as stop:
                    return seen, stop.value
    """,
    "tracebacks": """
        import traceback

        def deep(n):
            if n == 0:
                return [][
                    n
                ]
            return deep(n - 1)

        def main():
            try:
                deep(2)
            except IndexError as error:
                entries = traceback.extract_tb(error.__traceback__)
                return [(e.name, e.lineno, e.end_lineno, e.colno, e.end_colno) for e in entries]
    """,
    "locals": """
        def main(a=1):
            b = 2
            def inner():
                return b
            before = dict(locals())
            before.pop("inner")
            exec("c = a + b", globals(), before)
            return sorted(before.items()), inner()
    """,
}


def compiled(name):
    return compile(textwrap.dedent(PROGRAMS[name]), f"<{name}>", "exec")


def run(code, **names):
    namespace = {"__name__": "program", **names}
    exec(code, namespace)
    return namespace["main"]()


@pytest.mark.parametrize("name", PROGRAMS)
def test_debug_ops_that_nobody_listens_to_change_nothing(name):
    code = compiled(name)
    assert run(add_debug_op_everywhere(code, nested=True)) == run(code)


@pytest.mark.parametrize("name", PROGRAMS)
def test_debug_ops_before_debug_ops_change_nothing(name):
    code = compiled(name)
    count = 0

    def op_target(stack, frame):
        nonlocal count
        count += 1

    twice = add_debug_op_everywhere(add_debug_op_everywhere(code, nested=True), nested=True)
    assert run(twice, op_target=op_target) == run(code)
    assert count > 100


ANY = object()
"""A slot of which the model does not know what will be in it."""


def after(instruction, stack, local):
    """What the stack holds after a simple instruction, bottom first; None for what the model does not know.

    `local` says what a local variable holds.
    """
    name, arg = instruction.opname, instruction.arg
    if name in ("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"):
        return [*stack, local(instruction.argval)]
    if name == "LOAD_CONST":
        # Nested code objects have DEBUG_OPs too, so they are others.
        return [*stack, ANY if hasattr(instruction.argval, "co_code") else instruction.argval]
    if name in ("STORE_FAST", "POP_TOP", "LIST_APPEND", "POP_JUMP_IF_TRUE", "POP_JUMP_IF_FALSE", "STORE_GLOBAL"):
        return stack[:-1]
    if name == "COPY":
        return [*stack, stack[-arg]]
    if name == "SWAP":
        return [*stack[:-arg], stack[-1], *stack[len(stack) - arg + 1 : -1], stack[-arg]]
    if name in ("NOP", "JUMP_FORWARD", "JUMP_BACKWARD"):
        return stack
    if name in ("BINARY_OP", "COMPARE_OP", "IS_OP", "CONTAINS_OP"):
        return [*stack[:-2], ANY]
    if name in ("BUILD_LIST", "BUILD_TUPLE", "BUILD_SET", "BUILD_STRING"):
        return [*stack[: len(stack) - arg], ANY]
    if name in ("UNARY_NOT", "UNARY_NEGATIVE", "TO_BOOL", "STORE_FAST_LOAD_FAST"):
        return [*stack[:-1], ANY]
    if name in ("DELETE_FAST", "RESUME"):
        return stack
    if name == "STORE_SUBSCR":
        return stack[:-3]
    if name == "CALL" and sys.version_info >= (3, 12):
        return [*stack[: len(stack) - arg - 2], ANY]
    if name == "LOAD_SMALL_INT":
        return [*stack, ANY]
    return None


def same(model, value):
    return (
        model is ANY
        or model is value
        or (type(model) is type(value) and isinstance(value, (int, str, tuple)) and model == value)
    )


class Check:
    """An op_target that compares each stack with what the model makes of the one before it in the same frame."""

    def __init__(self):
        self.expected = {}
        self.checked = 0
        self.followers = {}

    def follower(self, code, instruction):
        """Offset of the next instruction that does something."""
        known = self.followers.setdefault(code, {})
        if not known:
            real = [one for one in dis.get_instructions(code) if one.opname not in ("EXTENDED_ARG", "NOT_TAKEN")]
            known.update(zip((one.offset for one in real), (one.offset for one in real[1:]), strict=False))
        return known.get(instruction.offset)

    def __call__(self, stack, frame):
        instruction = FrameAnalyser(frame).next_instr()
        stack = stack[::-1]
        expected, follower, before = self.expected.pop(frame, (None, None, None))
        if expected is not None and instruction.offset == follower:
            assert len(stack) == len(expected), (before, instruction, expected, stack)
            assert all(map(same, expected, stack)), (before, instruction, expected, stack)
            self.checked += 1
        code, offset = _core.source_instruction(frame)
        assert offset == instruction.offset
        # LOAD_FAST takes the cell of a variable that has one.
        cells = {*code.co_cellvars, *code.co_freevars}
        model = after(instruction, stack, lambda name: ANY if name in cells else frame.f_locals.get(name, ANY))
        self.expected[frame] = (model, self.follower(code, instruction), instruction)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_stacks_are_what_a_model_says(name):
    code = compiled(name)
    check = Check()
    assert run(add_debug_op_everywhere(code, nested=True), op_target=check) == run(code)
    assert check.checked > 15


@pytest.mark.parametrize("name", PROGRAMS)
def test_traced_programs_compute_what_they_computed(name):
    class Everything(Trace):
        def initialize_trace(self):
            self.steps = 0

        def callback(self, stack, frame, exc):
            self.steps += 1
            self.do_auto_follow(stack, frame)

    namespace = {"__name__": "program"}
    exec(compiled(name), namespace)
    trace = Everything(namespace["main"])
    result = trace.call()
    # The traceback has the same entries, from the program's first frame on.
    assert result == run(compiled(name))
    assert trace.steps > 30


def json_round_trip(json):
    text = '{"a": [1, 2.5, -3e10, true, null, "\\u00e9\\n"], "b": {"c": {}}}'
    value = json.loads(text)
    return value, json.dumps(value, indent=2, sort_keys=True)


WORK = {
    "textwrap": lambda textwrap: textwrap.fill(
        "the quick brown fox jumps over the lazy dog " * 5, 30, break_on_hyphens=True
    ),
    "fractions": lambda fractions: [str(fractions.Fraction(a, b) ** 2 + a) for a in range(5) for b in range(1, 5)],
    "difflib": lambda difflib: list(difflib.unified_diff("one two three".split(), "one too three four".split())),
    "heapq": lambda heapq: heapq.nsmallest(3, [5, 1, 4, 2]) + list(heapq.merge([1, 4], [2, 3])),
    "string": lambda string: string.Template("$a ${b}").substitute(a=1, b=2) + string.capwords("x y"),
    "shlex": lambda shlex: [*shlex.split("a 'b c' d # f"), shlex.quote("g h")],
    "statistics": lambda statistics: [
        statistics.mean([1, 2, 4]),
        statistics.median([3, 1, 2]),
        statistics.pstdev([1, 5]),
    ],
    "json.decoder": lambda decoder: decoder.JSONDecoder().decode('{"a": [1, {"b": "c"}]}'),
    "dataclasses": lambda dataclasses: repr(
        dataclasses.make_dataclass("Point", [("x", int), ("y", int, 3)], order=True)(1)
    ),
    "copy": lambda copy: copy.deepcopy({"a": [1, (2, {3})]}),
}


def functions_of(module):
    """Every Python function and method that a module defines."""
    for value in vars(module).values():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            yield from (member for member in vars(value).values() if isinstance(member, FunctionType))


@pytest.mark.parametrize("name", WORK)
def test_modules_of_the_standard_library(name):
    module = importlib.import_module(name)
    expected = WORK[name](module)
    functions = {function: function.__code__ for function in functions_of(module)}
    seen = 0

    def op_target(stack, frame):
        nonlocal seen
        seen += 1

    vars(module)["op_target"] = op_target
    try:
        for function, code in functions.items():
            function.__code__ = add_debug_op_everywhere(code, nested=True)
        result = WORK[name](module)
    finally:
        del vars(module)["op_target"]
        for function, code in functions.items():
            function.__code__ = code
    assert result == expected
    assert seen > 50


EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "article"


def example(name):
    """The lines that an example prints."""
    command = [sys.executable, EXAMPLES / f"{name}.py"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_the_example_of_the_opcode():
    *steps, result = example("debug_op")
    assert result == "lol returned 2"
    names = [line.split()[1] for line in steps]
    assert names[-1] == "RETURN_VALUE"
    assert names.count("COMPARE_OP") == 3
    assert [line.split(maxsplit=2)[2][:7] for line in steps if "COMPARE_OP" in line] == [
        "[1, 0, ",
        "[1, 1, ",
        "[1, 2, ",
    ]


def test_the_example_of_the_tracer():
    lines = example("tracer")
    assert lines[:2] == ["closed", "main returned 'division by zero'"] or lines[:2] == [
        "closed",
        "main returned 'float division by zero'",
    ]
    entered = [line.split()[4] for line in lines if line.startswith("=== Entering New Frame")]
    listcomp = ["<listcomp>"] if sys.version_info < (3, 12) else []
    assert [name for name in entered if name != "numbers"] == ["main", *listcomp, "invert", "invert"]
    assert entered.count("numbers") == 1
    assert any(line.startswith("=== Exception ZeroDivisionError(") for line in lines)


def test_the_example_of_changing_the_stack():
    before, change, changed, after = example("change")
    assert before == after == "larger(1, 2) = 2"
    assert changed == "larger(1, 2) = 1"
    assert change.endswith(("False becomes True", "True becomes False"))
