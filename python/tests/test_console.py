"""The console, typed at through a pseudo-terminal.

What it prints is compared with `console/expected/3.X/NAME.txt`, which `pytest --write-expected` writes. CPython's own test_pdb runs with
it in `make test-debugger`.
"""

import os
import platform
import re
import sys
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal, and is not installed")

HERE = Path(__file__).resolve().parent / "console"
EXPECTED = HERE / "expected" / "{}.{}".format(*sys.version_info)
MADE_WITH = EXPECTED / "python-version"
PROGRAM = "program.py"
PROMPTS = re.compile(r"(?:\(+Pdb\)+|\(com\)|Clear all breaks\?|\(debugop: step \d+, past\)) ")

SESSIONS = {
    "stepi": ["break 17", "continue", "stepi", "si", "stack", *["si"] * 12, "where", "return", "si", "next", "quit"],
    "stepi_generator": ["break 30", "continue", *["si"] * 3, "stack", *["si"] * 4, "stack", "up", "stack", "quit"],
    "stepi_exception": ["break 23", "continue", *["si"] * 12, "stack", "clear 1", "continue", "quit"],
    "nexti": ["break 18", "continue", *["nexti"] * 4, "ni", "stack", *["ni"] * 6, "clear 1", "continue", "quit"],
    "nexti_return": ["break 11", "continue", *["ni"] * 4, "stack", "ni", "ni", "step", "quit"],
    "stack": ["stack", "break area", "continue", "stack", "stack 1", "up", "stack", "up", "stack", "quit"],
    "dis": [
        "break 17",
        "continue",
        "dis",
        "next",
        "step",
        "up",
        "dis",
        "dis area",
        "dis 1",
        "dis nothing",
        "dis all",
        "quit",
    ],
    "help": ["help stepi", "help nexti", "help stack", "help dis", "help si", "stepi 2", "ni x", "quit"],
    "lines": [
        "next",
        "break 17",
        "tbreak 11",
        "continue",
        "continue",
        "args",
        "until",
        "return",
        "clear 1",
        "continue",
        "quit",
    ],
    "condition": ["break 18, width == 4", "continue", "p width", "jump 19", "next", "retval", "quit"],
    "recursive": ["break 18", "continue", "debug area(5, 6)", "step", "step", "si", "q", "next", "quit"],
    "setstack": [
        "break 18",
        "continue",
        "setstack 0 1",
        *["si"] * 9,
        "stack",
        "setstack 0 7",
        "setstack 9 7",
        "setstack x 7",
        "setstack 0 nothing",
        "up",
        "setstack 0 1",
        "down",
        "stack",
        "clear 1",
        "continue",
        "quit",
    ],
    "commands": ["break 18", "commands 1", "silent", "p width", "stepi", "continue", "stack", "quit"],
}

