"""A program does the same under `debugop run` as under `python`: output, exit status, and what it can see of itself."""

import dataclasses
import io
import marshal
import re
import zipfile
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import debugop
import pytest

FORMATS = ("none", "text", "jsonl")


@dataclasses.dataclass
class Case:
    """A program: its files, the words after `python` and after `debugop run`, and what else there is for it."""

    name: str
    files: dict
    command: list
    flags: tuple = ()
    stdin: bytes = b""
    env: dict = dataclasses.field(default_factory=dict)
    links: dict = dataclasses.field(default_factory=dict)


CASES = []


def case(name, files, command, **others):
    CASES.append(Case(name, files, command, **others))


def script(name, source, *arguments, files=None, **others):
    case(name, {"prog.py": source, **(files or {})}, ["prog.py", *arguments], **others)


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


def bytecode(source, magic=MAGIC_NUMBER):
    return magic + bytes(12) + marshal.dumps(compile(source, "original.py", "exec"))


# ------------------------------------------------------------------------------- where a program comes from

FACTS = """
import sys
print(list((name, type(value).__name__) for name, value in list(globals().items())))
print(__name__, __package__, __spec__ and (__spec__.name, __spec__.origin, __spec__.parent), __loader__)
print(globals().get('__file__'), globals().get('__cached__'), __builtins__)
print(sys.argv, sys.path, sys.flags, sys.warnoptions, sys._xoptions)
print(sys.modules['__main__'].__dict__ is globals())
def depth():
    frame, names = sys._getframe(), []
    while frame:
        names.append((frame.f_code.co_filename, frame.f_code.co_name, frame.f_lineno))
        frame = frame.f_back
    return names
print(depth())
import inspect
print([(info.filename, info.function, info.lineno, info.code_context) for info in inspect.stack()])
import atexit
atexit.register(lambda: print(sorted(name for name in globals() if name.startswith('__'))))
"""
# The loader's repr has an address.
FACTS = FACTS.replace(
    "__loader__)", "type(__loader__), getattr(__loader__, 'name', None), getattr(__loader__, 'path', None))"
)

script("script", FACTS, "--limit", "-m", "x y", "", "é")
case("script in a directory", {"sub/prog.py": FACTS}, ["sub/prog.py"])
case("script with a dot", {"prog.py": FACTS}, ["./prog.py"])
case("script through dots", {"sub/x": "", "prog.py": FACTS}, ["sub/../prog.py"])
case("script through a link", {"real/prog.py": FACTS}, ["link.py", "a"], links={"link.py": "real/prog.py"})
case("script without a suffix", {"prog": "#!/usr/bin/env python\n" + FACTS}, ["prog"])
case("module", {"prog.py": FACTS}, ["-m", "prog", "-x", "--help"])
case("package", {"pkg/__init__.py": "print('init', __name__)", "pkg/__main__.py": FACTS}, ["-m", "pkg", "a"])
case("module in a package", {"pkg/__init__.py": "", "pkg/mod.py": FACTS}, ["-m", "pkg.mod"])
case("package imports its module", {"pkg/__init__.py": "import pkg.mod", "pkg/mod.py": FACTS}, ["-m", "pkg.mod"])
case("package without __main__", {"pkg/__init__.py": ""}, ["-m", "pkg"])
case("namespace package", {"pkg/mod.py": FACTS}, ["-m", "pkg.mod"])
case("missing module", {}, ["-m", "no_such_module"])
case("missing module in a package", {"pkg/__init__.py": ""}, ["-m", "pkg.no_such"])
case("module named as a file", {"prog.py": ""}, ["-m", "prog.py"])
case("module whose package fails", {"pkg/__init__.py": "1/0", "pkg/mod.py": ""}, ["-m", "pkg.mod"])
case("module with a syntax error", {"prog.py": "def f(:\n  pass"}, ["-m", "prog"])
case("command", {}, ["-c", FACTS, "a", "-c", "--", "b"])
case("command in one word", {}, ["-cprint(1)"])
case("command with nothing", {}, ["-c", ""])
case("command, indented", {}, ["-c", "\n    if 1:\n        print(1)\n\n    print(2)"])
case("command, with a string of several lines", {}, ["-c", "  x='''\n  a\n     \n    b'''\n  print(repr(x))"])
case("command with an error", {}, ["-c", "def f():\n  return 1/0\nf()"])
case("command with a syntax error", {}, ["-c", "print(1)\nx = (1,\nfor"])
case("stdin", {}, ["-", "a", "-b"], stdin=FACTS.encode())
case("stdin with an error", {}, ["-"], stdin=b"def f():\n    return 1/0\nprint(1)\nf()\n")
case("stdin with a syntax error", {}, ["-"], stdin=b"x = 1\ny = = 2\n")
case("stdin that is not UTF-8", {}, ["-"], stdin=b"x = 1\ny = '\xe9'\n")
case("directory", {"dir/__main__.py": FACTS}, ["dir", "a"])
case("directory with a slash", {"dir/__main__.py": FACTS}, ["./dir/"])
case("directory without __main__", {"dir/x.py": ""}, ["dir"])
case("zip", {"prog.zip": zipped({"__main__.py": FACTS})}, ["prog.zip", "a"])
case("zip without __main__", {"prog.zip": zipped({"x.py": ""})}, ["prog.zip"])
case("bytecode", {"prog.pyc": bytecode(FACTS)}, ["prog.pyc", "a"])
case("bytecode without a suffix", {"prog": bytecode("print(__file__)")}, ["prog"])
case("bytecode of another version", {"prog.pyc": bytecode("1", b"\x00\x00\r\n")}, ["prog.pyc"])
case("bytecode that is no code", {"prog.pyc": MAGIC_NUMBER + bytes(12) + marshal.dumps(1)}, ["prog.pyc"])
case("missing script", {}, ["no_such.py", "a"])
case("empty file", {"prog.py": ""}, ["prog.py"])
# ----------------------------------------------------------------------------------------------- source files

