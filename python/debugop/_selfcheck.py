"""`debugop selfcheck`: runs a program under each engine and compares what they report, step for step and event for event.

Each engine's process writes a line a step or event (`crates/report/src/check.rs`) into a named pipe. The lines are compared as
they arrive, thread by thread, so that memory is needed only for as much as one engine's threads run ahead of another's.
"""

import collections
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from debugop import _core

CONTEXT = 10
"""How many steps are shown before and after the first difference."""


EVENT = re.compile(r"\S+ (\S+ \d+ )?event:")
"""How the line of an event begins; others are steps."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something in which engines may differ, and must not differ otherwise."""

    name: str
    reason: str
    engines: frozenset[str]
    """One of two engines that differ so is one of these."""
    pattern: re.Pattern[str]
    """What is left out of the comparison."""

    further: tuple[re.Pattern[str], ...] | None = None
    """Not None: the pattern, and these after it, describe lines about one frame that the other engine does not have at all; None:
    parts of a line are different."""

    def strip(self, line: str) -> str:
        """The line without what may differ."""
        return self.pattern.sub(f"<{self.name}>", line)


CLOSE = (
    "since 3.14 a generator that is suspended outside of any `try` is closed without being run, unless a tool asks for the event "
    "of an exception that leaves a frame, as engines that live on events do"
)

DIFFERENCES = [
    Difference(
        "super",
        "super().method leaves a function and self for the call when it is specialised, and a bound method and NULL when it is "
        "not; instructions that are observed by events are never specialised",
        frozenset({"inject"}),
        re.compile(r"super:.*?(?= \| | ! |$)"),
    ),
    Difference(
        "close",
        CLOSE,
        frozenset({"monitoring", "settrace"}),
        re.compile(r"\S+ \S+ \d+ event:throw \S+ \d+ YIELD_VALUE ! <GeneratorExit>"),
        further=tuple(
            map(
                re.compile,
                [
                    r"\S+ \S+ \d+ handle \S+ \d+ CALL_INTRINSIC_1 .*! <GeneratorExit>",
                    r"\S+ \S+ \d+ step \S+ \d+ RERAISE .*",
                    r"\S+ \S+ \d+ event:reraise .*! <GeneratorExit>",
                    r"\S+ \S+ \d+ unwind .*! <GeneratorExit>",
                ],
            )
        ),
    ),
    Difference(
        "close",
        CLOSE,
        frozenset({"monitoring", "settrace"}),
        re.compile(r"\S+ \S+ \d+ event:swallow .*! <GeneratorExit>"),
        further=(),
    ),
]
"""What the engines are known to differ in and a pattern finds."""

TELL_OUTSIDE = frozenset(
    "<getpid> <getppid> <get_ident> <get_native_id> <id> <hash> <__hash__> <random> <getrandbits> <time> <time_ns> <monotonic> <monotonic_ns>"
    " <perf_counter> <perf_counter_ns> <process_time> <process_time_ns> <thread_time> <thread_time_ns>".split()
)
"""C functions whose results are from outside of the program, as the lines name them."""

