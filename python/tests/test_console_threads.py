"""Several threads that come to a stop, typed at through a pseudo-terminal: one has the prompt, the others wait."""

import re
import sys
import textwrap

import pytest

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal, and is not installed")

from test_console import PROMPTS  # noqa: E402
from test_console_faults import typed  # noqa: E402, F401

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="only the thread in which debugging has begun stops on 3.11"
)

THREADS = 8
PROGRAM = """\
import threading
gate = threading.Barrier(8)
done = []
def work(number):
    gate.wait()
    value = number * 2
    done.append(value)
    other(value)
def other(value):
    return value
threads = [threading.Thread(target=work, args=(n,), name=f"worker-{n}") for n in range(8)]
for one in threads: one.start()
for one in threads: one.join()
print("sum", sum(done))
"""


def stops(session, *commands):
    """The values of the threads that stop, one after the other, until the program has ended."""
    values, last = [], ""
    for _ in range(3 * THREADS):
        last = session("continue")
        if "The program finished" in last:
            break
        for command in commands:
            session(command)
        values.append(int(session("p value").splitlines()[-1]))
    return values, last


@pytest.mark.parametrize("line", ["7", "7, value >= 0", "other", "work*{}"])
def test_all_threads_stop_one_after_the_other(typed, line):  # noqa: F811
    session = typed(PROGRAM)
    session("tbreak 11")
    session("continue")
    if "{}" in line:
        offset = re.search(r"(\d+) LOAD_GLOBAL +\d+ \(done", session("dis work"))[1]
        line = line.format(offset)
    assert "reakpoint 2" in session(f"break {line}")
    values, last = stops(session)
    assert sorted(values) == [2 * n for n in range(THREADS)]
    assert f"sum {sum(values)}" in last


def test_threads_says_who_waits(typed):  # noqa: F811
    session = typed(PROGRAM)
    session("break 7")
    shown = session("continue")
    assert re.search(r"\[Switching to thread \d+ \(worker-\d\)\]", shown)
    for _ in range(50):
        listed = session("threads")
        if listed.count("(waits to stop)") == THREADS - 1:
            break
    assert listed.count("(waits to stop)") == THREADS - 1, listed
    assert len(re.findall(r"^\* \d+ +worker-\d +work\(\) at fault.py:7 \(stopped\)", listed, re.MULTILINE)) == 1
    assert "MainThread" in listed
    values, _ = stops(session)
    assert len(values) == THREADS - 1


def test_an_interrupt_at_the_prompt_of_a_thread(typed):  # noqa: F811
    session = typed(PROGRAM)
    session("break 7")
    session("continue")
    first = int(session("p value").splitlines()[-1])
    session.child.sendintr()
    session.child.expect_exact("--KeyboardInterrupt--")
    assert session("p value").splitlines()[-1] == str(first)
    values, last = stops(session)
    assert sorted([first, *values]) == [2 * n for n in range(THREADS)]
    assert "sum 56" in last


def test_a_thread_is_stepped_through(typed):  # noqa: F811
    session = typed(PROGRAM)
    session("break 6, number == 3")
    assert "worker-3" in session("continue")
    assert "-> done.append(value)" in session("next")
    assert "-> other(value)" in session("next")
    assert "other()" in session("step")
    assert session("p value").splitlines()[-1] == "6"
    assert "sum 56" in session("continue")


def test_a_step_ends_where_another_thread_stops(typed):  # noqa: F811
    session = typed(PROGRAM)
    session("break 7")
    session("continue")
    values = {int(session("p value").splitlines()[-1])}
    last = ""
    for turn in range(4 * THREADS):
        last = session(["next", "continue"][turn % 2])
        if "The program finished" in last:
            break
        shown = session("p value").splitlines()[-1]
        if shown.isdigit():
            values.add(int(shown))
    assert "The program finished" in last
    assert values == {2 * n for n in range(THREADS)}


def test_breakpoint_in_every_thread(typed):  # noqa: F811
    program = PROGRAM.replace("    done.append(value)\n", "    breakpoint(); done.append(value)\n")
    session = typed("import os; os.environ['PYTHONBREAKPOINT'] = 'debugop.set_trace'\n" + program)
    values, last = stops(session)
    assert sorted(values) == [2 * n for n in range(THREADS)]
    assert "sum 56" in last


def test_watched_by_all(typed):  # noqa: F811
    program = textwrap.dedent("""\
        import threading
        total = 0
        def add(number):
            global total
            total = number
        def work(number):
            one = threading.Thread(target=add, args=(number,))
            one.start()
            one.join()
        work(1)
        work(2)
        """)
    session = typed(program)
    session("tbreak 10")
    session("continue")
    session("watch total")
    for new in (1, 2):
        shown = session("continue")
        assert f"New value: {new}" in shown
        assert re.search(r"Changed by \d+ STORE_GLOBAL +\d+ \(total\)", shown)
        assert "add()" in session("where")


def test_quit_ends_the_program(typed):  # noqa: F811
    session = typed(PROGRAM)
    session("break 7")
    session("continue")
    shown, status, _ = session.last("quit")
    assert status == 0
    assert "sum" not in shown
    assert not PROMPTS.search(shown)
