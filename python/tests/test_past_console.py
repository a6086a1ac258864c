"""The console over a recording, typed at through a pseudo-terminal.

What it prints is compared with `console/expected/3.X/past_NAME.txt`, which `pytest --write-expected` writes.
"""

import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal, and is not installed")

from test_console import EXPECTED, HERE, MADE_WITH, PROGRAM, PROMPTS, environment, session  # noqa: E402

SESSIONS = {
    "step": [*["step"] * 3, "break 34", "continue", *["s"] * 9, "when", "where", "quit"],
    "back": [
        "break 18",
        "c",
        "c",
        "p width, answer",
        "rs",
        "rs",
        "rs",
        "where",
        "rfinish",
        "rn",
        "rn",
        "rc",
        "rc",
        "q",
    ],
    "instructions": [
        "break area",
        "c",
        "si",
        "ni",
        "stack",
        "rsi",
        "rsi",
        "ni",
        "rni",
        "rni",
        "dis",
        "dis all",
        "quit",
    ],
    "return": [
        "break area",
        "c",
        "r",
        "retval",
        "n",
        "n",
        "until",
        "until 19",
        "n",
        "reverse-next",
        "reverse-step",
        "quit",
    ],
    "goto": [
        "goto 40",
        "when",
        "goto end",
        "goto start",
        "goto -2",
        "goto 99999",
        "goto x",
        "goto",
        "info",
        "threads",
        "quit",
    ],
    "values": [
        "break 19",
        "c",
        "p sizes, answer, point",
        "p sizes[0] + len(sizes), point.x, sizes[5]",
        "p Point",
        "p point == 1",
        "p total(1)",
        "pp {'a': sizes, 'b': answer}",
        "!answer * 2",
        "answer = 1",
        "whatis point",
        "args",
        "locals",
        "display answer",
        "rc",
        "up",
        "p answer",
        "down",
        "nothing",
        "quit",
    ],
    "origin": [
        "break 18",
        "c",
        "c",
        "origin width",
        "writes answer",
        "origin point.x",
        "origin stack[0]",
        "origin nothing",
        "writes 1",
        "list",
        "ll",
        "source fails",
        "q",
    ],
    "watch": [
        "break 17",
        "c",
        "clear 1",
        "watch answer",
        "watch 1 + 1",
        "c",
        "c",
        "rc",
        "rc",
        "rc",
        "unwatch",
        "c",
        "q",
    ],
    "catch": [
        "catch",
        "c",
        "c",
        "clear 1",
        "catch ValueError",
        "catch KeyError",
        "rc",
        "p text",
        "where",
        "break",
        "rc",
        "q",
    ],
    "breakpoints": [
        "break 18, width == 4",
        "tbreak fails",
        "break *2",
        "break 999",
        "break nothing",
        "break 18, width ==",
        "break",
        "c",
        "p width",
        "c",
        "ignore 1 1",
        "condition 1 width > 0",
        "goto 0",
        "c",
        "p width",
        "disable 1",
        "rc",
        "clear 1",
        "quit",
    ],
    "commands": ["break 18", "commands 1", "silent", "p width", "end", "c", "c", "rc", "quit"],
    "help": [
        "help rc",
        "help goto",
        "help watch",
        "jump 3",
        "interact",
        "rc 1",
        "alias twice p %1 * 2",
        "c",
        "twice 4",
        "EOF",
    ],
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("past") / "program.debugop"
    command = [sys.executable, "-m", "debugop", "record", "-o", str(path), PROGRAM]
    subprocess.run(command, cwd=HERE, env=environment(), check=True, capture_output=True)
    return path


def shown_of(recording, commands):
    text = session(["debug", str(recording)], commands)
    text = text.replace(str(recording.parent) + os.sep, "").replace(sys.executable, "PYTHON")
    text = re.sub(r"thread 0 \(\d+\), \d+\.\d+ s", "thread 0 (MAIN), TIME s", text)
    text = re.sub(r"^> 0 \d+:", "> 0 MAIN:", text, flags=re.MULTILINE)
    text = re.sub(r" steps of .*", " steps of COMMAND", text)
    return re.sub(r"^CPython [\d.]+", "CPython VERSION", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", SESSIONS)
def test_session(name, request, recording):
    shown = shown_of(recording, SESSIONS[name])
    assert "Traceback" not in shown
    expected = EXPECTED / f"past_{name}.txt"
    if request.config.getoption("--write-expected"):
        expected.write_text(shown)
    elif not expected.exists():
        pytest.skip(f"no transcript has been written for {EXPECTED.name} yet: run with --write-expected")
    elif shown != expected.read_text():
        made_with = MADE_WITH.read_text().strip()
        if made_with != platform.python_version():
            pytest.skip(f"what is expected was made with {made_with}, which compiles or says it otherwise")
        assert shown == expected.read_text()


def test_breakpoints_at_instructions_of_functions(recording):
    shown = shown_of(recording, ["b area*nothing", "b area*1", "b nothing*0", "b opcode NOTHING in area", "q"])
    assert "*** Bad offset: nothing" in shown
    assert "*** No instruction begins at 1 of area" in shown
    assert "*** The specified object 'nothing' is not a function or is not in the recording" in shown
    assert "*** There is no NOTHING in area" in shown
    shown = shown_of(recording, ["b opcode BINARY_OP in area, width == 4", "c", "stack", "b", "q"])
    assert "Breakpoint 1 at area opcode BINARY_OP (1 instruction)" in shown
    # It shows the instruction.
    offset = re.search(r"area\(\)\n-> result = width \* height\n +(\d+) BINARY_OP", shown)[1]
    assert re.search(r"1 2\n +0 4\n", shown)
    assert "stop only if width == 4" in shown
    shown = shown_of(recording, [f"tbreak area*{offset}", "c", "p width", "c", "q"])
    assert f"Breakpoint 1 at area*{offset}" in shown
    assert re.search(rf"\n +{offset} BINARY_OP", shown)
    assert "(Pdb) p width\n3\n" in shown
    assert "--End of the recording--" in shown


def typed(arguments, directory, terminal="dumb"):
    return pexpect.spawn(
        str(Path(sys.executable).with_name("debugop")),
        arguments,
        cwd=directory,
        env={**environment(), "TERM": terminal},
        encoding="utf-8",
        timeout=60,
    )


def test_a_condition_that_never_holds_is_interrupted(tmp_path):
    (tmp_path / "loop.py").write_text(
        "def loop(n):\n    for i in range(n):\n        x = i\n    return x\n\nloop(30000)\n"
    )
    command = [sys.executable, "-m", "debugop", "record", "loop.py"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    child = typed(["debug", "loop.debugop"], tmp_path)
    child.expect(PROMPTS)
    child.sendline("break 3, x < 0")
    child.expect(PROMPTS)
    child.sendline("continue")
    child.expect("continue")
    time.sleep(0.5)
    child.sendintr()
    child.expect("KeyboardInterrupt")
    child.expect(PROMPTS)
    child.sendline("when")
    child.expect(r"step \d+ of")
    child.expect(PROMPTS)
    child.sendline("quit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_completion(recording):
    child = typed(["debug", str(recording)], HERE, "xterm")
    child.expect(PROMPTS)
    child.send("rfin\t\n")
    child.expect("Beginning of the recording")
    child.expect(PROMPTS)
    child.sendline("quit")
    child.expect(pexpect.EOF)
    child.close(force=True)
