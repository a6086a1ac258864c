"""A live session that keeps history: what is recorded at each stop is what has been executed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

PROGRAM = """\
class Counter:
    step = 2

    def __init__(self, start):
        self.value = start

    def more(self):
        self.value += self.step
        return self.value


def numbers(limit):
    for i in range(limit):
        yield i
        yield -i


def deep(n):
    if n == 0:
        raise KeyError("deep")
    return deep(n - 1) + 1


def guarded(n):
    try:
        return deep(n)
    except KeyError as error:
        return str(error)
    finally:
        n = None


def plain():
    a = 1
    b = a
    c = b
    while c < 3:
        c = c + 1
    return a, b, c


def main():
    counter = Counter(1)
    total = 0
    while counter.more() < 5:
        total += counter.value
    total += sum(numbers(2))
    squares = [
        i * i
        for i in range(3)
        if i
    ]
    text = guarded(1)
    with open(__file__) as file:
        file.read(1)
    words = sorted("ba", key=lambda word: -ord(word))
    return total, squares, text, plain(), words


main()
"""

# What the interpreter tells of and debugop does not report (`debugop_bytecode::Silent`).
SILENT = ("END_FOR", "POP_ITER")


@pytest.mark.parametrize("kind", ["step", "stepi"])
def test_what_is_recorded_at_each_stop_is_what_has_been_executed(tmp_path, kind):
    script, output = tmp_path / "flow.py", tmp_path / "stops.json"
    script.write_text(PROGRAM)
    command = "import sys; sys.path.insert(0, sys.argv[1]); del sys.argv[1]; import driver"
    subprocess.run(
        [sys.executable, "-c", command, HERE / "history", kind, script, output],
        check=True,
        timeout=60,
        capture_output=True,
    )
    told = json.loads(output.read_text())
    every, stops = told["every"], told["stops"]
    assert len(every) > 200
    assert told["replayed"] == len(every) + told["others"]
    compared = 0
    for stop in stops:
        if stop["last"] is None:
            continue
        # The last step that is recorded is where it stands, or what it is in the middle of.
        assert stop["last"] == every[stop["steps"] - told["others_before"] - 1], stop
        if not stop["is_there"]:
            continue
        compared += 1
        # Cells of a class body's own are not in its `f_locals`.
        values = {name: value for name, value in stop["locals"].items() if not name.startswith("__class")}
        for name, value in values.items():
            # What the instructions since the last look have made is not known before everything is described.
            unknown = [] if stop["described"] else ["<unknown: not known yet>"]
            # What is not certain is marked, and right here.
            assert value in (stop["live"][name], *unknown), stop
        assert not stop["described"] or "<unknown: not known yet>" not in stop["before"], stop
        assert values.keys() == {name for name in stop["live"] if not name.startswith("__class")}, stop
    assert compared > 0.6 * len(stops)
    visited = {tuple(stop["at"][:2]) for stop in stops if stop["is_there"]}
    if kind == "stepi":
        missing = {tuple(step) for step in every} - visited
        assert len(missing) < 40, missing


def debugged(tmp_path, source, commands, *options):
    """What `debugop debug --history` says of a program to which these commands are given."""
    script = tmp_path / "program.py"
    script.write_text(source)
    temporary = tmp_path / "temporary"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        [Path(sys.executable).with_name("debugop"), "debug", *(options or ("--history", "4MiB")), script],
        input="\n".join([*commands, "quit", ""]),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "TMPDIR": str(temporary), "NO_COLOR": "1"},
    )
    # Nothing is left of it.
    assert list(temporary.iterdir()) == []
    return done.stdout.replace(str(tmp_path) + os.sep, "")


def answers(shown):
    """What stands behind each prompt."""
    return [part.splitlines() for part in re.split(r"\((?:Pdb|debugop: step \d+, past)\) ", shown)]


LOOP = """\
def work(n):
    x = 1
    for i in range(n):
        x += i
        y = [x]
    return x, y