# About `stops.py`, from its line 64 on, where everything has a name.
STOPS = {
    "watch": [
        "break work",
        "continue",
        "watch total",
        "next",
        "next",
        "next",
        "next",
        "next",
        "watch counter.count",
        "watch box.last, step > 1",
        "watch sizes['a']",
        "next",
        "watch items[0]",
        "break",
        *["continue"] * 8,
        "unwatch 2 5",
        "unwatch",
        "unwatch 9",
        "continue",
        "quit",
    ],
    "watch_shared": ["break shares", "continue", "watch shared", "continue", "continue", "continue", "quit"],
    "watch_global": ["watch GLOBAL", "continue", "continue", "clear 2", "continue", "quit"],
    "watch_left": ["break leaves", "continue", "next", "watch gone", "continue", "tbreak 61", "continue", "quit"],
    "watch_nothing": [
        "watch",
        "watch nothing",
        "watch 1 +",
        "watch start()",
        "watch start.__code__",
        "watch (1, 2)[0]",
        "watch {}[start]",
        "watch GLOBAL, 1 +",
        "unwatch 7",
        "quit",
    ],
    "break_offset": [
        "break work*OFFSET",
        "tbreak shares*OFFSET",
        "break work*1",
        "break work*0",
        "break work*x",
        "break nothing*4",
        "break work*OFFSET, 1 +",
        "break",
        "continue",
        "stack",
        "disable 3",
        "ignore 2 1",
        "break",
        "clear",
        "y",
        "break",
        "quit",
    ],
    "break_opcode": [
        "break opcode STORE_SUBSCR in work, step == 2",
        "break opcode FOR_ITER in sets",
        "break opcode NOTHING",
        "commands 2",
        "p step",
        "end",
        "break",
        "continue",
        "p step",
        "continue",
        "quit",
    ],
    "catch": [
        "catch ValueError",
        "catch TypeError",
        "catch raise (OSError, KeyError)",
        "catch 3",
        "catch nothing",
        "catch 1 +",
        "break",
        "continue",
        "where",
        "continue",
        "continue",
        "quit",
    ],
    "logpoint": [
        "logpoint 20 step {step}, total {total}, if step > 0",
        "logpoint sets*OFFSET global is {GLOBAL}",
        "logpoint 20",
        "logpoint 20 {step",
        "break",
        "tbreak leaves",
        "continue",
        "break",
        "quit",
    ],
    "help_stops": [
        *(f"help {name}" for name in ("watch", "unwatch", "catch", "logpoint", "threads", "thread", "tasks", "set")),
        "help setstack",
        "quit",
    ],
}


def offset_of(function):
    """Where its last line begins."""
    spaces = {}
    source = (HERE / "stops.py").read_text().partition("\n\n\nstart()\n")[0]
    exec(compile(source, "stops.py", "exec"), spaces)
    code = spaces[function].__code__
    last = max(line for _, _, line in code.co_lines() if line)
    return next(start for start, _, line in code.co_lines() if line == last)


def environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    kept.update(TERM="dumb", NO_COLOR="1", PYTHONHASHSEED="0", HOME=str(HERE), LC_ALL="C.UTF-8")
    return kept


def session(arguments, commands, command="debugop", cwd=HERE):
    """What the terminal shows while the commands are typed."""
    executable = Path(sys.executable).with_name(command)
    child = pexpect.spawn(
        str(executable), arguments, cwd=cwd, env=environment(), encoding="utf-8", dimensions=(50, 200), timeout=60
    )
    shown = []
    for line in commands:
        child.expect(PROMPTS)
        shown.append(child.before + child.after)
        child.sendline(line)
    child.expect([pexpect.EOF, PROMPTS])
    shown.append(child.before)
    child.close(force=True)
    return tidy("".join(shown))


def tidy(text):
    """Without what differs from place to place."""
    text = text.replace("\r\n", "\n").replace(str(HERE) + os.sep, "")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    standard = re.escape(str(Path(os.__file__).resolve().parent))
    text = re.sub(rf"(?:{standard}|{re.escape(str(Path(os.__file__).parent))})/(\w+\.py)\(\d+\)", r"LIBRARY/\1()", text)
    text = re.sub(r"(?<![\w-])0x[0-9a-f]+", "0x...", text)  # an address, not a part of a temporary file's name
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.parametrize("name", SESSIONS)
def test_session(name, request):
    compare(name, session(["debug", PROGRAM], SESSIONS[name]), request)


@pytest.mark.parametrize("name", STOPS)
def test_stops(name, request):
    """What stops besides lines."""
    commands = [re.sub(r"(\w+)\*OFFSET", lambda found: f"{found[1]}*{offset_of(found[1])}", one) for one in STOPS[name]]
    compare(name, session(["debug", "-c", "tbreak 64", "-c", "continue", "stops.py"], commands), request)