script("syntax error", "x = 1\nprint('not run')\ndef f(:\n    pass\n")
script("syntax error on a long line", "x = " + "1 + " * 50 + "= 2\n")
script("syntax error beside a tempfile.py", "x = 1\nreturn x\n", files={"tempfile.py": "print('mine')"})
script("error of the compiler", "x = 1\nreturn x\n")
script("indentation error", "if 1:\nprint(1)\n")
script("tabs and blanks", "if 1:\n\tx = 1\n        y = 2\n")
script("unclosed bracket", "x = (1,\n\ny = 2\n")
script("unclosed string", "x = '''abc\n")
script("not UTF-8", b"x = 1\ny = '\xe9'\n")
script("not UTF-8 after a declaration", b"# coding: utf-8\ny = '\xe9'\n")
script("null byte", b"x = 1\n\0y = 2\n")
script("byte order mark", b"\xef\xbb\xbfprint('\xc3\xa9')\n")
script("byte order mark and another declaration", b"\xef\xbb\xbf# coding: latin-1\nprint(1)\n")
script("declared encoding", b"# -*- coding: latin-1 -*-\nprint('\xe9', 1/0)\n")
script("unknown encoding", b"# coding: no-such-codec\nprint(1)\n")
script("line ends of other systems", b"x = 1\r\nif x:\r\n    print('''a\r\nb''', 1/0)\r\n")
script("form feed and shebang", "#!/usr/bin/env python -x\n\fprint(1)\n")
script("no newline at the end", "print(1)\nif 1:\n  print(2)")
script("warning at compilation", "x = 1\nprint('\\d', x is 1)\n", flags=("-W", "always"))
script("future import", "from __future__ import annotations\nx: no_such_name = 1\nprint(__annotations__)\n")
script("annotations", "x: int = 1\nprint(__annotations__)\nclass A:\n    y: str\nprint(A.__annotations__)")

# ------------------------------------------------------------------------------------------- ends of a program

script("uncaught exception", "def f(x):\n    return g(x) + 1\ndef g(x):\n    return 1 / x\nprint('before')\nf(0)\n")
script(
    "cause and context",
    "try:\n    try:\n        1/0\n    except Exception as e:\n        raise KeyError('a') from e\nexcept KeyError:\n    raise ValueError\n",
)
script("notes", "e = ValueError('a')\ne.add_note('one')\ne.add_note('two\\nlines')\nraise e\n")
script("exception group", "raise ExceptionGroup('several', [ValueError(1), ExceptionGroup('more', [KeyError('k')])])")
script("suggestion", "class A:\n    blech = 1\nA().bleck")
script("exception with a bad str", "class E(Exception):\n    def __str__(self): 1/0\nraise E('x')")
script("recursion", "def f(n):\n    return f(n + 1)\ntry:\n    f(0)\nexcept RecursionError as e:\n    print(e)\nf(0)\n")
script("SystemExit", "print(1)\nraise SystemExit\n")
for code in ("0", "3", "None", "'text'", "(1, 'a')", "-1", "256", "True", "2.5"):
    script(f"exit({code})", f"import sys, atexit\natexit.register(print, 'end')\nsys.exit({code})\n")
