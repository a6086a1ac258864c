"""Programs with tools of their own, whole, under `--all`: the tools tell what they tell without debugop."""

import re
import sys
import textwrap

import pytest

ENGINES = ["inject", "settrace"] if sys.version_info < (3, 12) else ["inject", "monitoring", "settrace"]

WORK = """
import json
def helper(x):
    try:
        return [x, 1 / x]
    except ZeroDivisionError:
        return None
def generator():
    yield from range(2)
def work():
    return [helper(x) for x in range(3)], list(generator()), json.loads(json.dumps([1]))
"""

SETTRACE = """
import sys
seen = []
def trace(frame, event, argument):
    if frame.f_code.co_filename.endswith(("program.py", "json/__init__.py")):
        seen.append((frame.f_code.co_name, event, frame.f_lineno))
    return trace
sys.settrace(trace)
work()
sys.settrace(None)
print(len(seen), *seen, sep="\\n")
print(sys.gettrace())
"""

THREADING_SETTRACE = """
import sys, threading
seen = []
def trace(frame, event, argument):
    if frame.f_code.co_filename.endswith("program.py"):
        seen.append((frame.f_code.co_name, event, frame.f_lineno))
    return trace
threading.settrace(trace)
thread = threading.Thread(target=work)
thread.start()
thread.join()
threading.settrace(None)
print(len(seen), *seen, sep="\\n")
"""

SETPROFILE = """
import sys
seen = []
def profile(frame, event, argument):
    name = argument.__name__ if event.startswith("c_") else frame.f_code.co_name
    seen.append((name, event))
sys.setprofile(profile)
work()
sys.setprofile(None)
print(len(seen), *seen, sep="\\n")
"""

CPROFILE = """
import cProfile, pstats
profiler = cProfile.Profile()
profiler.runcall(work)
counts = sorted((key[2], entry[:2]) for key, entry in pstats.Stats(profiler).stats.items())
print(*counts, sep="\\n")
"""

PDB = """
import pdb, io, re
out = io.StringIO()
commands = "break helper\\nrunning = 1\\ncontinue\\np x\\nnext\\nnext\\nwhere\\nup\\nargs\\nlist\\ncontinue\\nclear 1\\nstep\\nreturn\\nquit\\n"
debugger = pdb.Pdb(stdin=io.StringIO(commands), stdout=out, nosigint=True, readrc=False)
debugger.use_rawinput = False
try:
    debugger.runcall(work)
except BaseException as error:
    print(type(error))
print(re.sub("0x[0-9a-f]+", "0x", out.getvalue()))
"""

MONITORING = """
import sys
monitoring = sys.monitoring
events = monitoring.events
seen = []
monitoring.use_tool_id(1, "mine")
def take(kind):
    def callback(code, *rest):
        if code.co_filename.endswith("program.py") and code is not callback.__code__:
            # Offsets are those of the code that runs (docs/visible.md).
            seen.append((kind, code.co_name, rest[0] if kind == "LINE" else None))
    return callback
KINDS = ["LINE", "PY_START", "PY_RETURN", "PY_YIELD", "PY_RESUME", "RAISE", "PY_UNWIND", "CALL"]
for kind in KINDS:
    monitoring.register_callback(1, getattr(events, kind), take(kind))
monitoring.set_events(1, sum(getattr(events, kind) for kind in KINDS))
work()
monitoring.set_events(1, 0)
print(len(seen), *seen, sep="\\n")
print([monitoring.get_tool(number) for number in (0, 1, 2, 5)])
"""

MONITORING_LOCAL = """
import sys
monitoring = sys.monitoring
events = monitoring.events
seen = []
monitoring.use_tool_id(1, "mine")
monitoring.register_callback(1, events.LINE, lambda code, line: seen.append((code.co_name, line)))
monitoring.set_local_events(1, helper.__code__, events.LINE)
work()
print(monitoring.get_local_events(1, helper.__code__) == events.LINE, *seen, sep="\\n")
monitoring.free_tool_id(1)
work()
"""

TOOLS = {
    "settrace": SETTRACE,
    "threading.settrace": THREADING_SETTRACE,
    "setprofile": SETPROFILE,
    "cProfile": CPROFILE,
    "pdb": PDB,
    "sys.monitoring": MONITORING,
    "sys.monitoring, local": MONITORING_LOCAL,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_of_the_programs(programs, tool, engine):
    if tool.startswith("sys.monitoring") and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring came with 3.12")
    programs.write({"program.py": WORK + textwrap.dedent(TOOLS[tool])})
    plain = programs.run(["program.py"])
    assert plain.status == 0, plain.stderr
    traced = programs.debugop("run", "--all", "--format", "none", "--engine", engine, "program.py")
    assert traced.stdout == plain.stdout
    assert traced.status == 0
    assert re.fullmatch(r"[\d,]+ instructions, .*\n", traced.stderr), traced.stderr


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
def test_both_tool_identifiers_are_taken(programs):
    program = """
        import runpy, sys
        sys.monitoring.use_tool_id(3, "three")
        sys.monitoring.use_tool_id(4, "four")
        sys.argv = ["debugop", "run", "--engine", "monitoring", "-c", "print('runs')"]
        runpy.run_module("debugop", run_name="__main__")
    """
    programs.write({"program.py": textwrap.dedent(program)})
    done = programs.run(["program.py"])
    assert (done.stdout, done.status) == ("", 2)
    assert re.fullmatch(
        r"debugop: the engine monitoring needs a tool identifier .* 4 by four, 3 by three\n", done.stderr
    )
