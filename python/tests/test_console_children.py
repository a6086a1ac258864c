"""Programs that a debugged one starts, and its forks, typed at through a pseudo-terminal: one process has the prompt, the others wait."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal, and is not installed")

from test_console import environment  # noqa: E402
from test_console_faults import typed  # noqa: E402, F401

CHILD = """\
import sys
def work(n):
    total = n * 2
    return total
print("child", work(int(sys.argv[1])))
sys.exit(3)
"""
SWITCH = re.compile(r"\[Switching to process (\d+) \((\S+)\)\]")


@pytest.fixture
def program(typed, tmp_path):  # noqa: F811
    """A program at the prompt that follows what it starts, `child.py` among it."""

    def begin(source, *arguments, child=CHILD, follow=("exec on",)):
        (tmp_path / "child.py").write_text(child)
        session = typed(source, *arguments)
        for one in follow:
            session(f"set follow-{one}")
        return session

    return begin


def value(session, expression):
    return session(f"p {expression}").splitlines()[-1]


def finished(shown):
    return "The program finished" in shown


def process(shown):
    """Which process has come to a stop, as a text says."""
    return int(SWITCH.search(shown)[1])


RUN = """\
import subprocess, sys
def run(n, **how):
    return subprocess.run([sys.executable, "child.py", str(n)], **how)
first = run(7).returncode
second = run(5, capture_output=True, input=b"no commands")
print(first, second)
third = 3
"""


def test_a_program_that_is_run(program):
    session = program(RUN)
    assert "Breakpoint 1 at child.py:4" in session("break child.py:4")
    session("break 7")
    shown = session("continue")
    assert SWITCH.search(shown)[2] == "child.py"
    assert re.search(r"child.py\(4\)work\(\)\n-> return total\n {10}\^+\n +\d+ LOAD_FAST", shown)
    assert value(session, "n, total") == "(7, 14)"
    # The next one's standard streams are pipes.
    shown = session("continue")
    assert "child 14" in shown
    assert SWITCH.search(shown)[2] == "child.py"
    assert value(session, "n, total") == "(5, 10)"
    assert "work()" in session("where")
    # Back in the first.
    shown = session("continue")
    assert re.search(r"3 CompletedProcess\(.*returncode=3, stdout=b'child 10\\n', stderr=b''\)", shown)
    assert SWITCH.search(shown)[2] == "fault.py"
    assert value(session, "first, second.returncode") == "(3, 3)"


def test_it_stops_before_its_first_line(program):
    session = program(RUN, follow=["exec stop"])
    shown = session("continue")
    assert "child.py(1)<module>()" in shown
    assert "def work" in session("next")
    assert "def work" in session("list")
    assert "Breakpoint" in session("break 4")
    assert "work()" in session("continue")
    # This one is left.
    shown = session("detach")
    assert "child 14" in shown
    assert "child.py(1)<module>()" in shown
    assert finished(session("continue"))


def test_it_is_left_by_default(typed, tmp_path):  # noqa: F811
    (tmp_path / "child.py").write_text(CHILD)
    session = typed(RUN)
    session("break child.py:4")
    assert "follow-exec is off" in session("set follow-exec")
    assert finished(session("continue"))


def test_what_goes_along(program):
    session = program(RUN)
    session("break 3")
    session("break child.py:4, n == 5")
    session("tbreak child.py:3")
    session("logpoint child.py:5 there {sys.argv[1]}")
    session("alias size p len(%1)")
    session("clear 1")
    session("commands 2")
    session("p 'of 2', total")
    session("end")
    shown = session("continue")
    assert "there 7" in shown
    assert "work()\n-> total = n * 2" in shown
    assert re.search(r"2 +breakpoint +keep yes +at child.py:4\n\s+stop only if n == 5", session("break"))
    assert session("size 'abc'").endswith("3\n")
    shown = session("continue")
    # One that is for once is so in each process.
    assert "there 5" in shown
    assert "-> total = n * 2" in shown
    assert "('of 2', 10)" in session("continue")


def test_what_stops_besides_lines_goes_along(program, tmp_path):
    (tmp_path / "shared.py").write_text(
        "LIMIT = 3\nclass Failure(Exception): pass\ndef check(n):\n    if n > LIMIT:\n        raise Failure(n)\n    return n\n"
    )
    (tmp_path / "checking.py").write_text(
        "import shared\nfor n in 2, 4:\n    try:\n        shared.check(n)\n    except shared.Failure:\n        pass\n{}['x']\n"
    )
    session = program(
        "import shared, subprocess, sys\nlast = 1\nsubprocess.run([sys.executable, 'checking.py'])\nprint('done')\n"
    )
    session("next")
    session("next")
    session("break shared.py:6, n == 2")
    session("logpoint shared.check checks {n}")
    offset = re.search(r"(\d+) RETURN_VALUE", session("dis shared.check"))[1]
    session(f"break shared.check*{offset}")
    session("catch shared.Failure")
    session("catch uncaught")
    session("watch last")
    shown = session("continue")
    assert "Watchpoint 6 last does not go along to other programs" in shown
    assert "check()" in shown
    assert value(session, "n") == "2"
    listed = session("break")
    assert re.search(r"3 +breakpoint +keep yes +at .*shared\.py:6 check\*", listed)
    assert re.search(r"4 +catchpoint +keep yes +raise shared\.Failure", listed)
    assert "watchpoint" not in listed
    assert "RETURN_VALUE" in session("continue")
    shown = session("continue")
    assert "checks 4" in shown
    assert "Catchpoint 4 (raise shared.Failure)" in shown
    shown = session("continue")
    assert "Catchpoint 5 (uncaught)" in shown
    assert "checking.py(7)<module>()" in shown


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_multiprocessing(program, method):
    source = f"""\