script(
    "SystemExit from a function",
    "def f():\n    try:\n        raise SystemExit(4)\n    finally:\n        print('finally')\nf()",
)
case("SystemExit of a module", {"prog.py": "import sys; sys.exit(5)"}, ["-m", "prog"])
script(
    "exit in a thread",
    "import sys, threading\nt = threading.Thread(target=sys.exit, args=(3,))\nt.start(); t.join()\nprint('on')",
)
script(
    "exception in a thread",
    "import threading\ndef f(): 1/0\nt = threading.Thread(target=f, name='T')\nt.start(); t.join()\nprint('on')",
)
INTERRUPT = "import os, signal, atexit\natexit.register(print, 'end', flush=True)\ndef f():\n    os.kill(os.getpid(), signal.SIGINT)\n    for i in range(100): pass\nf()\n"
script("interrupt", INTERRUPT)
case("interrupt of a module", {"prog.py": INTERRUPT}, ["-m", "prog"])
case("interrupt of a command", {}, ["-c", INTERRUPT])
case("interrupt of a directory", {"dir/__main__.py": INTERRUPT}, ["dir"])
script(
    "interrupt, caught",
    "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    for i in range(100): pass\nexcept KeyboardInterrupt:\n    print('caught')\n",
)
script("raised KeyboardInterrupt", "class K(KeyboardInterrupt): pass\nraise K('x')")
script("_exit", "import os, sys\nprint('lost'); print('kept', flush=True)\nos._exit(7)")
script("abort", "import os\nprint('kept', flush=True)\nos.abort()")
script("killed", "import os, signal\nprint('kept', flush=True)\nos.kill(os.getpid(), signal.SIGTERM)\nprint('never')")
script(
    "atexit",
    "import atexit\nfor i in range(3):\n    atexit.register(lambda i=i: print('end', i))\natexit.register(lambda: 1/0)\nprint('main')",
)
script(
    "excepthook",
    "import sys\ndef hook(kind, error, tb):\n    print('hook', kind, error, tb.tb_frame.f_code.co_name, tb.tb_lineno, sys._getframe(0).f_back)\nsys.excepthook = hook\n1/0",
)
script("excepthook that fails", "import sys\ndef hook(*args):\n    [][1]\nsys.excepthook = hook\n1/0")
script("excepthook that exits", "import sys\ndef hook(*args):\n    sys.exit(9)\nsys.excepthook = hook\n1/0")
script(
    "unraisable",
    "class A:\n    def __del__(self): 1/0\na = A()\ndel a\nprint('on')\nb = A()",
    env={"PYTHONHASHSEED": "0"},
)
script(
    "unraisablehook",
    "import sys\nsys.unraisablehook = lambda u: print('unraisable', u.exc_type, u.object.__name__)\nclass A:\n    def __del__(self): 1/0\nA()",
)
script(
    "objects at the end",
    "class A:\n    def __init__(self, n): self.n = n\n    def __del__(self): print('del', self.n)\na = A(1)\nb = A(2)\nb.me = b\ndef f():\n    c = A(3)\nf()\nprint('end')",
)
script(
    "warnings",
    "import warnings\ndef f():\n    warnings.warn('here')\n    warnings.warn('caller', stacklevel=2)\n    warnings.warn('far', DeprecationWarning, stacklevel=9)\nf()\nopen(__file__)\n",
    flags=("-W", "default"),
)
script("warnings as errors", "import warnings\nwarnings.warn('x')", flags=("-W", "error"))
script(
    "output at the end",
    "import sys, threading, os, time\nsys.stdout.write('kept')\ndef f():\n    time.sleep(.3); os._exit(3)\nthreading.Thread(target=f).start()",
)
script(
    "sys.last_exc",
    "import sys, atexit\natexit.register(lambda: print(sys.last_value, sys.last_traceback.tb_frame.f_code.co_name))\n1/0",
)

# ------------------------------------------------------------------------------------------- the interpreter's options

# Without site, the package has to be found in another way.
script("python -S", FACTS, flags=("-S",), env={"PYTHONPATH": str(Path(debugop.__file__).parent.parent)})
for flag in ("-O", "-OO", "-I", "-P", "-E", "-s", "-B", "-u", "-Xutf8", "-Xdev", "-Wignore", "-bb"):
    script(f"python {flag}", FACTS + "assert False, 'asserts are run'", flags=(flag,))