print(work(3))
"""


def test_what_is_changed_at_the_prompt_is_recorded(tmp_path):
    commands = ["break 5", "c", "!x = 100", "n", "n", "n", "rn", "rn", "p x", "rn", "rn", "p x, i", "clear 1", "c", "c"]
    shown = debugged(tmp_path, LOOP, commands)
    told = answers(shown)
    assert told[9] == ["100"], shown
    assert told[12] == ["(1, 0)"], shown
    assert "(103, [103])" in shown


def test_the_program_can_be_led_on_somewhere_else(tmp_path):
    shown = debugged(
        tmp_path, LOOP, ["break 5", "c", "jump 4", "n", "p x, i", "clear 1", "n", "rn", "rn", "rn", "c", "c"]
    )
    assert "*** " not in shown
    assert "(4, [4])" in shown


def test_what_is_called_at_the_prompt_is_not_recorded(tmp_path):
    source = "def f(n):\n    return n + 1\n\n\ndef numbers():\n    yield 1\n    yield 2\n    yield 3\n\n\nn = numbers()\nf(1)\nf(2)\nprint(list(n))\n"
    commands = [
        "b 12",
        "c",
        "when",
        "p f(7), next(n)",
        "when",
        "n",
        "when",
        "b f, n > 1",
        "c",
        "c",
        "b 14",
        "c",
        "n",
        "rc",
        "p n",
        "rc",
        "c",
        "c",
        "c",
    ]
    shown = debugged(tmp_path, source, commands)
    whens = [int(one) for one in re.findall(r"^step (\d+) of", shown.replace("(Pdb) ", "\n"), re.MULTILINE)]
    assert whens[0] == whens[1] < whens[2] < whens[0] + 12
    assert "[2, 3]" in shown
    assert "Back in the present" in shown
    assert "*** " not in shown


def test_the_past_of_a_failure_is_there(tmp_path):
    source = "def f(n):\n    m = n - 1\n    return 1 / m\n\n\ndef g():\n    a = f(2)\n    return a + f(1)\n\n\ng()\n"
    shown = debugged(tmp_path, source, ["c", "rs", "rs", "p n", "p m", "rfinish", "p a", "goto end", "p m"])
    told = answers(shown)
    # The line that has failed, and the one before.
    assert told[2] == ["> program.py(3)f()", "-> return 1 / m"], shown
    assert told[3] == ["> program.py(2)f()", "-> m = n - 1"], shown
    assert told[4] == ["1"]
    assert told[5] == ["*** local variable 'm' has no value here"]
    assert told[6] == ["> program.py(8)g()", "-> return a + f(1)"]
    assert told[7] == ["1.0"]
    assert told[8][0] == "--Back in the present--"
    assert told[9] == ["0"]


def test_other_threads_go_on(tmp_path):
    source = """\
import threading, time

stop = threading.Event()
count = 0


def count_up():
    global count
    while not stop.is_set():
        count += 1
        time.sleep(0.001)


def work():
    a = 1
    b = 2
    stop.set()
    return a + b


thread = threading.Thread(target=count_up)
thread.start()
work()
thread.join()
"""
    commands = [
        "b 17",
        "c",
        "!before = count",
        "import time; time.sleep(0.05)",
        "p count > before",
        "rs",
        "rs",
        "p a",
        "c",
        "n",
        "n",
        "rs",
        "where",
        "c",
    ]
    shown = debugged(tmp_path, source, commands)
    assert ["True"] in answers(shown)
    assert "> program.py(16)work()" in shown
    assert "> program.py(15)work()" in shown
    assert "*** " not in shown.replace("*** local variable 'a' has no value here", "")


def test_only_so_much_is_kept(tmp_path):
    source = """\
import os, tempfile

def work(n):
    x = 0
    for i in range(n):
        x += i * i % 7
    return x

work(400_000)
size = sum(entry.stat().st_size for found in os.scandir(tempfile.gettempdir()) for entry in os.scandir(found) if entry.name.endswith("debugop"))
print("done")
"""
    shown = debugged(
        tmp_path,
        source,
        ["b 11", "c", "p size < 2 << 20", "when", "b 6", "rc", "p i", "goto 0", "p i > 0", "goto end"],
        "--history",
        "1M",
    )
    told = answers(shown)
    assert told[3] == ["True"]
    assert told[7] == ["399999"]
    assert told[9] == ["True"]


def test_a_process_that_is_left_leaves_nothing(tmp_path):
    shown = debugged(tmp_path, LOOP + "print('goes on')\n", ["b 4", "c", "rs", "c", "detach"])
    assert shown.endswith("goes on\n")


def test_where_there_is_no_history(tmp_path):
    shown = debugged(tmp_path, LOOP, ["b 5", "c", "debug work(1)", "s", "rs", "q"])
    assert "*** There is no history here." in shown
    script = tmp_path / "program.py"
    plain = subprocess.run(
        [Path(sys.executable).with_name("debugop"), "debug", script],
        input="rs\nq\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "There is no history here, which rs is about" in plain.stdout


def test_a_child_has_none(tmp_path):
    source = "import os\n\n\ndef f():\n    return 1\n\n\nf()\npid = os.fork()\nif pid == 0:\n    f()\n    os._exit(7)\nstatus = os.waitpid(pid, 0)[1]\nprint(os.waitstatus_to_exitcode(status))\n"
    shown = debugged(tmp_path, source, ["b 13", "c", "n", "n", "rn", "rc", "c", "c"])
    assert "\n7\n" in shown.replace("(Pdb) 7", "\n7\n")
    assert "Back in the present" in shown


def test_what_a_killed_session_has_left_is_deleted(tmp_path):
    temporary = tmp_path / "temporary"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (temporary / f"debugop-history-{dead.pid}-x").mkdir(parents=True)
    debugged(tmp_path, "x = 1\n", ["c"])
