"""What programs do to the debugger that runs in their process, typed at through a pseudo-terminal."""

import compileall
import os
import re
import signal
import sys
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal, and is not installed")

from test_console import PROMPTS, environment, tidy  # noqa: E402


class Typed:
    """`debugop debug` at a terminal."""

    def __init__(self, directory, *arguments):
        executable = str(Path(sys.executable).with_name("debugop"))
        self.directory = directory
        self.child = pexpect.spawn(
            executable,
            ["debug", *arguments],
            cwd=directory,
            env=environment(),
            encoding="utf-8",
            dimensions=(50, 200),
            timeout=30,
        )
        self.shown = self.prompted()

    def prompted(self):
        self.child.expect(PROMPTS)
        return self.tidied()

    def tidied(self):
        return tidy(self.child.before).replace(str(self.directory) + os.sep, "")

    def __call__(self, command):
        """What is shown of a command."""
        self.child.sendline(command)
        return self.prompted()

    def last(self, command):
        """What is shown of a command that ends the process, and how it has ended: (shown, exit status, signal)."""
        self.child.sendline(command)
        self.child.expect(pexpect.EOF)
        shown = self.tidied()
        self.child.close()
        return shown, self.child.exitstatus, self.child.signalstatus


@pytest.fixture
def typed(tmp_path):
    opened = []

    def begin(source, *arguments):
        (tmp_path / "fault.py").write_bytes(source if isinstance(source, bytes) else source.encode())
        opened.append(Typed(tmp_path, *(arguments or ("fault.py",))))
        return opened[-1]

    yield begin
    for one in opened:
        one.child.close(force=True)


def test_exits(typed):
    prompt = typed("import sys\nsys.exit(3)\n")
    shown = prompt("continue")
    assert "The program exited via sys.exit(). Exit status: 3" in shown
    assert "fault.py(1)<module>()" in shown


def test_exits_at_once(typed):
    shown, status, _ = typed("import os\nos._exit(5)\n").last("continue")
    assert (shown.split(), status) == (["continue"], 5)


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ("import ctypes; ctypes.string_at(0)", signal.SIGSEGV),
        ("os.abort()", signal.SIGABRT),
        ("os.kill(os.getpid(), 9)", signal.SIGKILL),
    ],
)
def test_crashes(typed, how, number):
    """The debugger ends with the program, by the same signal."""
    prompt = typed(f"import os, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n{how}\n")
    prompt("tbreak 3")
    prompt("continue")
    assert prompt.last("continue")[2] == number


def test_changes_directory(typed):
    prompt = typed("import os\ndef f():\n    x = 1\n    return x\nos.chdir('/')\nf()\n")
    assert "Breakpoint 1 at fault.py:4" in prompt("break 4")
    assert re.search(r"fault.py\(4\)f\(\)\n-> return x\n", prompt("continue"))
    assert "  3  \t    x = 1" in prompt("list")
    assert "Breakpoint 2 at fault.py:3" in prompt("break 3")


@pytest.mark.parametrize(
    "how",
    [
        "sys.stdout = io.StringIO()",
        "sys.stdout.close()",
        "sys.stdin.close()",
        "sys.stdin = sys.stdout = None",
        "sys.stdin = io.StringIO('quit')",
        "sys.stderr.close()",
        "os.close(0)",
        "os.close(1)",
        "os.dup2(os.open('fault.py', os.O_RDONLY), 0)",
        "os.dup2(os.open('written', os.O_RDWR | os.O_CREAT), 1)",
        # Somebody has to keep the pseudo-terminal open.
        "os.closerange(0, 2); os.closerange(3, 100)",
    ],
)
def test_redirects(typed, how):
    """The prompt stays at the terminal, and the program has the streams that it has made."""
    prompt = typed(f"import io, os, sys\n{how}\nx = 5\ny = sys.stdout, sys.stdin\n")
    prompt("tbreak 3")
    assert "-> x = 5" in prompt("continue")
    assert "-> y = sys" in prompt("next")
    assert "p x\n5\n" in prompt("p x")
    prompt("next")
    if "StringIO" in how:
        assert "StringIO" in prompt("p y")
    shown = prompt("continue")
    assert "The program finished and will be restarted" in shown
    assert "fault.py(1)<module>()" in shown


def test_changes_signal_handlers(typed):
    """A handler that the program sets is its own after a stop."""
    prompt = typed(
        "import os, signal\ndef handler(*_):\n    print('handled')\nsignal.signal(signal.SIGINT, handler)\n"
        "x = 1\nos.kill(os.getpid(), signal.SIGINT)\nprint(signal.getsignal(signal.SIGINT) is handler)\n"
    )
    prompt("tbreak 5")
    prompt("continue")
    shown = prompt("continue")
    assert "handled\nTrue\n" in shown


def test_is_replaced(typed):
    shown, status, _ = typed(
        "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'print(6 * 7); raise SystemExit(4)'])\n"
    ).last("continue")
    assert shown.split() == ["continue", "42"]
    assert status == 4