def compare(name, shown, request):
    expected = EXPECTED / f"{name}.txt"
    if request.config.getoption("--write-expected"):
        expected.parent.mkdir(parents=True, exist_ok=True)
        expected.write_text(shown)
        MADE_WITH.write_text(platform.python_version() + "\n")
    elif shown != expected.read_text():
        made_with = MADE_WITH.read_text().strip()
        if made_with != platform.python_version():
            pytest.skip(f"what is expected was made with {made_with}, which compiles or says it otherwise")
        assert shown == expected.read_text()


def test_stepi_visits_every_instruction(tmp_path):
    """One `stepi` after the other is what `debugop.trace` tells of the same call."""
    script = tmp_path / "steps.py"
    script.write_text(
        "import debugop\n"
        "def inner(x):\n    return [x, -x]\n"
        "def outer(n):\n    total = 0\n    for i in range(n):\n        total += inner(i)[0]\n    return total\n"
        "with debugop.trace(outer, follow=True) as trace:\n    outer(2)\n"
        "steps = [(s.name, s.instruction.offset) for s in trace.records if s.event == 'instruction']\n"
        "outer(2)\n"
    )
    commands = ["break 12", "continue", "p steps", "step", *["si"] * 90, "quit"]
    shown = session(["debug", str(script)], commands).partition("restarted")[0]
    traced = eval(re.search(r"^\[\('outer'.*\]$", shown, re.MULTILINE)[0])
    stop = re.compile(r"^> \S+?\(\d+\)(inner|outer)\(\)\S*\n-> .*?\n(?: +\^+\n)? +(\d+) (\w+)", re.MULTILINE)
    # The interpreter tells of the end of a loop, which debugop does not report (`debugop_bytecode::Silent`).
    silent = ("END_FOR", "POP_ITER")
    told = [(name, int(offset)) for name, offset, opname in stop.findall(shown) if opname not in silent]
    assert len(told) > 30
    assert told == traced


def test_completion():
    child = pexpect.spawn(
        str(Path(sys.executable).with_name("debugop")),
        ["debug", PROGRAM],
        cwd=HERE,
        env={**environment(), "TERM": "xterm"},
        encoding="utf-8",
        timeout=30,
    )
    child.expect(PROMPTS)
    child.send("step\t\t")
    child.expect("stepi")
    child.send("\x15dis Poi\t\n")
    child.expect(PROMPTS)
    child.sendline("quit")
    child.expect(pexpect.EOF)
    child.close(force=True)


def test_breakpoint(tmp_path):
    script = tmp_path / "here.py"
    script.write_text("def here(x):\n    y = x\n    breakpoint()\n    return y\n\nprint(here(5))\n")
    python = [str(script)]
    child = pexpect.spawn(
        sys.executable,
        python,
        env={**environment(), "PYTHONBREAKPOINT": "debugop.set_trace"},
        encoding="utf-8",
        timeout=30,
    )
    child.expect(PROMPTS)
    assert "here()" in child.before
    child.sendline("stack")
    child.expect(PROMPTS)
    child.sendline("p x, y")
    child.expect(PROMPTS)
    assert "(5, 5)" in child.before
    child.sendline("si")
    child.expect(PROMPTS)
    assert re.search(r"here\(\)", child.before)
    child.sendline("continue")
    child.expect(pexpect.EOF)
    assert child.before.split() == ["continue", "5"]
    child.close()
    assert child.exitstatus == 0


def test_places_of_an_earlier_console(tmp_path):
    """Like breakpoints, they are in force in a console that begins later."""
    script = tmp_path / "twice.py"
    script.write_text("import debugop\nG = 1\ndebugop.set_trace()\nG = 2\ndebugop.set_trace()\nG = 3\nprint('end')\n")
    child = pexpect.spawn(sys.executable, [str(script)], env=environment(), encoding="utf-8", timeout=30)
    shown = []
    for command in ("watch G", "continue", "continue", "continue", "clear 1", "continue"):
        child.expect(PROMPTS)
        shown.append(child.before)
        child.sendline(command)
    child.expect(pexpect.EOF)
    child.close()
    assert "New value: 2" in shown[2]
    assert "New value: 3" in shown[4]
    assert child.before.endswith("end\r\n")


