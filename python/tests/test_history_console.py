"""The console of a live session that keeps history, typed at through a pseudo-terminal.

What it prints is compared with `console/expected/3.X/history_NAME.txt`, which `pytest --write-expected` writes.
"""

import re
import sys
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal, and is not installed")

import test_console  # noqa: E402
from test_console import HERE, PROGRAM, PROMPTS, compare, environment  # noqa: E402

SESSIONS = {
    "step": ["break 11", "continue", "rs", "rs", "where", "s", "n", "s", "s", "p result", "next", "quit"],
    "instructions": [
        "break 11",
        "c",
        "rsi",
        "rni",
        "stack",
        "rsi",
        "si",
        "ni",
        "ni",
        "ni",
        "stepi",
        "rni",
        "rfinish",
        "quit",
    ],
    "continue": ["break 10", "c", "c", "clear 1", "c", "rc", "q"],
    "breakpoints": [
        "break 34",
        "break 10, width == 4",
        "c",
        "c",
        "rc",
        "tbreak 18",
        "rc",
        "p width, answer",
        "break 19",
        "break",
        "disable 2",
        "c",
        "break",
        "c",
        "quit",
    ],
    "values": [
        "break 19",
        "c",
        "rn",
        "p sizes, answer, point",
        "p point.x + sizes[1]",
        "p total(1)",
        "pp {'a': sizes}",
        "locals",
        "args",
        "!answer = 7",
        "answer = 7",
        "setstack 0 1",
        "jump 17",
        "run",
        "list",
        "ll",
        "dis",
        "up",
        "down",
        "info",
        "threads",
        "goto end",
        "quit",
    ],
    "goto": [
        "goto 3",
        "when",
        "break 18",
        "c",
        "when",
        "goto 0",
        "goto 12",
        "when",
        "goto 9999",
        "goto -3",
        "goto end",
        "goto",
        "quit",
    ],
    "call": ["break 18", "c", "s", "rs", "s", "rsi", "s", "rfinish", "n", "s", "rn", "c", "s", "s", "r", "rs", "quit"],
    "writes": [
        "break 18",
        "c",
        "c",
        "writes answer",
        "origin width",
        "rn",
        "writes answer",
        "goto 57",
        "p answer",
        "q",
    ],
    "watch": ["break 19", "c", "watch answer", "rc", "rc", "c", "c", "unwatch", "quit"],
    "display": [
        "break 18",
        "c",
        "display answer",
        "rs",
        "rs",
        "display width",
        "c",
        "n",
        "n",
        "undisplay answer",
        "quit",
    ],
    "changed": [
        "break 19",
        "c",
        "!answer = 100",
        "jump 18",
        "n",
        "n",
        "rn",
        "rn",
        "p answer",
        "rn",
        "p answer",
        "c",
        "q",
    ],
    "prompt": ["break 18", "c", "p area(7, 7)", "p [x for x in sizes]", "n", "when", "rs", "rs", "rs", "rs", "quit"],
    "catch": ["catch ValueError", "c", "rs", "rc", "c", "where", "quit"],
    "queue": ["break 18", "c ;; rs ;; p width", "rs ;; c ;; p width", "alias back rs", "back", "c", "", "quit"],
    "help": [
        *(f"help {name}" for name in ("rs", "rc", "goto", "when", "writes", "origin", "reverse-next")),
        "rs",
        "help goto",
        "q",
    ],
}


def session(arguments, commands, directory=HERE):
    """What the terminal shows while the commands are typed."""
    text = test_console.session(arguments, commands, cwd=directory)
    text = re.sub(r"debugop-history-[\w-]+", "debugop-history-X", text)
    text = re.sub(r"thread 0 \(\w+\), \d+\.\d+ s", "thread 0 (MAIN), TIME s", text)
    text = re.sub(r" steps of .*", " steps of COMMAND", text)
    text = re.sub(r"^CPython [\d.]+", "CPython VERSION", text, flags=re.MULTILINE)
    return re.sub(r"^> 0 \w+:", "> 0 MAIN:", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", SESSIONS)
def test_session(name, request):
    shown = session(["debug", "--history", "8MiB", PROGRAM], SESSIONS[name])
    assert "Traceback" not in shown
    compare(f"history_{name}", shown, request)


def test_completion():
    child = pexpect.spawn(
        str(Path(sys.executable).with_name("debugop")),
        ["debug", "--history", "8M", PROGRAM],
        cwd=HERE,
        env={**environment(), "TERM": "xterm"},
        encoding="utf-8",
        timeout=60,
    )
    for line in ("break 18", "c", "rfin\t"):
        child.expect(PROMPTS)
        child.sendline(line)
    child.expect(r"program\.py\(34\)<module>\(\)")
    child.expect(PROMPTS)
    child.sendline("goto e\t")
    child.expect("--Back in the present--")
    child.expect(PROMPTS)
    child.sendline("writes answ\t")
    child.expect("STORE_FAST +bound 0")
    child.expect(PROMPTS)
    child.sendline("goto st\t")
    child.expect(r"\(debugop: step 0, past\)")
    child.sendline("quit")
    child.expect(pexpect.EOF)
    child.close(force=True)