import multiprocessing
def work(n):
    total = n * 2
    return total
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        print(pool.map(work, [1, 2, 3]))
"""
    session = program(source, follow=["exec on", "fork both"])
    session("break 4")
    values, last = [], session("continue")
    while not finished(last) and len(values) < 9:
        assert "work()" in last
        values.append(int(value(session, "total")))
        last = session("continue")
    assert sorted(values) == [2, 4, 6]
    assert "[2, 4, 6]" in last


def test_two_at_once(program):
    source = """\
import subprocess, sys
both = [subprocess.Popen([sys.executable, "child.py", str(n)]) for n in (1, 2)]
print([one.wait() for one in both])
"""
    session = program(source)
    session("break child.py:4")
    first = session("continue")
    values = [value(session, "n")]
    second = session("continue")
    assert process(first) != process(second)
    values.append(value(session, "n"))
    last = session("continue")
    assert sorted(values) == ["1", "2"]
    assert "[3, 3]" in last
    assert finished(last)


@pytest.mark.parametrize(
    ("how", "name", "where"),
    [
        ("subprocess.run([sys.executable, '-c', text])", "-c", "<string>"),
        ("subprocess.run([sys.executable, '-'], input=text, text=True)", "-", "<stdin>"),
        ("subprocess.run([sys.executable, '-m', 'child', '7'])", "child.py", "child.py"),
        (
            "os.posix_spawn(sys.executable, [sys.executable, 'child.py', '7'], os.environ); os.wait()",
            "child.py",
            "child.py",
        ),
        ("os.fork() or os.execv(sys.executable, [sys.executable, 'child.py', '7']); os.wait()", "child.py", "child.py"),
    ],
)
def test_other_ways_to_start_one(program, how, name, where):
    session = program(f"import os, subprocess, sys\ntext = 'x = 1\\nprint(x)\\n'\n{how}\n", follow=["exec stop"])
    shown = session("continue")
    assert SWITCH.search(shown)[2] == name
    assert re.search(rf"{re.escape(where)}\(1\)<module>\(\)", shown)
    assert session("list").splitlines()[1].startswith("  1  ->")
    session("next")
    assert finished(session("continue"))


def test_it_is_replaced(program):
    """The same process goes on as another program, with the debugger."""
    session = program("import os, sys\nos.execv(sys.executable, [sys.executable, 'child.py', '8'])\n")
    session("break child.py:4")
    assert "child.py(4)work()" in session("continue")
    assert value(session, "total") == "16"
    shown, status, _ = session.last("continue")
    assert ("child 16" in shown, status) == (True, 3)


WAITS = """\
import subprocess, sys
done = subprocess.run([sys.executable, "child.py", "7"], stderr=subprocess.PIPE, text=True)
print(done.returncode, done.stderr)
"""


def test_it_crashes(program):
    child = "import ctypes, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nx = 1\nctypes.string_at(0)\n"
    session = program(WAITS, child=child)
    session("break child.py:4")
    session("continue")
    shown = session("continue")
    assert re.search(rf"^{-signal.SIGSEGV}$", shown, re.MULTILINE)
    assert finished(shown)


def test_it_is_killed_at_the_prompt(program):
    session = program(WAITS)
    session("break child.py:4")
    session("break 3")
    child = process(session("continue"))
    os.kill(child, signal.SIGKILL)
    shown = session.prompted()
    assert re.search(r"\[Switching to process \d+ \(fault.py\)\]", shown)
    assert value(session, "done.returncode") == "-9"


def test_it_fails(program):
    session = program(WAITS, child="def f(n):\n    return 1 / n\nf(0)\n")
    shown = session("continue")
    assert "Uncaught exception. Entering post mortem debugging" in shown
    assert "child.py(2)f()\n-> return 1 / n" in shown
    assert value(session, "n") == "0"
    assert "is not running" in session("stepi")
    shown = session("continue")
    assert re.search(r"1 Traceback \(most recent call last\):\n  File .*child.py\", line 3, in <module>", shown)
    assert finished(shown)


def test_quit_ends_it(program):
    session = program(WAITS)
    session("break child.py:4")
    session("continue")
    assert "only that can do it again" in session("run")
    shown = session("quit")
    assert re.search(r"^1$", shown, re.MULTILINE)
    assert finished(shown)


def test_the_first_ends_before(program, tmp_path):
    """The terminal is somebody else's then: the others go on without the debugger."""
    # The first one leads the session of the terminal: its end is a hangup for all.
    child = """\
import os, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
open("begun", "w").close()
while os.getppid() == int(sys.argv[1]):
    time.sleep(0.01)
x = 1
with open("ended", "w") as file:
    file.write(str(x))
"""
    source = """\
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "child.py", str(os.getpid())])
while not os.path.exists("begun"):
    time.sleep(0.01)
x = 1
"""
    session = program(source, child=child)
    session("break child.py:7")
    session("break 5")
    session("continue")
    session.last("quit")
    for _ in range(500):
        if (tmp_path / "ended").exists() and (tmp_path / "ended").read_text() == "1":
            break
        time.sleep(0.02)
    assert (tmp_path / "ended").read_text() == "1"