NUMBER = re.compile(r"0x[0-9a-f]+|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
ADDRESS = re.compile(r"[1-9]\d{13,14}|0x[0-9a-f]{8,}")
DISTINCT = 4
"""How many characters a number has that was calculated from such and is known again wherever it comes up."""

REASONS = {
    **{difference.name: difference.reason for difference in DIFFERENCES},
    "methods": (
        "a method of an object whose class has `__getattr__` is left as function and self for the call when LOAD_ATTR is specialised, and as a "
        "bound method and NULL when it is not; instructions that are observed by events are never specialised"
    ),
    "outside": (
        "what tells of addresses, of the process or of the time, and the numbers calculated from it, are not the same in two processes"
    ),
}
"""All that the engines are known to differ in; docs/engines.md explains more."""


class Engine:
    """One engine's process, and what it reports."""

    def __init__(self, name: str, command: list[str], folder: str) -> None:
        self.name = name
        pipe = os.path.join(folder, name)
        os.mkfifo(pipe)
        self.output: IO[bytes] = open(os.path.join(folder, name + ".out"), "w+b")  # noqa: SIM115
        self.errors: IO[bytes] = open(os.path.join(folder, name + ".err"), "w+b")  # noqa: SIM115
        # The process opens the pipe by its name. Our own writing end, closed when the process has ended, keeps the pipe from
        # being at its end before that.
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        writing = os.open(pipe, os.O_WRONLY)
        os.set_blocking(reading, True)
        self.lines: IO[str] = open(reading, encoding="utf-8", errors="surrogateescape", newline="\n")  # noqa: SIM115
        options = ["run", "--engine", name, "--format", "check", "--output", pipe]
        self.process = subprocess.Popen(
            [sys.executable, *interpreter_options(), "-m", "debugop", *options, *command],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.errors,
        )
        self.end = threading.Thread(target=self._close_at_end, args=(writing,), daemon=True)
        self.end.start()

    def _close_at_end(self, writing: int) -> None:
        self.process.wait()
        os.close(writing)

    def steps(self) -> Iterator[str]:
        """The lines, without the last, which holds the totals."""
        for line in self.lines:
            if line.startswith("end "):
                return
            yield line.rstrip("\n")

    def stop(self) -> None:
        """End the process if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        # Nobody reads any more, so that it cannot be blocked in writing.
        self.lines.close()
        self.end.join()
        self.output.close()
        self.errors.close()


def interpreter_options() -> list[str]:
    """The options that this interpreter was started with, as far as they matter to a program."""
    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined,no-any-return]


class Columns:
    """Explains lines of one step by what is in their columns: callable and self of a call, and numbers from outside of the program."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        # Numbers that stand for one another.
        self.known: set[tuple[str, ...]] = set()
        # The threads and frames in whose last line there were any.
        self.recent: set[str] = set()

    def explain(self, lines: list[str]) -> set[str]:
        """The names of the differences by which the lines differ; none if that is not all."""
        rows = [line.split(" | ") for line in lines]
        (head, *others), *columns = zip(*rows, strict=False)
        if len(set(map(len, rows))) > 1 or any(other != head for other in others):
            return set()
        used = set()
        is_told = " event:c_return " in head and columns[0][0] in TELL_OUTSIDE
        is_calculated = not self.recent.isdisjoint(head.split(" ", 2)[:2])
        for index, column in enumerate(columns):
            if len(set(column)) == 1:
                continue
            if self.are_from_outside(column, is_told=is_told, is_calculated=is_calculated):
                used.add("outside")
            elif any(self.are_methods(rows, first) for first in (index, index + 1)):
                used.add("methods")
            else:
                return set()
        return used

    def are_from_outside(self, column: tuple[str, ...], *, is_told: bool, is_calculated: bool) -> bool:
        """Whether only numbers from outside differ; those that are new are `told` by a C function, or may have been calculated by the step before."""
        if len({NUMBER.sub("#", text) for text in column}) > 1:
            return False
        is_number = all(map(NUMBER.fullmatch, column))
        for numbers in zip(*map(NUMBER.findall, column), strict=True):
            if len(set(numbers)) == 1 or numbers in self.known or all(map(ADDRESS.fullmatch, numbers)):
                continue
            if not is_number or not (is_told or is_calculated):
                return False
            if is_told or min(map(len, numbers)) >= DISTINCT:
                self.known.add(numbers)
        return True

    def are_methods(self, rows: list[list[str]], first: int) -> bool:
        """Whether two columns hold a method and what it is called with, bound in some of the rows; engines of events agree."""
        pairs = [row[first : first + 2] for row in rows]
        observed = [pair for pair, name in zip(pairs, self.names, strict=True) if name != "inject"]
        bound = ["<NULL>" in pair for pair in pairs]
        # Of a method of C code the class before it is the object's where it is bound.
        names = {re.split(r"[.<>]", next((text for text in pair if text != "<NULL>"), ""))[-2:][0] for pair in pairs}
        return (
            first > 0
            and len(names) == 1
            and any(bound)
            and not all(bound)
            and all(pair == observed[0] for pair in observed)
        )

    def note(self, line: str, *, has_any: bool) -> None:
        """All agree on a line; whether numbers from outside are in it."""
        if has_any or self.recent:
            about = line.split(" ", 2)[:2]
            (self.recent.update if has_any else self.recent.difference_update)(about)


class Differs(Exception):
    """The engines differ, in a thread and in words."""

    def __init__(self, thread: str, what: str) -> None:
        super().__init__(thread, what)
        self.thread = thread
        self.what = what


def is_over(queue: collections.deque[str]) -> bool:
    """Whether nothing of a thread is left but that it has ended, which is told with the next step of any: not after the last."""
    return not queue or (len(queue) == 1 and queue[0].endswith(" event:thread_end"))


class Comparison:
    """Compares the steps of engines; what is kept of a thread is what one engine is ahead of another there."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.steps = 0
        self.events = 0
        self.frames = 0
        self.explained: collections.Counter[str] = collections.Counter()
        self.columns = Columns(names)
        self.waiting: dict[str, list[collections.deque[str]]] = {}
        self.before: collections.deque[list[str]] = collections.deque(maxlen=CONTEXT)

    def run(self, streams: list[Iterator[str]]) -> None:
        """Compare to the end.

        Differs: they do not agree.
        """
        running = dict(enumerate(streams))
        while running:
            lines: list[str | None] = [None] * len(streams)
            for index, stream in list(running.items()):
                line = next(stream, None)
                lines[index] = line
                if line is None:
                    del running[index]
            first = lines[0]
            if first is not None and not self.waiting and all(line == first for line in lines):
                self.columns.note(first, has_any=False)
                self.same(first, [first])
            else:
                for index, line in enumerate(lines):
                    if line is not None:
                        self.take(index, line)
            if self.waiting and len(running) < len(streams):
                self.look_for_missing(running)
        for thread, queues in self.waiting.items():
            if not all(map(is_over, queues)):
                raise Differs(thread, "one engine reports more than another")

    def look_for_missing(self, running: dict[int, Iterator[str]]) -> None:
        """Raise Differs if an engine that has ended lacks a step of another's."""
        for thread, queues in self.waiting.items():
            if all(map(is_over, queues)):
                continue
            if any(not queue for index, queue in enumerate(queues) if index not in running):
                raise Differs(thread, "one engine reports more than another")

    def take(self, index: int, line: str) -> None:
        """One line of an engine."""
        thread = line.partition(" ")[0]
        queues = self.waiting.setdefault(thread, [collections.deque() for _ in self.names])
        queues[index].append(line)
        while all(queues):
            lines = [queue[0] for queue in queues]
            if not self.agree(lines):
                further = self.further_steps(queues)
                if further is None:
                    raise Differs(thread, "the engines differ")
                if not further:
                    break
                continue
            self.same(lines[0], lines)
            for queue in queues:
                queue.popleft()
        if not any(queues):
            del self.waiting[thread]

    def agree(self, lines: list[str]) -> bool:
        """Whether lines of the same step are the same, or differ in what is known."""
        for index, line in enumerate(lines[1:], 1):
            if line == lines[0]:
                continue
            engines = {self.names[0], self.names[index]}
            one, other = lines[0], line
            used = []
            for known in DIFFERENCES:
                if engines & known.engines and known.further is None:
                    if known.pattern.findall(one) != known.pattern.findall(other):
                        used.append(known.name)
                    one, other = known.strip(one), known.strip(other)
            if one != other:
                found = self.columns.explain(lines)
                self.columns.note(lines[0], has_any="outside" in found)
                self.explained.update(found)
                return bool(found)
            self.explained.update(used)
        self.columns.note(lines[0], has_any=False)
        return True

    def further_steps(self, queues: list[collections.deque[str]]) -> bool | None:
        """Drop steps at the front that some engines are known to have besides; False if more must arrive to tell, None if there are
        none.
        """
        for known in DIFFERENCES:
            if known.further is None:
                continue
            starts = [known.pattern.fullmatch(queue[0]) for queue in queues]
            found = [index for index, start in enumerate(starts) if start and self.names[index] in known.engines]
            if not found or len(found) == len(queues):
                continue
            length = 1 + len(known.further)
            if any(len(queues[index]) < length for index in found):
                return False
            for index in found:
                lines = [queues[index][at] for at in range(length)]
                frames = {line.split(" ")[1] for line in lines}
                fits = all(pattern.fullmatch(line) for pattern, line in zip(known.further, lines[1:], strict=True))
                if len(frames) > 1 or not fits:
                    return None
            for index in found:
                for _ in range(length):
                    queues[index].popleft()
            # What follows from it later is no difference of its own.
            self.explained[known.name] += bool(known.further)
            return all(queues)
        return None

    def same(self, line: str, lines: list[str]) -> None:
        """One step or event on which all agree."""
        if EVENT.match(line):
            self.events += 1
        else:
            self.steps += 1
            self.frames += " enter " in line
        self.before.append(lines)

    def describe(self, thread: str, streams: list[Iterator[str]], what: str) -> str:
        """The first difference, with what comes before and after it in its thread."""
        text = [f"after {self.steps} equal steps: {what} (thread {thread})", ""]
        text += [f"    all          {lines[0]}" for lines in self.before]
        queues = self.waiting[thread]
        for index, name in enumerate(self.names):
            following = queues[index]
            for _ in range(100 * CONTEXT):
                if len(following) > CONTEXT:
                    break
                line = next(streams[index], None)
                if line is None:
                    break
                if line.partition(" ")[0] == thread:
                    following.append(line)
            for number, line in enumerate(list(following)[: CONTEXT + 1]):
                text.append(f"{'  ' if number else '> '}  {name:12} {line}")
            if not following:
                text.append(f">   {name:12} (nothing more)")
        return "\n".join(text)


def compare_outputs(engines: list[Engine]) -> str | None:
    """What is different in what the program wrote and how it ended, in words."""
    first = engines[0]
    for other in engines[1:]:
        statuses = (first.process.returncode, other.process.returncode)
        if statuses[0] != statuses[1]:
            return f"exit status {statuses[0]} under {first.name}, {statuses[1]} under {other.name}"
        for name in ("output", "errors"):
            one, two = getattr(first, name), getattr(other, name)
            one.seek(0)
            two.seek(0)
            while True:
                parts = one.read(1 << 16), two.read(1 << 16)
                if parts[0] != parts[1]:
                    stream = {"output": "stdout", "errors": "stderr"}[name]
                    return f"the program wrote something else to {stream} under {first.name} than under {other.name}"
                if not parts[0]:
                    break
    return None


def engine_names() -> list[str]:
    """The engines that this interpreter has."""
    return ["inject", "settrace"] if sys.version_info < (3, 12) else ["inject", "monitoring", "settrace"]


def main(request: _core.SelfcheckRequest) -> int:
    """The command; returns the exit status: 0 if all agree, 1 if not."""
    kind, text, arguments = request.program
    program = {"script": [text], "module": ["-m", text], "command": ["-c", text]}[kind]
    command = [*request.options, *program, *arguments]
    names = engine_names()
    engines: list[Engine] = []
    with tempfile.TemporaryDirectory(prefix="debugop-selfcheck-") as folder:
        try:
            engines += [Engine(name, command, folder) for name in names]
            return compare(engines)
        finally:
            for engine in engines:
                engine.stop()


def compare(engines: list[Engine]) -> int:
    """Compare what the processes report, and print the outcome; returns the exit status."""
    comparison = Comparison([engine.name for engine in engines])
    streams = [engine.steps() for engine in engines]
    try:
        comparison.run(streams)
    except Differs as found:
        print(comparison.describe(found.thread, streams, found.what))
        return 1
    for engine in engines:
        engine.process.wait()
    problem = compare_outputs(engines)
    if problem is None and not comparison.steps:
        engines[0].errors.seek(0)
        sys.stderr.write(engines[0].errors.read().decode(errors="replace"))
        problem = "nothing was reported"
    if problem is not None:
        print(f"after {comparison.steps} equal steps: {problem}")
        return 1
    names = ", ".join(comparison.names)
    print(f"{comparison.steps} steps, {comparison.events} events, {comparison.frames} frames: {names} agree")
    for name, reason in REASONS.items():
        if comparison.explained[name]:
            print(f"  {comparison.explained[name]} differ in {name}: {reason}")
    return 0