case("python -I with a directory", {"dir/__main__.py": FACTS}, ["dir"], flags=("-I",))
case("python -P with a module", {"prog.py": FACTS}, ["-m", "prog"], flags=("-P",))
case("python -P -c", {}, ["-c", FACTS], flags=("-P",))
script("python -W default", "import imp_old_x", flags=("-W", "default"))
script("PYTHONPATH", FACTS + "import extra", files={"lib/extra.py": "print(__file__)"}, env={"PYTHONPATH": "lib"})
script("PYTHONSAFEPATH", FACTS, env={"PYTHONSAFEPATH": "1"})

# ---------------------------------------------------------------------------------------------- the world around it

script(
    "stdin of the program",
    "import sys\nprint(input('? '), sys.stdin.readline(), list(sys.stdin))\ninput()",
    stdin=b"a\nb\nc\nd\n",
)
script("stderr replaced", "import sys, io\nsys.stderr = io.StringIO()\nprint('lost', file=sys.stderr)\n1/0")
script("stderr is None", "import sys\nsys.stderr = None\n1/0")
script("stdout is closed", "import sys\nsys.stdout.close()\nprint('x')")
script(
    "descriptors",
    "import os\nos.close(2)\nfd = os.open('f', os.O_CREAT | os.O_RDWR)\nprint(fd, os.open('g', os.O_CREAT))\nfor i in range(50): pass\nprint(os.stat('f').st_size)\nos.closerange(2, 400)\nprint('end')",
)
script(
    "working directory",
    "import os, sys\nos.mkdir('d'); os.chdir('d')\ndef f():\n    return 1/0\nprint(os.getcwd(), sys.path[0] == os.path.dirname(os.getcwd()))\nf()",
)
script(
    "fork",
    "import os\nprint('before', flush=True)\npid = os.fork()\nif pid == 0:\n    print('child', flush=True)\n    raise SystemExit(3)\nprint(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n",
)
script(
    "fork, both go on",
    "import os, sys\npid = os.fork()\nfor i in range(3): pass\nif pid: print(os.waitpid(pid, 0)[1])\nelse: print('child')\n",
)
script(
    "fork in a thread",
    "import os, threading\ndef f():\n    pid = os.fork()\n    if pid == 0:\n        print('child', flush=True)\n        os._exit(0)\n    print(os.waitpid(pid, 0)[1])\nt = threading.Thread(target=f)\nt.start(); t.join()",
)
script(
    "subprocess",
    "import subprocess, sys\nr = subprocess.run([sys.executable, '-c', 'import sys; print(sys.argv); sys.exit(3)'], capture_output=True, text=True)\nprint(r)",
)
script(
    "exec",
    "import os, sys\nprint('first', flush=True)\nos.execv(sys.executable, [sys.executable, '-c', 'print(\"second\")'])",
)
script(
    "threads",
    "import threading\nout = []\ndef f(n):\n    out.append(sum(i * n for i in range(50)))\nts = [threading.Thread(target=f, args=(n,)) for n in range(8)]\n[t.start() for t in ts]; [t.join() for t in ts]\nprint(sorted(out), threading.main_thread().name, threading.active_count())",
)
script(
    "daemon thread",
    "import threading, time\ndef f():\n    while True: time.sleep(.01)\nthreading.Thread(target=f, daemon=True).start()\ntime.sleep(.1)\nprint('end')",
)
script(
    "thread that goes on after the main program",
    "import threading, time, atexit\natexit.register(print, 'exit')\ndef f():\n    time.sleep(.2)\n    print('thread', __name__)\nthreading.Thread(target=f).start()\nprint('main')",
)
POOL = "import multiprocessing as mp\ndef square(x):\n    return x * x\nif __name__ == '__main__':\n    with mp.get_context('%s').Pool(2) as pool:\n        print(pool.map(square, range(5)))\n"
for method in ("fork", "spawn", "forkserver"):
    script(f"multiprocessing {method}", POOL % method, flags=("-Wignore",))