@pytest.mark.parametrize("how", ["start_new_session=True", "preexec_fn=os.setpgrp", "stdin=subprocess.DEVNULL"])
def test_another_session_or_group(program, how):
    source = f"import os, subprocess, sys\nprint(subprocess.run([sys.executable, 'child.py', '7'], {how}).returncode)\n"
    session = program(source)
    session("break child.py:4")
    assert "work()" in session("continue")
    assert value(session, "total") == "14"
    assert finished(session("continue"))


def test_it_closes_what_it_does_not_know(program):
    child = "import os\nos.closerange(3, 100)\nfiles = [*map(os.open, ['own'] * 9, [os.O_RDWR | os.O_CREAT] * 9)]\nx = 1\nprint(os.stat('own').st_size)\n"
    source = "import subprocess, sys\nprint(subprocess.run([sys.executable, 'child.py'], capture_output=True))\n"
    session = program(source, child=child, follow=["exec stop"])
    session("continue")
    session("next")
    assert "files = " in session("next")
    assert "x = 1" in session("next")
    assert value(session, "len(files)") == "9"
    shown = session("continue")
    assert r"stdout=b'0\n', stderr=b''" in shown
    assert finished(shown)


def test_ctrl_c_is_for_the_one_that_has_begun_last(program):
    child = "import time\nprint('runs', flush=True)\nend = time.time() + 20\nwhile time.time() < end:\n    time.sleep(0.01)\n"
    session = program(WAITS, child=child, follow=["exec stop"])
    session("break 3")
    first = process(session("next") + session("next"))
    session.child.sendline("continue")
    session.child.expect_exact("runs")
    time.sleep(0.1)
    session.child.sendintr()
    shown = session.prompted()
    assert "Program interrupted" in shown
    assert "child.py" in shown
    assert int(value(session, "__import__('os').getpid()")) == first
    # At its prompt neither.
    session.child.sendintr()
    assert "--KeyboardInterrupt--" in session.prompted()
    session("end = 0")
    shown = session("continue")
    assert re.search(r"\[Switching to process \d+ \(fault.py\)\]", shown)
    assert value(session, "done.returncode") == "0"


def test_both_sides_of_a_fork(program):
    source = "import os\npid = os.fork()\nx = bool(pid)\nif pid:\n    print(os.waitstatus_to_exitcode(os.wait()[1]))\nelse:\n    raise SystemExit(4)\n"
    session = program(source, follow=["fork both"])
    session("break 3")
    values, last = [], session("continue")
    while not finished(last) and len(values) < 4:
        values.append(value(session, "pid > 0"))
        last = session("continue")
    assert sorted(values) == ["False", "True"]
    assert re.search(r"^4$", last, re.MULTILINE)


def test_detach_leaves_the_first(typed):  # noqa: F811
    shown, status, _ = typed("import sys\nx = 1\nprint(x)\nsys.exit(5)\n").last("detach")
    assert (shown.split(), status) == (["detach", "1"], 5)


def test_it_takes_a_terminal(tmp_path):
    (tmp_path / "fault.py").write_text("x = 1\n")
    command = [Path(sys.executable).with_name("debugop"), "debug", "fault.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        input="set follow-exec on\nset follow-fork both\nquit\n",
        capture_output=True,
        text=True,
    )
    assert done.stdout.count("are debugged at a terminal only") == 2


def test_from_inside_of_a_program(program):
    session = program("import debugop\ndebugop.set_trace()\n" + RUN, follow=[])
    session("continue")
    session("set follow-exec on")
    session("break child.py:4")
    assert "child.py(4)work()" in session("continue")
    assert value(session, "total") == "14"


def test_nothing_is_left_behind(program):
    session = program(RUN)
    session("break child.py:4")
    session("continue")

    def left():
        return [name for name in os.listdir(tempfile.gettempdir()) if f"debugop-follow-{session.child.pid}-" in name]

    assert len(left()) == 1
    session("continue")
    session("continue")
    session.last("quit")
    assert left() == []


def test_at_a_terminal_that_can_do_more(program, monkeypatch):
    """Since 3.15 the prompt reads by other means there."""
    monkeypatch.setattr("test_console_faults.environment", lambda: {**environment(), "TERM": "xterm"})
    session = program(RUN)
    assert "follow-exec is on" in session("set follow-exec")
    session("break child.py:4")
    assert "work()" in session("continue")
    assert finished(session("continue") + session("continue"))
