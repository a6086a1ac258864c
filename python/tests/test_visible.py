"""What docs/visible.md says that a traced program can see, section by section: it is visible, and what is beside it is not."""

import _imp
import ast
import dis
import marshal
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import debugop
import pytest
from oracle import slots
from oracle.running import running_code

V = sys.version_info[:2]
HERE = Path(__file__).resolve().parent
COMMAND = Path(sys.executable).parent / "debugop"


def loop(items):
    """Something of everything."""
    found = []
    try:
        for item in items:
            found.append(1 / item)
    except ZeroDivisionError as error:
        found.append(type(error))
    return found


# ------------------------------------------------------------------------------------------ while a function is traced

DIFFERENT = {"co_code", "co_consts", "co_exceptiontable", "co_linetable", "co_stacksize"}


def test_the_code_is_a_copy_with_sites():
    original = loop.__code__
    with debugop.trace(loop):
        copy = running_code(loop)
        assert loop.__code__ is original
        assert dis.Bytecode(copy).dis() != dis.Bytecode(original).dis()
    assert loop.__code__ is original
    attributes = {name for name in dir(original) if name.startswith("co_") and name != "co_lnotab"}
    data = {name for name in attributes if not callable(getattr(original, name))}
    assert {name for name in data if getattr(original, name) != getattr(copy, name)} == DIFFERENT
    constants = copy.co_consts[: len(original.co_consts)]
    assert constants == original.co_consts
    assert {type(one) for one in copy.co_consts[len(constants) :]} == {debugop.Site}
    assert copy != original
    with pytest.raises(ValueError, match="unmarshallable"):
        marshal.dumps(copy)


def test_a_pickled_site_is_zero_and_harmless():
    with debugop.trace(loop):
        copy = running_code(loop)
    consts = tuple(pickle.loads(pickle.dumps(one)) if isinstance(one, debugop.Site) else one for one in copy.co_consts)
    assert consts[-1] == 0
    namespace = {}
    rebuilt = type(loop)(copy.replace(co_consts=consts), namespace)
    assert rebuilt([1, 0]) == loop([1, 0])


def raises():
    frame = sys._getframe()
    try:
        return frame.f_code, frame.f_lasti, frame.f_lineno, [][frame.f_lineno]
    except IndexError as error:
        return frame.f_code, frame.f_lasti, error.__traceback__.tb_lasti, traceback.format_exc()


def test_offsets_and_lines_are_the_originals():
    plain = raises()
    with debugop.trace(raises):
        traced = raises()
    assert traced == plain


def caught(manager):
    with manager:
        {}["missing"]


class Suppresses:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return True


def test_lasti_in_memory_is_the_copys_and_lasti_on_a_step_is_not():
    """Read by its address, as a debugger in C would."""
    seen = []

    def callback(step):
        if step.instruction.opname == "PUSH_EXC_INFO":
            in_memory = slots.stack(step.frame, len(step.stack))[-2]
            seen.append((int(in_memory[-1]), step.stack[-2]))

    debugop.trace(caught, callback)(Suppresses())
    [(in_memory, shown)] = seen
    assert in_memory > shown
    offsets = {one.offset: one.opname for one in dis.get_instructions(caught)}
    assert offsets[2 * shown] == "BINARY_SUBSCR" if V < (3, 14) else "BINARY_OP"


def opcode_events(function, *arguments):
    """The names of what a trace function is told of."""
    names = []

    def trace(frame, event, _):
        if frame.f_code is not code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            names.append(dis.opname[frame.f_code.co_code[frame.f_lasti]])
        return trace

    code = function.__code__
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(None)
    return names


def test_trace_functions_do_not_see_the_probes():
    plain = opcode_events(loop, [1])
    with debugop.trace(loop):
        assert opcode_events(loop, [1]) == plain
    assert len(plain) > 5


needs_monitoring = pytest.mark.skipif(V < (3, 12), reason="sys.monitoring came with 3.12")