def test_post_mortem(tmp_path):
    script = tmp_path / "after.py"
    script.write_text(
        "import sys, debugop\n"
        "def fails(x):\n    return 1 / x\n"
        "try:\n    fails(0)\nexcept ZeroDivisionError as error:\n    caught = error\n    debugop.post_mortem()\n"
        "sys.last_exc = sys.last_value = caught\nsys.last_type, sys.last_traceback = type(caught), caught.__traceback__\n"
        "debugop.pm()\n"
    )
    child = pexpect.spawn(sys.executable, [str(script)], env=environment(), encoding="utf-8", timeout=30)
    for _ in range(2):
        child.expect(PROMPTS)
        assert "fails()" in child.before
        for command, answer in (("p x", "0"), ("stack", "not running"), ("stepi", "not running"), ("dis", "->")):
            child.sendline(command)
            child.expect(PROMPTS)
            assert answer in child.before, command
        child.sendline("quit")
    child.expect(pexpect.EOF)
    child.close()


def test_uncaught(tmp_path):
    """A catchpoint for what nothing handles stops at the bottom, with the frames that it has come through."""
    script = tmp_path / "uncaught.py"
    script.write_text(
        "def fails(key):\n    return {}[key]\n"
        "def handles():\n    try:\n        fails(1)\n    except KeyError:\n        pass\n"
        "handles()\nfails(2)\n"
    )
    shown = session(["debug", str(script)], ["catch uncaught KeyError", "continue", "p key", "where", "quit"])
    assert "Catchpoint 1 (uncaught KeyError)\nKeyError: 2\n" in shown
    assert re.search(r"^\(Pdb\) p key\n2$", shown, re.MULTILINE)
    assert re.search(r"\(9\)<module>\(\)\n-> fails\(2\)\n> \S+\(2\)fails\(\)", shown)


def test_threads(tmp_path):
    """Other threads can be inspected, and only the one that has stopped goes on."""
    script = tmp_path / "threads.py"
    script.write_text(
        "import threading\n"
        "go, waits = threading.Event(), threading.Event()\n"
        "def other(number):\n    mine = number + 1\n    waits.set()\n    go.wait()\n    return mine\n"
        "thread = threading.Thread(target=other, args=(41,), name='other one')\n"
        "thread.start()\nwaits.wait()\n"
        "here = 'main'\n"
        "go.set()\nthread.join()\nprint('joined')\n"
    )
    commands = ["tbreak 12", "continue", "threads", "thread 2", "threads", "up", "up", "p mine", "next", "stack"]
    commands += ["thread 3", "thread x", "thread", "p here", "next", "continue", "quit"]
    shown = session(["debug", str(script)], commands)
    assert re.search(
        r"^\* 1 +MainThread +<module>\(\) at threads.py:12 \(stopped\)\n  2 +other one +\S+ at threading.py:",
        shown,
        re.MULTILINE,
    )
    assert re.search(r"^  1 +MainThread .*\n\* 2 +other one", shown, re.MULTILINE)
    assert "(Pdb) p mine\n42\n" in shown
    assert "(Pdb) next\n*** Thread 2 goes on; `thread` leads back to the one that has stopped\n" in shown
    assert "(Pdb) stack\n*** the frame is not running on this thread" in shown
    assert "*** There is no thread 3;" in shown
    assert "*** There is no thread x;" in shown
    assert "(Pdb) p here\n'main'\n" in shown
    assert "threads.py(13)<module>()" in shown
    assert "joined" in shown