def test_source_is_gone(typed, tmp_path):
    prompt = typed("import other\nother.f(2)\n")
    (tmp_path / "other.py").write_text("def f(x):\n    y = x\n    return y\n")
    prompt("next")
    (tmp_path / "other.py").unlink()
    assert re.search(r"--Call--\n> other.py\(1\)f\(\)\n +0 RESUME", prompt("step"))
    assert re.search(r"other.py\(2\)f\(\)\n +\d+ LOAD_FAST\w* +0 \(x\)", prompt("next"))
    assert "STORE_FAST" in prompt("stepi")
    assert re.search(r"-> +\d+ STORE_FAST", prompt("dis"))
    assert "p x\n2\n" in prompt("p x")


def test_no_source_at_all(typed, tmp_path):
    """With a `.pyc` only, there are instructions."""
    (tmp_path / "only.py").write_text("def f(x):\n    y = x + 1\n    return y\n")
    assert compileall.compile_file(tmp_path / "only.py", legacy=True, quiet=1)
    (tmp_path / "only.py").unlink()
    prompt = typed("import only\nprint(only.f(2))\n")
    prompt("next")
    offset = re.search(r"(\d+) BINARY_OP", prompt("dis only.f"))[1]
    assert f"Breakpoint 1 at only.py:2 f*{offset} BINARY_OP" in prompt(f"break only.f*{offset}")
    assert re.search(rf"only.py\(2\)f\(\)\n +{offset} BINARY_OP", prompt("continue"))
    assert "     1 1\n     0 2\n" in prompt("stack")
    prompt("setstack 1 40")
    assert "42\n" in prompt("continue")


def test_source_has_changed(typed, tmp_path):
    prompt = typed("def f():\n    return 1\nf()\nf()\n")
    prompt("next")
    prompt("next")
    (tmp_path / "fault.py").write_text("# other\n")
    os.utime(tmp_path / "fault.py", (1, 1))
    assert "*** WARNING: file 'fault.py' was edited, running stale code until the program is rerun" in prompt("next")


def test_source_is_not_utf8(typed):
    prompt = typed("# coding: latin-1\ndef f(ä):\n    é = 'ü' + ä\n    return é\nf('ö')\n".encode("latin-1"))
    prompt("break 3")
    assert re.search(r"\n-> é = 'ü' \+ ä\n {7}\^\^\^\n +\d+ LOAD_CONST +\d \('ü'\)\n", prompt("continue"))
    assert "'ö'" in prompt("p ä")


def test_source_is_none(tmp_path):
    """What cannot be decoded is told, and is the end (3.11) or looked at as any uncaught exception."""
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    executable = str(Path(sys.executable).with_name("debugop"))
    child = pexpect.spawn(executable, ["debug", "bytes.py"], cwd=tmp_path, env=environment(), encoding="utf-8")
    child.expect([PROMPTS, pexpect.EOF], timeout=30)
    assert "SyntaxError" in child.before
    child.close(force=True)


def test_no_code_there(typed):
    prompt = typed("# nothing\n\nx = 1\n")
    assert "*** Blank or comment" in prompt("break 1")
    assert "*** Blank or comment" in prompt("break 2")
    assert "End of file" in prompt("break 9")
    assert "Breakpoint 1" in prompt("break 3")


def test_condition_is_wrong(typed):
    prompt = typed("x = 1\ny = 2\n")
    assert re.search(r"\*\*\* Invalid condition .*SyntaxError", prompt("break 2, x ="))
    assert re.search(r"\*\*\* Invalid condition .*SyntaxError", prompt("break *2, x ="))
    assert "Breakpoint 1" in prompt("break 2, nothing")
    # One that raises stops.
    assert "fault.py(2)<module>()" in prompt("continue")


@pytest.mark.parametrize("place", ["3", "f*OFFSET"])
def test_condition_never_ends(typed, place):
    """Ctrl-C ends it, and is an answer: the program stops."""
    source = "def f():\n    x = 1\n    return x\ndef forever():\n    while True:\n        pass\nf()\nprint('done')\n"
    prompt = typed(source)
    prompt("tbreak 7")
    prompt("continue")
    if "OFFSET" in place:
        offset = re.search(r"(\d+) (?:RETURN_VALUE|LOAD_FAST)", prompt("dis f"))[1]
        place = f"f*{offset}"
    prompt(f"break {place}, forever()")
    prompt.child.sendline("continue")
    prompt.child.expect("continue\r\n")
    with pytest.raises(pexpect.TIMEOUT):
        prompt.child.expect(PROMPTS, timeout=2)
    prompt.child.sendintr()
    assert re.search(r"fault.py\(\d\)(f|forever)\(\)", prompt.prompted())
    prompt("clear 2")
    assert prompt("p 6 * 7").endswith("42\n")
    shown, _, _ = prompt.last("quit")
    assert "done" not in shown