def monitored(function, *arguments, events=("INSTRUCTION",)):
    """What a tool is told of, as (event, instruction)."""
    monitoring, tool, told = sys.monitoring, 3, []
    code = function.__code__

    def callback(event):
        def call(of, offset, *_):
            if of is code:
                told.append((event, offset if event == "LINE" else dis.opname[of.co_code[offset]]))

        return call

    monitoring.use_tool_id(tool, "test")
    try:
        for name in events:
            monitoring.register_callback(tool, getattr(monitoring.events, name), callback(name))
        monitoring.set_events(tool, sum(getattr(monitoring.events, name) for name in events))
        try:
            function(*arguments)
        except ValueError as error:
            told.append(("raised", str(error)))
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    return told


def lets_go(x):
    raise ValueError(x)


@needs_monitoring
def test_monitoring_tools_see_neither_probes_nor_the_watching_handler():
    plain = monitored(loop, [1])
    events = ("PY_START", "RAISE", "EXCEPTION_HANDLED", "RERAISE", "PY_UNWIND", "CALL", "JUMP", "BRANCH", "LINE")
    plain_leaving = monitored(lets_go, 1, events=events)
    with debugop.trace(loop), debugop.trace(lets_go):
        assert monitored(loop, [1]) == plain
        assert monitored(lets_go, 1, events=events) == plain_leaving


AUDITED = """
import sys, debugop
def f(): return 1
debugop.trace  # imports what it needs
told = []
armed = False
sys.addaudithook(lambda event, arguments: armed and told.append((event, arguments[1] if event == "object.__setattr__" else None)))
armed = True
with debugop.trace(f):
    f()
armed = False
print(told)
"""


def test_replacing_code_is_audited():
    done = subprocess.run([sys.executable, "-c", AUDITED], capture_output=True, text=True, check=True)
    told = ast.literal_eval(done.stdout)
    assert set(told) == {("object.__setattr__", "__code__")}


STATISTICS = """
import sys
sys._debugmallocstats()
assert sys.getallocatedblocks() > 1000
"""


def test_statistics_of_the_allocator_are_shorter_while_a_program_is_recorded(tmp_path):
    said = {}
    for way, command in {"without": [], "recorded": ["-m", "debugop", "record", "-o", tmp_path / "x.debugop"]}.items():
        done = subprocess.run([sys.executable, *command, "-c", STATISTICS], capture_output=True, text=True, check=True)
        said[way] = "arenas" in done.stderr
        assert "PyFloatObject" in done.stderr
    assert said == {"without": True, "recorded": False}


def concatenate(count):
    """How often `s += t` kept the string where it was."""
    s, t, kept = "x" * 33, "y", 0
    for _ in range(count):
        before = id(s)
        s += t
        kept += id(s) == before
    return kept


def test_concatenation_copies():
    for _ in range(50):
        concatenate(10)
    assert concatenate(10) > 0
    with debugop.trace(concatenate, limit=1):
        for _ in range(50):
            concatenate(10)
        assert concatenate(10) == 0


def test_a_long_variable_has_its_new_value_when_it_is_stored():
    def add(length=1000):
        s = "x" * length
        s += "y"
        return s

    for frame, expected in [(lambda _: sys._getframe(2), [0, 1001]), (lambda step: step.frame, [0, 1000])]:
        seen = []

        def callback(step, frame=frame, seen=seen):
            if step.instruction.opname.startswith("STORE_FAST"):
                seen.append(len(frame(step).f_locals.get("s", "")))

        with debugop.trace(add, callback):
            add()
        assert seen == expected


# -------------------------------------------------------------------------------------------------- under `debugop run`


def both(programs, files, command=("prog.py",), **options):
    """What a program prints, plain and under the command `debugop run`."""
    programs.write(files)
    plain = programs.run(list(command), **options)
    programs.write(files)
    traced = programs.run([str(COMMAND), "run", "-o", str(programs.report), *command], **options)
    assert (plain.stderr, plain.status) == (traced.stderr, traced.status) == ("", 0)
    return [ast.literal_eval(one.stdout) for one in (plain, traced)]


def test_orig_argv_is_debugops(programs):
    plain, traced = both(programs, {"prog.py": "import sys\nprint(sys.orig_argv)"})
    assert plain[1:] == ["prog.py"]
    assert traced[1:] == [str(COMMAND), "run", "-o", str(programs.report), "prog.py"]


