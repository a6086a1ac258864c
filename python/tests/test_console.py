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
PROMPTS = re.compile(r"(?:\(+Pdb\)+|\(com\)) ")

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
    "commands": ["break 18", "commands 1", "silent", "p width", "stepi", "continue", "stack", "quit"],
}


def environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    kept.update(TERM="dumb", NO_COLOR="1", PYTHONHASHSEED="0", HOME=str(HERE), LC_ALL="C.UTF-8")
    return kept


def session(arguments, commands, command="debugop"):
    """What the terminal shows while the commands are typed."""
    executable = Path(sys.executable).with_name(command)
    child = pexpect.spawn(
        str(executable), arguments, cwd=HERE, env=environment(), encoding="utf-8", dimensions=(50, 200), timeout=30
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
    text = re.sub(r"0x[0-9a-f]+", "0x...", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.parametrize("name", SESSIONS)
def test_session(name, request):
    shown = session(["debug", PROGRAM], SESSIONS[name])
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
    stop = re.compile(r"^> \S+?\(\d+\)(inner|outer)\(\)\S*\n-> .*?\n +(\d+) (\w+)", re.MULTILINE)
    # The interpreter tells of the end of a loop, which debugop does not report (`debugop_bytecode::Silent`).
    silent = ("END_FOR", "POP_ITER")
    told = [(name, int(offset)) for name, offset, opname in stop.findall(shown) if opname not in silent]
    assert len(told) > 30
    # `step` has stopped at the first, the call of `outer`.
    assert told == traced[1:]


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
