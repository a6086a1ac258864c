"""What observing every instruction costs: ten programs under each variant, in the environment that runs this file.

    python benches/run.py [--quick] [--programs richards,go] [--out FILE.json]

Each variant of a program has a process of its own, so that no variant leaves traces in another's specialised code. The
processes take turns, and each traced run is compared with the plain run of the same turn. `ns` is (traced - plain) /
instructions executed, as DEBUG_OP counts them; every figure of a program is the median over the turns, and every figure
of a variant the mean over the programs, geometric for the slowdown.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import counted
import debugger
import programs
import recorders
import variants

HERE = Path(__file__).resolve().parent
TURNS = {"quick": (3, 1), "default": (9, 3)}


class Worker:
    """A process of worker.py."""

    def __init__(self, program, number):
        command = [sys.executable, HERE / "worker.py", program, str(number)]
        environment = dict(os.environ, PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment, "text": True}
        self.process = subprocess.Popen(command, **pipes)
        self.unsupported = self._read().get("unsupported")

    def run(self):
        """One run of the program: (seconds, steps or None)."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self._read()
        return answer["seconds"], answer["steps"]

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(map(str, self.process.args))} ended with status {self.process.wait()}")
        return json.loads(line)

    def close(self):
        """End the process; what its variant knows of its last run."""
        last = self.process.communicate()[0].strip().rpartition("\n")[2]
        return json.loads(last).get("facts") if last else None


def measure(program, turns, numbers):
    """One program under the variants of these numbers: {"steps": n, "plain": seconds, "variants": {name: figures or reason}}."""
    fast, slow = turns
    workers = {number: Worker(program, number) for number in (0, *numbers)}
    try:
        running = [number for number, worker in workers.items() if not worker.unsupported]
        seconds = {number: [] for number in running}
        # By turn, because richards carries state from one run to the next.
        steps = [set() for _ in range(fast)]
        # The first turn lets the interpreter specialise.
        for turn in range(-1, fast):
            for number in [one for one in running if not workers[one].unsupported]:
                if turn < (slow if variants.VARIANTS[number].slow else fast):
                    try:
                        took, counted = workers[number].run()
                    except RuntimeError as error:
                        # CrossHair reads the stack without a check, which can crash the interpreter.
                        if variants.VARIANTS[number].make is not variants.CrossHair:
                            raise
                        workers[number].unsupported = str(error).rpartition("/")[2]
                        continue
                    if turn >= 0:
                        steps[turn] |= {counted} - {None}
                        seconds[number].append(took)
    finally:
        facts = {number: worker.close() for number, worker in workers.items()}
    if any(len(counts) != 1 for counts in steps):
        raise RuntimeError(f"{program}: the variants disagree on the instructions of a turn: {steps}")
    executed = [counts.pop() for counts in steps]
    figures = {}
    for number in numbers:
        if workers[number].unsupported:
            figures[variants.VARIANTS[number].name] = {"unsupported": workers[number].unsupported}
        else:
            # A slow variant had fewer turns.
            turns = list(zip(seconds[0], seconds[number], executed, strict=False))
            figures[variants.VARIANTS[number].name] = compare(turns) | (
                {"facts": facts[number]} if facts[number] else {}
            )
    return {"steps": executed[0], "plain": statistics.median(seconds[0]), "variants": figures}


def compare(turns):
    """Slowdown and ns per instruction, medians over (plain seconds, traced seconds, instructions executed)."""
    return {
        "turns": len(turns),
        "slowdown": statistics.median(traced / plain for plain, traced, _ in turns),
        "ns": statistics.median((traced - plain) / steps * 1e9 for plain, traced, steps in turns),
    }


def summary(results):
    """Per variant, over the programs: geometric mean of the slowdown, mean of ns; or why it is missing."""
    rows = {}
    for name in next(iter(results.values()))["variants"]:
        figures = [result["variants"][name] for result in results.values()]
        reasons = {one["unsupported"] for one in figures if "unsupported" in one}
        if reasons:
            rows[name] = {"unsupported": "; ".join(sorted(reasons))}
            continue
        rows[name] = {
            "slowdown": statistics.geometric_mean(one["slowdown"] for one in figures),
            "ns": statistics.fmean(one["ns"] for one in figures),
        }
    return rows


