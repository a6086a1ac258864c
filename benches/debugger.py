"""What a debugger costs where nothing stops: debugop, pdb and debugpy, in the environment that runs this file.

A hot loop and a loop that calls a function, each run a few times under each debugger: attached without a breakpoint; with
breakpoints after the loops, in the same functions, which are hit; with a condition, a hit count or a log point in the loop that never holds; and with watchpoints on places
that the loop does not change. The program
times its own loops, and the smallest time a round counts, so that the stops are not in it.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "debugged.py"
LOOPS = ("loop", "calls")
ROUNDS = 1_000_000
TURNS = 5
LIMIT = 120
"""Seconds for one run."""
SLOW = 50
"""How many times fewer rounds are run where Python is entered at each line."""

MARKS = {
    mark: number
    for number, line in enumerate(PROGRAM.read_text().splitlines(), 1)
    for mark in re.findall(r"# ((?:in front of|in|after) the loop.*)$", line)
}
# What is set: (line or function, condition, how often it is passed over, what is logged).
NEVER = 10**9
RUNNING = "breakpoint cleared in a loop that goes on"
LOCAL = "watch on a local"
# Watched from before the loops on.
WATCHED = {
    "watch on a global": "LIMIT",
    "watch on an attribute": "box.width",
    "watch on an item of a dictionary": "sizes['width']",
    "watch on an item of a list": "items[1]",
    "watch on an attribute with a slot": "slotted.width",
}
SCENES = {
    "attached, no breakpoint": [],
    "breakpoint after the loop": [
        (MARKS["after the loop"], None, 0, None),
        (MARKS["after the loop of calls"], None, 0, None),
    ],
    "condition in the loop, never true": [
        (MARKS["in the loop"], "i < 0", 0, None),
        (MARKS["in the loop of calls"], "i < 0", 0, None),
    ],
    "condition at a function that it calls": [("leaf", "i < 0", 0, None)],
    RUNNING: [
        (MARKS["in the loop that goes on"], None, 0, None),
        (MARKS["in the loop of calls that goes on"], None, 0, None),
    ],
    "hit count in the loop": [
        (MARKS["in the loop"], None, NEVER, None),
        (MARKS["in the loop of calls"], None, NEVER, None),
    ],
    "log point in the loop, never true": [
        (MARKS["in the loop"], "i < 0", 0, "i is {i}"),
        (MARKS["in the loop of calls"], "i < 0", 0, "i is {i}"),
    ],
    LOCAL: [
        (MARKS["in front of the loop"], None, 0, None),
        (MARKS["in front of the loop of calls"], None, 0, None),
    ],
    **{key: [(MARKS["in front of the loops"], None, 0, None)] for key in WATCHED},
}
# What debuggers do not have.
NOT_OFFERED = {
    ("pdb", "log point in the loop, never true"),
    *((name, scene) for name in ("pdb", "debugpy") for scene in (LOCAL, *WATCHED)),
}
LIMITS = {"attached, no breakpoint": 1.01, "breakpoint after the loop": 1.02, RUNNING: 1.02}
TARGETS = {("debugop", scene): LIMITS.get(scene, 2 if scene == LOCAL or scene in WATCHED else 1.5) for scene in SCENES}


def result(output):
    """Seconds a round, by loop."""
    found = re.search(r"RESULT (\{.*\})", output)
    if not found:
        raise RuntimeError(f"the program was not measured: {output[-2000:]}")
    return json.loads(found[1])


def program(rounds, scene):
    """The program of a scene, with its arguments."""
    return [PROGRAM, str(rounds), str(TURNS), *(["running"] if scene == RUNNING else [])]


def plain(rounds, scene):
    """Without a debugger."""
    done = subprocess.run([sys.executable, *program(rounds, scene)], check=True, capture_output=True, text=True)
    return result(done.stdout)


def script(breakpoints, scene, turns):
    """What is typed at a console with pdb's commands."""
    commands = []
    for number, (line, condition, ignore, log) in enumerate(breakpoints, 1):
        if log:
            commands.append(f"logpoint {line} {log}, if {condition}")
        else:
            commands.append(f"break {line}" + (f", {condition}" if condition else ""))
        if ignore:
            commands.append(f"ignore {number} {ignore}")
    # A watchpoint on a variable ends with its function, which stops.
    turn = ["continue", "watch n", "continue"] if scene == LOCAL else ["continue"]
    if scene in WATCHED:
        turn = ["continue", f"watch {WATCHED[scene]}"]
    typed = [*commands, *turn * (1 if scene in WATCHED else 2 * turns), "continue", "quit", "quit"]
    if scene == RUNNING:
        typed = [*commands, "continue", "clear 1", "continue", "clear 2", "continue", "quit", "quit"]
    return "\n".join(typed) + "\n"


def by_console(command):
    """Under a debugger with pdb's commands, typed through a pipe."""

    def run(breakpoints, rounds, scene):
        arguments = [sys.executable, "-m", *command, *program(rounds, scene)]
        typed = script(breakpoints, scene, TURNS)
        done = subprocess.run(arguments, input=typed, capture_output=True, text=True, timeout=LIMIT)
        return result(done.stdout)

    return run


