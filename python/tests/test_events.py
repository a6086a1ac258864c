"""Events between steps: what jsonl reports of exceptions and calls is what CPython itself tells."""

import ast
import itertools
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import debugop
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parent.parent.parent
ORACLE = Path(__file__).resolve().parent / "oracle" / "events.py"
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
ENGINES = ["inject", "settrace"] + ["monitoring"] * (sys.version_info >= (3, 12))
# Instructions that CPython tells RERAISE of.
RERAISES = ("RERAISE", "RAISE_VARARGS 0", "END_ASYNC_FOR", "CLEANUP_THROW")


def run(*command):
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.run(
        [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True, timeout=50
    )
    assert "Traceback" not in process.stderr or "debugop" not in process.stderr, process.stderr
    return process


def oracle(script, folder):
    output = folder / "oracle.json"
    run(ORACLE, output, script)
    return json.loads(output.read_text())


def reported(script, folder, engine="inject"):
    output = folder / f"{engine}.jsonl"
    run("-m", "debugop", "run", "--engine", engine, "--format", "jsonl", "-o", output, script)
    return [json.loads(line) for line in output.read_text().splitlines()]


def kind(value):
    """What oracle/events.py says of a value."""
    if value["type"] == "class":
        return value["name"].rpartition(".")[2]
    if value["type"] == "builtin":
        return value["name"].rpartition(".")[2]
    return value["class"].rpartition(".")[2]


def named(instruction):
    opname = instruction["opname"]
    return f"{opname} {instruction['arg']}" if opname == "RAISE_VARARGS" else opname


def as_told(lines, folder):
    """The events of a report in the form of oracle/events.py."""
    codes, threads, told = {}, {}, []
    prefix = os.path.join(os.path.realpath(folder), "")
    for line in lines:
        if line["kind"] == "code":
            file = os.path.realpath(line["filename"]).removeprefix(prefix)
            name = f"{file}:{line['first_line']}:{line['qualname']}"
            codes[line["code"]] = name, {one["offset"]: named(one) for one in line["instructions"]}
        if line["kind"] not in ("event", "step"):
            continue
        name, opnames = codes.get(line["code"], (None, {}))
        thread = threads.setdefault(line["thread"], len(threads))
        if line["kind"] == "step":
            if line.get("frame_event") == "handle":
                told.append([thread, "handle", name, line["offset"], kind(line["exception"])])
            if line.get("frame_event") == "unwind":
                told.append([thread, "unwind", name, None, kind(line["exception"])])
            continue
        event, offset = line["event"], line["offset"]
        if event in ("raise", "propagate", "reraise"):
            again = event == "reraise" and opnames[offset] in RERAISES
            told.append([thread, "reraise" if again else "raise", name, offset, kind(line["exception"])])
        elif event == "throw":
            thrown = ["throw", name, None] if sys.version_info >= (3, 12) else ["raise", name, offset]
            told.append([thread, *thrown, kind(line["exception"])])
        elif event == "catch":
            told.append([thread, "catch", name, line["handler"], kind(line["exception"])])
        elif event == "replace":
            told.append([thread, "replace", name, offset, kind(line["exception"]), kind(line["replaced"])])
        elif event == "swallow":
            told.append([thread, "swallow", name, None, kind(line["exception"])])
        elif event in ("c_call", "c_return", "c_exception") and is_profiled(line["callable"]):
            told.append([thread, event, name, offset, kind(line["callable"])])
    return told


def by_thread(told):
    """The events of each thread; in which order threads begin is by chance."""
    threads = {}
    for thread, *event in told:
        threads.setdefault(thread, []).append(event)
    return sorted(threads.values(), key=lambda events: (-len(events), events))


def compare(script, folder):
    """What debugop reports of a script is what CPython tells of it."""
    ours = by_thread(as_told(reported(script, folder), script.parent))
    theirs = by_thread(oracle(script, folder))
    if sys.version_info < (3, 12):
        ours, theirs = ([list(filter(is_told_on_3_11, events)) for events in all] for all in (ours, theirs))
    for one, other in zip(ours, theirs, strict=True):
        common = list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
        at = len(common)
        assert (common[-5:], one[at : at + 1]) == (common[-5:], other[at : at + 1])


def is_profiled(callable):
    """Whether CPython tells of calls of it: 3.11 only of those of builtin functions and methods."""
    return sys.version_info >= (3, 12) or callable["type"] == "builtin"


def is_told_on_3_11(event):
    """The trace function is told of no RERAISE, the profile function of no call of slots (`__add__`)."""
    is_slot = event[3].startswith("__") and event[3] != "__build_class__"
    return event[0] == "raise" or (event[0].startswith("c_") and not is_slot)


@pytest.mark.parametrize("example", EXAMPLES)
def test_cpython_tells_the_same_of_the_examples(example, tmp_path):
    compare(ROOT / "examples" / f"{example}.py", tmp_path)


# ------------------------------------------------------------------------------------------------- generated programs

PRELUDE = """
import contextlib, functools

class A(Exception): pass
class B(A): pass
class C(Exception): pass

class Quiet:
    def __enter__(self): return self
    def __exit__(self, *error): return True

class Loud:
    def __enter__(self): return self
    def __exit__(self, *error): raise C(len(error))

class Plain:
    def __enter__(self): return self
    def __exit__(self, *error): return None
    def __getattr__(self, name): raise AttributeError(name)
    def __call__(self, n): return [n]
    def __add__(self, other): raise B(other)

class Steps:
    def __init__(self, n): self.n = n
    def __iter__(self): return self
    def __next__(self):
        if not self.n: raise StopIteration
        self.n -= 1
        return self.n

def counting(n):
    try:
        for i in range(n):
            try: yield i
            except A as caught: yield caught
    finally:
        len("")

def delegating(n):
    got = yield from counting(n)
    return got

def again(error): raise error

def bare(): raise

class Wait:
    def __await__(self): return (yield 1)

async def waiting(n):
    try: await Wait()
    except B: raise C(n)

async def produce(n):
    for i in range(n): yield i

async def consume(n):
    async for i in produce(n): len([i])
    async with contextlib.AsyncExitStack(): await waiting(n)

def drive(work, error=None):
    try:
        work.send(None)
        work.throw(error) if error else work.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        work.close()

error = A("outer")
thing = Plain()
"""

ATOMS = [
    "raise A(1)",
    "raise B(2)",
    "raise C from A(3)",
    "raise KeyError",
    "raise ExceptionGroup('g', [A(1), B(2), KeyError(3)])",
    "raise",
    "raise error",
    "again(error)",
    "bare()",
    "int('x')",
    "int('7')",
    "[][1]",
    "{}['k']",
    "len([1])",
    "print(len(()), end='')",
    "print(*'ab', sep='', end='')",
    "missing",
    "assert not thing, 'x'",
    "thing.attribute",
    "hasattr(thing, 'a')",
    "getattr(thing, 'a', 1)",
    "thing(1)",
    "thing + 1",
    "sorted([2, 1], key=thing)",
    "sorted([2, 1], key=lambda n: 1 // (n - 1))",
    "for i in Steps(2): len([i])",
    "for i in counting(2): pass",
    "list(delegating(2))",
    "list(Steps(1))",
    "next(iter([]))",
    "next(counting(0))",
    "g = delegating(3); next(g); g.throw(A(5)); g.close()",
    "g = delegating(3); next(g); g.throw(KeyError)",
    "g = counting(3); next(g); del g",
    "drive(consume(1))",
    "drive(consume(1), B(1))",
    "drive(consume(1), A(1))",
    "[1 // n for n in (1, 0)]",
    "any(1 // n for n in (0, 1))",
    "functools.reduce(lambda a, b: a / b, [1, 0])",
    "return 1",
    "error = A('own')",
    "with contextlib.suppress(A): raise B(4)",
]
TYPES = ["A", "B", "C", "KeyError", "(A, C)", "Exception", "missing"]


def indented(block):
    return ["    " + line for line in block]


def blocks(children):
    body = st.lists(children, min_size=1, max_size=3).map(lambda all: [line for one in all for line in one])
    types = st.sampled_from(TYPES)

    def caught(type, handled, name):
        head = f"except {type} as error:" if name else f"except {type}:"
        return [head, *indented(handled)]

    clause = st.builds(caught, types, body, st.booleans())
    clauses = st.lists(clause, min_size=1, max_size=2).map(lambda all: [line for one in all for line in one])

    def tried(tried, handlers, last, other):
        lines = ["try:", *indented(tried), *handlers]
        if handlers and other:
            lines += ["else:", *indented(other)]
        if last or not handlers:
            lines += ["finally:", *indented(last or ["len('')"])]
        return lines

    def starred(tried, types, handled, name):
        # `return` is not allowed in an `except*`.
        handled = [line.replace("return 1", "pass") for line in handled]
        lines = ["try:", *indented(tried)]
        for type in types:
            lines += [f"except* {type} as error:" if name else f"except* {type}:", *indented(handled)]
        return lines

    return st.one_of(
        st.builds(tried, body, clauses | st.just([]), body | st.none(), body | st.none()),
        st.builds(tried, body, clauses, st.none(), st.none()),
        st.builds(starred, body, st.lists(st.sampled_from(TYPES[:4]), min_size=1, max_size=2), body, st.booleans()),
        st.builds(
            lambda managers, body: [f"with {managers}:", *indented(body)],
            st.sampled_from(["Quiet()", "Loud()", "Plain()", "Plain(), Loud()", "contextlib.suppress(A)"]),
            body,
        ),
        st.builds(lambda body: ["for n in range(2):", *indented(body)], body),
    )


BODIES = st.recursive(st.sampled_from(ATOMS).map(lambda line: [line]), blocks, max_leaves=12)
FUNCTIONS = st.lists(st.lists(BODIES, min_size=1, max_size=3), min_size=1, max_size=4)


def program(functions):
    lines = [PRELUDE]
    for number, bodies in enumerate(functions):
        lines.append(f"def f{number}(error=error):")
        for body in bodies:
            lines += indented(body)
        if number:
            lines += indented([f"f{number - 1}()"])
    for number in range(len(functions)):
        lines += ["try:", f"    f{number}()", "except BaseException as error:", "    print(type(error).__name__)"]
    return "\n".join(lines) + "\n"


# A handler whose last instruction stands right before the end of a `finally`.
NESTED = [
    ["try:", "    raise A(1)", "finally:", "    try:", "        raise A(1)", "    except* A:", "        len([1])"]
]


# Hypothesis takes what it happened to draw for all that `blocks` can make.
@pytest.mark.filterwarnings("ignore:extend=:hypothesis.errors.HypothesisDeprecationWarning")
@example([NESTED])
@settings(max_examples=int(os.environ.get("EVENTS_EXAMPLES", "15")))
@given(FUNCTIONS)
def test_cpython_tells_the_same_of_generated_programs(functions):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        script = folder / "source" / "generated.py"
        script.parent.mkdir()
        script.write_text(program(functions))
        with warnings.catch_warnings(action="ignore"):
            compile(script.read_text(), script, "exec")  # from 3.14 on it warns of `return` in a `finally`
        compare(script, folder)


# -------------------------------------------------------------------------------------------------------------- threads

THREADS = """
import sys, threading, time, _thread

class Named(threading.Thread):
    @property
    def name(self): raise SystemExit("the program's code ran")
    def __getattr__(self, name): raise SystemExit("the program's code ran")
    def __eq__(self, other): raise SystemExit("the program's code ran")
    def __hash__(self): return 1
    def run(self): len("")

class Property(threading.Thread):
    @property
    def _name(self): return "of a property"  # threading itself reads it from 3.14 on
    @_name.setter
    def _name(self, name): pass
    def run(self): len("")

def work(): len("")

def wait():
    # A thread that has been joined may not be over for the operating system.
    time.sleep(0.05)

for thread in (threading.Thread(target=work, name="first"), Named(), Property()):
    thread.start()
    thread.join()
    wait()
done = _thread.allocate_lock()
done.acquire()
def bare(): done.release()
_thread.start_new_thread(bare, ())
done.acquire()
wait()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print(threading.get_native_id(), threading.get_ident())
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_begin_and_end(tmp_path, engine):
    script = tmp_path / "prog.py"
    script.write_text(THREADS)
    lines = reported(script, tmp_path, engine)
    threads = [line for line in lines if line["kind"] == "thread"]
    starts = {line["thread"]: line for line in threads if line["event"] == "start"}
    assert [line.get("name") for line in starts.values()] == ["MainThread", "first", "Thread-1", None, None]
    assert list(starts) == list(dict.fromkeys(line["thread"] for line in lines if line["kind"] == "step"))
    # All but the main thread have ended, each before the next began.
    order = [(line["event"], line["thread"]) for line in threads[1:]]
    assert order == [(event, thread) for thread in list(starts)[1:] for event in ("start", "end")]
    numbers = [line["step"] for line in lines if line["kind"] in ("thread", "step")]
    assert numbers == sorted(numbers)
    assert all("ident" in line for line in starts.values())


def test_threads_in_the_text_report(tmp_path):
    script = tmp_path / "prog.py"
    script.write_text(THREADS)
    output = tmp_path / "text"
    run("-m", "debugop", "run", "-o", output, script)
    shown = [line.split(" (ident")[0] for line in output.read_text().splitlines() if line.startswith("═══")]
    ended = [line for line in shown if line.endswith("ended")]
    assert ended == [f"═══ thread {number} ended" for number in (2, 3, 4, 5)]
    begun = ["thread 2 first", "thread 3 Thread-1", "thread 4", "thread 5"]
    # Each goes on after the other, and back to the first.
    assert [line[4:] for line in shown if line not in ended] == [name for one in begun for name in (one, "thread 1")]


# ------------------------------------------------------------------------------------------------------------- records


def recorded(function, *arguments, **options):
    with debugop.trace(function, **options) as trace:
        try:
            function(*arguments)
        except Exception as error:
            trace.error = type(error)
    return list(trace)


def handles(text):
    try:
        return int(text)
    except ValueError as error:
        raise KeyError(text) from error


def test_records_have_events():
    records = recorded(handles, "x")
    told = [event for record in records for event in record.events]
    assert [event.kind for event in told] == [
        *("c_call", "c_exception", "raise", "catch"),
        *("c_call", "c_return", "raise", "reraise", "replace", "reraise"),
    ]
    call, failed, raised, caught = told[:4]
    assert str(call.callable) == "<class int>"
    assert str(failed.exception) == str(raised.exception) == str(caught.exception)
    assert raised.instruction.opname == "CALL"
    assert call.instruction == raised.instruction
    assert caught.handler.opname == "PUSH_EXC_INFO"
    returned = told[5]
    assert (str(returned.callable), str(returned.result)) == ("<class KeyError>", "KeyError('x')")
    replace = told[8]
    assert (str(replace.exception), str(replace.replaced)[:10]) == ("KeyError('x')", "ValueError")
    assert replace.instruction.opname == "POP_EXCEPT"
    assert replace.result is replace.callable is replace.handler is replace.from_frame is None
    happens = [record.frame_event for record in records if record.frame_event]
    assert happens == ["enter", "handle", "handle", "handle", "unwind"]
    assert repr(call) == "<debugop.Event c_call <class int>>"


def gives(n):
    yield n


def drains():
    next(gives(1))
    for _ in gives(2):
        hasattr(gives, "x")


def test_what_c_functions_return():
    records = recorded(drains)
    returned = [event for record in records for event in record.events if event.kind == "c_return"]
    assert [(str(event.callable), str(event.result)) for event in returned] == [
        ("<built-in next>", "1"),
        ("<built-in hasattr>", "False"),
    ]


def caller(error):
    ast.literal_eval("[1]")
    try:
        ast.literal_eval(error)
    except SyntaxError:
        return "caught"
    return "not raised"


def test_python_functions_that_are_not_followed():
    records = recorded(caller, "(")
    told = [event for record in records for event in record.events]
    assert [event.kind for event in told] == ["unfollowed_return", "unfollowed_exception", "raise", "catch"]
    assert [str(event.callable) for event in told[:2]] == ["<function literal_eval>"] * 2
    assert str(told[0].result) == "[1]"


def outer():
    try:
        handles("x")
    except KeyError:
        return "caught"
    return "not raised"


def test_the_frame_that_an_exception_left():
    records = recorded(outer, follow=True)
    (propagated,) = [event for record in records for event in record.events if event.kind == "propagate"]
    (left,) = [record.frame for record in records if record.event == "unwind"]
    assert propagated.from_frame == left != records[0].frame


def test_a_record_of_a_step_has_none():
    kept = []
    with debugop.trace(handles, callback=lambda step: kept.append(step.record())):
        handles("1")
    assert (kept[0].events, kept[0].frame_event) == (None, None)


# ------------------------------------------------------------------------------------------------------------- engines


@pytest.mark.parametrize("engine", ENGINES[1:])
@pytest.mark.parametrize("example", ["async_generators", "exceptions", "generators", "groups", "suppress", "threads"])
def test_every_engine_tells_the_same(tmp_path, example, engine):
    script = ROOT / "examples" / f"{example}.py"
    ours = as_told(reported(script, tmp_path), script.parent)
    assert as_told(reported(script, tmp_path, engine), script.parent) == ours
    assert ours