IMPORTS = "import asyncio, email, http.client, unittest"
START_UP = 2.5
"""The most that importing should cost with a native no-op at every instruction, as a multiple of plain."""


def children_seconds():
    """Processor time of the child processes that have ended; finer than `os.times`."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start_up(turns):
    """What starting a program that imports much costs: {name: times of plain}, medians over paired processes."""
    filters = "libraries=l.library_directories(), own=l.own_directories(), all=True"
    prelude = "from debugop import _core as c, _libraries as l; t = c.Tracer(None, engine={!r}, everywhere=c.Follow({})); t.enter(); {}"
    commands = {"plain": ["-c", IMPORTS]}
    for engine in ("inject", "monitoring", "settrace"):
        if engine != "monitoring" or hasattr(sys, "monitoring"):
            commands[f"--all, {engine}, native no-op"] = ["-c", prelude.format(engine, filters, IMPORTS)]
    commands["debugop run --all --format none"] = ["-m", "debugop", "run", "--all", "--format", "none", "-c", IMPORTS]
    commands["debugop run --format none"] = ["-m", "debugop", "run", "--format", "none", "-c", IMPORTS]
    ratios = {name: [] for name in commands}
    for turn in range(-1, turns):
        seconds = {}
        for name, command in commands.items():
            before = children_seconds()
            subprocess.run([sys.executable, *command], check=True, stderr=subprocess.DEVNULL)
            seconds[name] = children_seconds() - before
        if turn >= 0:
            for name, ratio in ratios.items():
                ratio.append(seconds[name] / seconds["plain"])
    return {name: statistics.median(ratio) for name, ratio in ratios.items() if name != "plain"}


# What such a loop may take after stop, compared with a plain one.
LEFT = 1.02

LEFT_BEHIND = """
import collections, itertools, sys, time
from debugop import _core as c, _libraries as l

def arithmetic(turns):
    yield
    i, x = 0, 0
    while i < turns:
        i = i + 1
        x = x + i if i & 1 else x - 1
    yield

def calls(turns):
    global act
    act = itertools.repeat(None, turns).__next__
    yield
    try:
        while True:
            act()
    except StopIteration:
        pass
    yield

def delegation(turns):
    yield
    yield from itertools.repeat(None, turns)

def seconds(kind, stop):
    frame = kind(300000)
    next(frame)
    stop()
    began = time.process_time()
    collections.deque(frame, maxlen=0)
    return time.process_time() - began

def traced(kind, stop):
    tracer = c.Tracer(None, everywhere=c.Follow(libraries=l.library_directories(), own=l.own_directories(), all=True))
    tracer.enter()
    try:
        return seconds(kind, tracer.stop if stop else int)
    finally:
        stop or tracer.stop()

for kind in arithmetic, calls, delegation:
    times = [(seconds(kind, int), traced(kind, False), traced(kind, True)) for _ in range(15)]
    plain, during, after = map(min, zip(*times))
    print(kind.__name__, during / plain, after / plain)