class Adapter:
    """A client of the Debug Adapter Protocol, which lets the program go on wherever it stops."""

    def __init__(self, port, breakpoints, clears):
        # Whether each breakpoint is for once.
        self.clears = clears
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream = self.socket.makefile("rb")
        self.breakpoints = [
            {
                ("name" if isinstance(line, str) else "line"): line,
                **({"condition": condition} if condition else {}),
                **({"hitCondition": str(ignore)} if ignore else {}),
                **({"logMessage": log} if log else {}),
            }
            for line, condition, ignore, log in breakpoints
        ]
        self.number = 0

    def send(self, command, **arguments):
        """A request."""
        self.number += 1
        body = json.dumps({"seq": self.number, "type": "request", "command": command, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def set_breakpoints(self):
        """Those that there are now."""
        functions = [one for one in self.breakpoints if "name" in one]
        lines = [one for one in self.breakpoints if "line" in one]
        self.send("setBreakpoints", source={"path": str(PROGRAM)}, breakpoints=lines)
        if functions:
            self.send("setFunctionBreakpoints", breakpoints=functions)

    def messages(self):
        """What comes, until the connection ends."""
        while header := self.stream.readline():
            length = int(header.split(b":")[1])
            self.stream.readline()
            yield json.loads(self.stream.read(length))

    def run(self):
        """Until the connection ends."""
        self.send("initialize", adapterID="bench")
        self.send("attach", justMyCode=False)
        with contextlib.suppress(OSError):
            for message in self.messages():
                if message.get("event") == "initialized":
                    self.set_breakpoints()
                    self.send("configurationDone")
                elif message.get("event") == "stopped":
                    if self.clears:
                        del self.breakpoints[:1]
                        self.set_breakpoints()
                    self.send("continue", threadId=message["body"]["threadId"])


def by_debugpy(breakpoints, rounds, scene):
    """Under debugpy, with a client as an editor has one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-Xfrozen_modules=off",
        "-m",
        "debugpy",
        "--listen",
        f"127.0.0.1:{port}",
        "--wait-for-client",
    ]
    # A file, because debugpy's adapter keeps the standard output when the program has ended.
    with tempfile.TemporaryFile("w+") as output:
        debugged = subprocess.Popen(
            [*command, *program(rounds, scene)],
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            adapter = connected(port, debugged, (breakpoints, scene == RUNNING))
            threading.Thread(target=adapter.run, daemon=True).start()
            debugged.wait(LIMIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(debugged.pid, signal.SIGKILL)
            debugged.wait()
        output.seek(0)
        return result(output.read())


def connected(port, debugged, wanted):
    """The client, as soon as somebody listens."""
    for _ in range(300):
        try:
            return Adapter(port, *wanted)
        except OSError:
            if debugged.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError("debugpy does not listen")


DEBUGGERS = {"debugop": by_console(["debugop", "debug"]), "pdb": by_console(["pdb"]), "debugpy": by_debugpy}


def has_debugpy():
    """Whether debugpy is installed."""
    return subprocess.run([sys.executable, "-c", "import debugpy"], stderr=subprocess.DEVNULL).returncode == 0


def measure():
    """{scene: {debugger: {loop: times of plain} or what was wrong}}."""
    figures = {}
    for scene, breakpoints in SCENES.items():
        figures[scene] = {}
        for name, run in DEBUGGERS.items():
            if name == "debugpy" and not has_debugpy():
                figures[scene][name] = "not installed"
                continue
            if (name, scene) in NOT_OFFERED:
                figures[scene][name] = "not offered"
                continue
            slow = bool(breakpoints) and name != "debugop" and scene != RUNNING
            rounds = ROUNDS // SLOW if slow else ROUNDS
            try:
                # Before and after, so that what the machine does meanwhile shows.
                before, taken, after = plain(ROUNDS, scene), run(breakpoints, rounds, scene), plain(ROUNDS, scene)
            except (RuntimeError, subprocess.SubprocessError) as error:
                figures[scene][name] = str(error).strip().rpartition("\n")[2]
                continue
            figures[scene][name] = {loop: taken[loop] / min(before[loop], after[loop]) for loop in taken}
    return figures


def table(figures):
    """The report, as text."""
    lines = [
        f"debuggers, {ROUNDS:,} rounds, times of plain",
        f"{'':<44}{'':<10}{'a loop':>9}{'with calls':>12}  to reach",
    ]
    for scene, rows in figures.items():
        for name, row in rows.items():
            if isinstance(row, str):
                lines.append(f"{scene:<44}{name:<10} not measured: {row}")
                continue
            limit = TARGETS.get((name, scene))
            aim = "" if limit is None else f"<= {limit}x {'reached' if max(row.values()) <= limit else 'MISSED'}"
            lines.append(f"{scene:<44}{name:<10}{row['loop']:>8.2f}x{row['calls']:>11.2f}x  {aim}".rstrip())
            scene = ""
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