case("multiprocessing spawn of a module", {"pkg/__init__.py": "", "pkg/mod.py": POOL % "spawn"}, ["-m", "pkg.mod"])
script(
    "executors",
    "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n    print(list(pool.map(lambda x: x * 2, range(5))))",
)
script(
    "asyncio",
    "import asyncio\nasync def f(n):\n    await asyncio.sleep(0)\n    return n\nasync def main():\n    print(await asyncio.gather(*map(f, range(3))))\n    raise ValueError('end')\nasyncio.run(main())",
)
script(
    "settrace",
    "import sys\nevents = []\ndef trace(frame, event, arg):\n    events.append((frame.f_code.co_name, event, frame.f_lineno))\n    return trace\ndef f(x):\n    y = x + 1\n    return y\nsys.settrace(trace)\nf(1)\nsys.settrace(None)\nprint(events)",
)
script(
    "setprofile",
    "import sys\nevents = []\ndef f(x):\n    return len(x)\nsys.setprofile(lambda frame, event, arg: events.append((frame.f_code.co_name, event)))\nf('a')\nsys.setprofile(None)\nprint(events)",
)
script(
    "signal handler",
    "import signal, os\ndef handler(number, frame):\n    print(number, frame.f_code.co_name)\nsignal.signal(signal.SIGUSR1, handler)\ndef f():\n    os.kill(os.getpid(), signal.SIGUSR1)\nf()\nprint('end')",
)
script(
    "alarm in a loop",
    "import signal\ndef handler(*args):\n    raise TimeoutError\nsignal.signal(signal.SIGALRM, handler)\nsignal.setitimer(signal.ITIMER_REAL, .2)\ntry:\n    while True: pass\nexcept TimeoutError as error:\n    print('in time', error.__traceback__.tb_lineno)",
)
script(
    "exec and eval",
    "x = 1\nexec('x = 2\\nprint(x, __name__)')\nprint(eval('x + 1'), eval(compile('x', 'f', 'eval')))\nexec('def f(): return 1/0')\nf()",
)
script(
    "runpy",
    "import runpy, sys\nprint(runpy.run_path('other.py')['x'], 'exec' in vars(runpy))",
    files={"other.py": "x = __name__"},
)
script(
    "locals and introspection",
    "import inspect\ndef f(a, *b, c=1, **d):\n    e = [x for x in b]\n    return sorted(locals().items()), f.__code__.co_varnames, f.__code__.co_firstlineno\nprint(f(1, 2, z=3), inspect.getsource(f), inspect.signature(f))",
)
script(
    "pickle of functions",
    "import pickle\ndef f(): return 1\nclass A: pass\nprint(pickle.loads(pickle.dumps(f)) is f, pickle.loads(pickle.dumps(A)) is A)",
)
script(
    "columns",
    "import shutil, os\nprint(shutil.get_terminal_size(), os.environ['COLUMNS'], os.environ.get('NO_COLOR'))",
    env={"COLUMNS": "33", "NO_COLOR": "1"},
)
case(
    "json.tool", {"data.json": '{"b": [1, 2.5, null], "a": "\\u00e9"}'}, ["-m", "json.tool", "--sort-keys", "data.json"]
)
case("json.tool, stdin", {}, ["-m", "json.tool"], stdin=b'[1, {"a": 2}]')
case("json.tool, bad input", {}, ["-m", "json.tool"], stdin=b"[1,")
case("timeit", {}, ["-m", "timeit", "-n", "2", "-r", "1", "-s", "def f(): print('f')", "f()"])
case(
    "unittest",
    {"test_a.py": "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(1, 2)\n"},
    ["-m", "unittest", "-q", "test_a"],
)
case("doctest", {"a.py": '"""\n>>> 1 + 1\n3\n"""\n'}, ["-m", "doctest", "a.py"])
case("pdb", {"a.py": "x = 1\ny = 2\n"}, ["-m", "pdb", "a.py"], stdin=b"n\nn\np x\nq\n")
case("cProfile", {"a.py": "print(__name__)\n"}, ["-m", "cProfile", "-s", "name", "-o", "stats", "a.py"])


def normal(run, given):
    """Without what is different in any two runs."""
    stderr = re.sub(r" at 0x[0-9a-f]+|pid=[0-9]+", "", run.stderr)
    if given.name in ("timeit", "unittest"):
        return (run.stdout.split("loop")[0], stderr.split("Ran")[0], run.status)
    if given.name.startswith(("missing script", "multiprocessing")):
        # The message starts with the name of the command.
        stderr = stderr.partition(": ")[2]
    return (run.stdout, stderr, run.status)


@pytest.mark.parametrize("given", CASES, ids=lambda given: given.name)
def test_as_under_python(programs, given):
    def make():
        programs.write(given.files)
        for name, target in given.links.items():
            (programs.directory / name).symlink_to(target)

    make()
    expected = programs.run([*given.flags, *given.command], stdin=given.stdin, env=given.env)
    for form in FORMATS:
        make()
        options = ["run", "--format", form, "-o", str(programs.report)]
        run = programs.debugop(*options, *given.command, flags=given.flags, stdin=given.stdin, env=given.env)
        assert normal(run, given) == normal(expected, given), form


def test_every_case_has_its_own_name():
    names = [given.name for given in CASES]
    assert len(set(names)) == len(names)