MODULES = "import sys\nbefore = list(sys.modules)\nfrom importlib.machinery import ExtensionFileLoader as E, BuiltinImporter as B\n"
MODULES += "native = [n for n in before if getattr(getattr(sys.modules[n], '__spec__', None), 'loader', None) is B\n"
MODULES += (
    "    or type(getattr(getattr(sys.modules[n], '__spec__', None), 'loader', None)) is E]\nprint((before, native))"
)


def test_modules_that_are_there(programs):
    (plain, _), (traced, native) = both(programs, {"prog.py": MODULES})
    more = set(traced) - set(plain)
    assert set(plain) <= set(traced)
    own = {name for name in more if name.partition(".")[0] == "debugop"}
    assert own
    assert more - own - {"threading"} <= set(native)


def test_a_program_has_modules_of_its_own(programs):
    """Whatever debugop needs for itself."""
    everything = (
        "import sys, debugop, debugop._launch, runpy, linecache, tempfile, textwrap\nprint(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", everything], capture_output=True, text=True, check=True)
    listed = subprocess.run(
        [sys.executable, "-I", "-c", "import sys\nprint(sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    needed = set(ast.literal_eval(done.stdout)) - set(ast.literal_eval(listed.stdout))
    library = Path(ast.__file__).parent
    names = sorted(name for name in needed if (library / f"{name}.py").exists() and not _imp.is_frozen(name))
    assert len(names) > 5
    files = {f"{name}.py": "mine = True" for name in names}
    files["prog.py"] = f"print([name for name in {names} if not hasattr(__import__(name), 'mine')])"
    plain, traced = both(programs, files)
    assert plain == traced == []


REGISTERED = """
import atexit, os
registered = []
real = os.register_at_fork
def register_at_fork(**callbacks):
    registered.extend(callbacks)
    real(**callbacks)
os.register_at_fork = register_at_fork
"""


def test_callbacks_that_are_registered(programs):
    program = "import atexit, sitecustomize\nprint((atexit._ncallbacks(), sorted(sitecustomize.registered)))"
    files = {"prog.py": program, "site/sitecustomize.py": REGISTERED}
    plain, traced = both(programs, files, env={"PYTHONPATH": str(programs.directory / "site")})
    # `threading` registers one of its own, whoever imports it.
    assert plain == (0, [])
    assert traced[0] == 1
    assert [name for name in traced[1] if name != "after_in_child"] == ["before"]


# ------------------------------------------------------------------------------------------------ not reported as steps


def generator(items):
    yield from items


def loops(items):
    for a in items:
        a  # noqa: B018
    for b in generator(items):
        if b > 1:
            break
    return [c + 1 for c in generator(items)]


def reported(function, *arguments):
    with debugop.trace(function) as trace:
        function(*arguments)
    return [record.instruction.opname for record in trace if record.code is function.__code__]


# What INSTRUCTION events tell of and no step does.
ONLY_EVENTS = {(3, 12): set(), (3, 13): set(), (3, 14): {"POP_ITER"}, (3, 15): {"POP_ITER"}}


@needs_monitoring
def test_steps_are_the_instruction_events_but_for_the_end_of_loops():
    steps = [name for name in reported(loops, [1, 2]) if name != "RESUME"]
    events = [name for _, name in monitored(loops, [1, 2]) if name != "EXTENDED_ARG"]
    assert [name for name in events if name not in ONLY_EVENTS[V]] == steps
    assert ONLY_EVENTS[V] <= set(events)
    assert not {"END_FOR", "POP_ITER"} & set(steps)


def test_what_stands_before_the_first_resume_is_no_step():
    steps = reported(generator, [])
    with debugop.trace(generator) as trace:
        list(generator([1]))
    steps = [record.instruction.opname for record in trace]
    assert steps[0] == "RESUME"
    assert "RETURN_GENERATOR" not in steps
    assert "RETURN_GENERATOR" in {one.opname for one in dis.get_instructions(generator)}