def test_tasks(tmp_path):
    """`next` and `until` over an `await` stay in their task, although another one runs the same code meanwhile."""
    script = tmp_path / "naps.py"
    script.write_text(
        "import asyncio\n"
        "async def sleeps(name):\n    await asyncio.sleep(0.01)\n    return name\n"
        "async def works(name):\n"
        "    first = await sleeps(name)\n"
        "    second = await sleeps(first)\n"
        "    for _ in range(2):\n        await asyncio.sleep(0)\n"
        "    return second\n"
        "async def main():\n"
        "    print(await asyncio.gather(works('one'), works('two')))\n"
        "asyncio.run(main())\n"
    )
    commands = ["tasks", "tbreak 6, name == 'two'", "continue", "tasks"]
    for stepping in ("next", "next", "next", "until"):
        commands += [stepping, "p name"]
    commands += ["where", "continue", "quit"]
    shown = session(["debug", str(script)], commands)
    assert "*** No event loop of asyncio runs here" in shown
    assert re.search(
        r"^  Task-1 +main\(\) at naps.py:12\n  Task-2 +sleep\(\) at tasks.py:\d+\n\* Task-3 +works\(\) at naps.py:6$",
        shown,
        re.MULTILINE,
    )
    assert shown.count("(Pdb) p name\n'two'\n") == 4
    lines = re.findall(r"^> \S+naps.py\((\d+)\)works\(\)$", shown, re.MULTILINE)
    assert lines[:4] == ["6", "7", "8", "9"]
    assert "['one', 'two']" in shown


FORK = """\
import os, sys
def child():
    mark = "child"
    print(mark, flush=True)
def parent():
    mark = "parent"
    print(mark, flush=True)
pid = os.fork()
if pid == 0:
    child()
else:
    _, status = os.waitpid(pid, 0)
    parent()
    print("status", os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.parametrize("follow", ["parent", "child", "default"])
@pytest.mark.parametrize("way", ["continue", "next"])
def test_fork(tmp_path, follow, way):
    """One process of a fork is debugged, the other one runs to its end."""
    script = tmp_path / "forks.py"
    script.write_text(FORK)
    commands = ["set follow-fork", f"set follow-fork {follow}", "set follow-fork"][: 1 if follow == "default" else 3]
    commands += [
        "break child",
        "break parent",
        *(["tbreak 8", "continue", "next"] if way == "next" else []),
        "continue",
    ]
    commands += ["p mark", "quit"]
    shown = session(["debug", str(script)], commands)
    followed = "child" if follow == "child" else "parent"
    assert "follow-fork is parent" in shown
    assert re.search(rf"^> \S+{followed}\(\)$", shown, re.MULTILINE)
    left = "parent" if followed == "child" else "child"
    assert not re.search(rf"^> \S+{left}\(\)$", shown, re.MULTILINE)
    # What is quit has not printed, and what is left has.
    if followed == "parent":
        assert re.search("child$", shown, re.MULTILINE)


def test_variable_named_set(tmp_path):
    """`set` is a command for its one setting, and whatever the program means by it else."""
    script = tmp_path / "names.py"
    script.write_text("x = 1\n")
    shown = session(["debug", str(script)], ["set([1])", "set = 4", "set follow-fork neither", "p set", "quit"])
    assert "(Pdb) set([1])\n{1}\n" in shown
    assert "(Pdb) p set\n4\n" in shown
    assert "*** set follow-fork parent | child | both" in shown


def test_arguments(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "__main__.py").write_text("import sys\nprint(sys.argv[1:], sys.path[0] != '')\n")
    shown = session(["debug", "-c", "continue", "-c", "quit", PROGRAM, "-c", "x"], [])
    assert "14\n3\ncaught" in shown
    child = pexpect.spawn(
        str(Path(sys.executable).with_name("debugop")),
        ["debug", "-c", "continue", "-m", "package", "-m", "a"],
        cwd=tmp_path,
        env=environment(),
        encoding="utf-8",
        timeout=30,
    )
    child.expect(PROMPTS)
    assert "['-m', 'a'] True" in child.before
    child.sendline("quit")
    child.expect(pexpect.EOF)