"""


def left_behind(turns):
    """Loops in frames that were entered while they were traced: times of plain, medians, by what they do: (while traced, after stop)."""
    command = [sys.executable, "-c", LEFT_BEHIND]
    ratios = {}
    for _ in range(turns):
        for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
            kind, *both = line.split()
            ratios.setdefault(kind, []).append(list(map(float, both)))
    return {kind: tuple(map(statistics.median, zip(*all, strict=True))) for kind, all in ratios.items()}


def target(limit, value, text):
    """`text` and whether `value` keeps to the limit; nothing where there is none."""
    return "" if limit is None else f"{text} {'reached' if value <= limit else 'MISSED'}"


def table(results, rows):
    """The report of one version, as text."""
    width = max(len(name) for name in rows)
    lines = [f"CPython {platform.python_version()}, {platform.platform()}, {len(os.sched_getaffinity(0))} CPUs", ""]
    lines += [f"{'program':<16}{'plain ms':>10}{'instructions':>14}{'ns each':>9}"]
    for name, result in results.items():
        each = result["plain"] / result["steps"] * 1e9
        lines.append(f"{name:<16}{result['plain'] * 1e3:>10.1f}{result['steps']:>14,}{each:>9.1f}")
    lines += ["", f"{'':<{width}} {'slowdown':>9} {'range':>13} {'ns/instr':>9} {'range':>11}  to reach"]
    for variant in variants.VARIANTS:
        row = rows.get(variant.name)
        if row is None:
            continue
        if "unsupported" in row:
            lines.append(f"{variant.name:<{width}} not measured: {row['unsupported']}")
            continue
        figures = [result["variants"][variant.name] for result in results.values()]
        slow, ns = [one["slowdown"] for one in figures], [one["ns"] for one in figures]
        aims = [
            target(variant.ns, row["ns"], f"<= {variant.ns} ns"),
            target(variant.slowdown, row["slowdown"], f"<= {variant.slowdown}x"),
        ]
        lines.append(
            f"{variant.name:<{width}} {row['slowdown']:>8.2f}x {f'{min(slow):.1f}-{max(slow):.1f}':>13} "
            f"{row['ns']:>9.1f} {f'{min(ns):.0f}-{max(ns):.0f}':>11}  {', '.join(filter(None, aims))}"
        )
    return "\n".join(lines)


def main():
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer turns: a first impression")
    parser.add_argument("--programs", default=",".join(programs.PROGRAMS), help="comma-separated, default all")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    parser.add_argument(
        "--only",
        help="comma-separated: rows of the first table whose names have one of these, and of the sections start-up, left, recorders, debuggers, counted those named",
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    turns = TURNS["quick" if arguments.quick else "default"]
    load = os.getloadavg()[0]
    only = arguments.only.split(",") if arguments.only else None
    numbers = [
        number
        for number, variant in enumerate(variants.VARIANTS)
        if number and (only is None or any(part in variant.name for part in only))
    ]
    if numbers:
        # The first one counts the instructions.
        numbers = sorted({1, *numbers})

    def asks(section):
        return only is None or section in only

    results, rows, figures = {}, {}, {}
    if numbers:
        for name in arguments.programs.split(","):
            results[name] = measure(name, turns, numbers)
            if sys.stderr.isatty():
                print(f"\r{len(results)} of {len(programs.PROGRAMS)} programs", end="", file=sys.stderr, flush=True)
        rows = summary(results)
        print("\r" + table(results, rows))
    width = max(map(len, rows), default=0)
    if asks("start-up"):
        figures["start_up"] = start_up(3 * turns[0])
        print(f"\nstarting `{IMPORTS}`, processor time of the process")
        for name, ratio in figures["start_up"].items():
            aim = target(START_UP if name.startswith("--all, inject") else None, ratio, f"<= {START_UP}x")
            print(f"{name:<{width}} {ratio:>8.2f}x  {aim}".rstrip())
    if asks("left"):
        figures["left_behind"] = left_behind(turns[0])
        print("\nloops in frames that were entered while they were traced")
        for kind, (traced, after) in figures["left_behind"].items():
            aim = target(LEFT, after, f"<= {LEFT}x")
            print(f"{kind:<{width}} {traced:>8.2f}x  after stop {after:.2f}x  {aim}")
    if asks("recorders"):
        if "recorded" in rows:
            figures["in_file"] = recorders.programs(results)
            print("\n" + recorders.programs_table(figures["in_file"]))
        figures["recorders"] = recorders.measure(arguments.quick)
        print("\n" + recorders.table(figures["recorders"]))
    if asks("debuggers"):
        figures["debuggers"] = debugger.measure()
        print("\n" + debugger.table(figures["debuggers"]))
    # Under valgrind everything takes 50 times as long: on request only.
    if only and "counted" in only:
        figures["counted"] = counted.measure()
        print("\n" + counted.table(figures["counted"]))
    print(f"\nmedians of {turns[0]} turns ({turns[1]} for the slow ones), CPU time; {time.monotonic() - began:.0f} s")
    if load > len(os.sched_getaffinity(0)) / 2:
        print(f"The machine was busy (load {load:.1f}): what shares its caches makes every figure larger.")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        facts = {"python": platform.python_version(), "platform": platform.platform(), "turns": turns, "load": load}
        arguments.out.write_text(
            json.dumps(
                {
                    **facts,
                    "summary": rows,
                    **figures,
                    "programs": results,
                },
                indent=1,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
