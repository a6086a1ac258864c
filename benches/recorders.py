"""What recording costs and what a recording answers, by its length, beside other recorders, in the environment that runs this file.

`python benches/recorders.py [--quick]`. The program is `long.py`: so many million instructions as one asks for. Each run has a process of its own. The
slowest peers record one million.
"""

import argparse
import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections import deque
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "long.py"
LENGTHS = {True: (1, 10), False: (1, 10, 100, 1000)}
"""Millions of instructions."""
MILLIONS = 10
"""What a peer records that is not slow."""
SEEKS = 200
LIMIT = 900
"""Seconds for one process."""
RECORDER, ASKED, MEBIBYTE = 64, 300, 1 << 20
"""MiB that recording, and asking, should take at most."""


class Plain:
    """The program as it is."""

    MODULE = "os"
    """What is imported before anything is timed."""

    def __init__(self, directory):
        importlib.import_module(self.MODULE)
        self.directory = directory
        self.path = os.path.join(directory, "recording")

    def start(self):
        """Begin to record. Not timed."""

    def stop(self):
        """End, with everything in the file."""

    def facts(self):
        """What else is known."""
        return {}


class Debugop(Plain):
    """Every instruction, with all values."""

    MODULE = "debugop._record"

    def start(self):
        """Begin."""
        import debugop

        self.record = debugop.record(self.path, all=True)
        self.record.start()
        self.core = self.record._recording

    def stop(self):
        """End."""
        self.record.stop()

    def facts(self):
        """Records and values."""
        return captured(self.core.said)


class Codetracer(Plain):
    """Every line, with all locals."""

    MODULE = "codetracer_python_recorder"

    def start(self):
        """Begin."""
        import codetracer_python_recorder

        self.recorder = codetracer_python_recorder
        os.mkdir(self.path)
        self.recorder.start(self.path)

    def stop(self):
        """End."""
        self.recorder.stop()


class Viztracer(Plain):
    """Every call."""

    MODULE = "viztracer"
    OPTIONS = types.MappingProxyType({})

    def start(self):
        """Begin."""
        import viztracer

        self.tracer = viztracer.VizTracer(output_file=self.path + ".json", verbose=0, **self.OPTIONS)
        self.tracer.start()

    def stop(self):
        """End."""
        self.tracer.stop()
        self.tracer.save()


class ViztracerValues(Viztracer):
    """Every call, with arguments and results."""

    OPTIONS = types.MappingProxyType({"log_func_args": True, "log_func_retval": True})


class Hunter(Plain):
    """Every line, printed."""

    MODULE = "hunter"

    def start(self):
        """Begin."""
        import hunter

        self.hunter = hunter
        self.file = open(self.path, "w")  # noqa: SIM115 - closed in `stop`
        hunter.trace(filename=str(PROGRAM), action=self.action())

    def action(self):
        """What is done at each event."""
        return self.hunter.CodePrinter(stream=self.file)

    def stop(self):
        """End."""
        self.hunter.stop()
        self.file.close()


class HunterValues(Hunter):
    """Every line, with all locals that have changed."""

    def action(self):
        """What is done at each event."""
        return self.hunter.VarsSnooper(stream=self.file)


# Name, class, whether it is so slow that it gets one turn of one million instructions, and none with --quick.
RECORDERS = (
    ("debugop: every instruction, values", Debugop, False),
    ("viztracer: calls", Viztracer, False),
    ("viztracer: calls, arguments, results", ViztracerValues, False),
    ("hunter: lines", Hunter, True),
    ("hunter: lines, changed locals", HunterValues, True),
    ("codetracer: lines, locals", Codetracer, True),
)


def captured(said):
    """Records and values, as a recording tells at its end."""
    words = said.replace(",", "").split()
    return {"records": int(words[words.index("with") - 2]), "values": int(words[words.index("in") - 2])}


KINDS = {1: "header", 2: "code", 3: "stream", 5: "summary", 6: "index", 7: "end", 128: "source", 129: "replayed"}
"""Of chunks, as docs/recording-format.md numbers them."""


def chunks(path):
    """Bytes in the file by kind of chunk."""
    data, at, found = Path(path).read_bytes(), 40, {}
    while data[at : at + 8] == b"\xf3chunk\r\n":
        stored = 56 + int.from_bytes(data[at + 12 : at + 16], "little")
        kind = KINDS.get(data[at + 8], "other")
        found[kind] = found.get(kind, 0) + stored
        at += stored
    return found


def size(directory):
    """Bytes of all files in a directory."""
    return sum(path.stat().st_size for path in Path(directory).rglob("*") if path.is_file())


def record(name, millions, directory):
    """One run in this process, printed: seconds of this thread for the program, and of all threads with the end."""
    recorder = (Plain if name == "plain" else {one[0]: one[1] for one in RECORDERS}[name])(directory)
    code = compile(PROGRAM.read_text(), str(PROGRAM), "exec")
    work = {"__name__": "long", "__file__": str(PROGRAM)}
    sys.argv = [str(PROGRAM), "0"]
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115 - for the life of the process
    exec(code, work)
    # So that the interpreter has specialised.
    work["work"](1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    recorder.start()
    started = time.thread_time()
    work["work"](millions)
    seconds = time.thread_time() - started
    recorder.stop()
    everything = time.process_time() - began
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    answer = {"seconds": seconds, "everything": everything, "memory": memory, "bytes": size(directory)}
    sys.stdout = out
    print(json.dumps({**answer, **recorder.facts()}))


BOUND_LONG_AGO = ("config.limit", "config.table", "accounts[3].name", "table['first']")
"""Attributes and items that the program binds once, at its beginning: of objects that it uses all the time, and of one that it never uses again."""


def line_of(text):
    """The line of the program that this text is in."""
    return 1 + next(number for number, line in enumerate(PROGRAM.read_text().splitlines()) if text in line)


def ask(path):
    """What a recording answers, printed: seconds of each question, and the memory of all."""
    import debugop
    from debugop import _core

    def timed(question):
        began = time.perf_counter()
        answer = question()
        return time.perf_counter() - began, answer

    found = {"counted": timed(lambda: len(debugop.open(path)))[0]}
    found["opened"], replay = timed(lambda: debugop.open(path))
    opening, steps = timed(lambda: len(replay))
    found["opened"] += opening
    found["steps"] = steps
    found["positions"] = steps / timed(lambda: _core.replay_recording(path, values=False))[0]
    some = min(steps, 20_000_000)
    found["python"] = some / timed(lambda: deque(zip(replay, range(some), strict=False), maxlen=0))[0]
    places = [turn * 7_919_777_777 % steps for turn in range(SEEKS)]
    found["seeks"] = [timed(lambda place=place: replay.at(place))[0] for place in places]
    name, late, line = str(PROGRAM), steps * 5 // 6, line_of("COUNT += 1")
    seconds, count = timed(lambda: replay.hit_count(name, line))
    found["hits"] = [seconds, *(timed(lambda place=place: replay.last_hit(name, line, place))[0] for place in places)]
    assert count > 0, "the program counts its units"
    stop = replay.steps(function="inner", opcode="FOR_ITER", limit=1000)
    writes, origins = [], []
    for step in (*stop[:: max(1, len(stop) // 10)], late):
        for local in list(replay.at(step).frames[-1].locals):
            writes.append(timed(lambda local=local, step=step: replay.last_write(local, step))[0])
            origins.append(timed(lambda local=local, step=step: replay.origin(local, step, 1))[0])
    found.update(writes=writes, origins=origins)
    inside = replay.last_hit(name, line_of("table[turn % 16] = turn"), late)
    found["attributes"] = [timed(lambda place=place: replay.last_write(place, inside))[0] for place in BOUND_LONG_AGO]
    past = _core.Past(path)

    def back(step, motion, lines=()):
        stop = past.search(step, motion, True, lines=lines).find()
        past.at(stop["step"] if stop else 0)

    found["reverse"] = []
    for place in places:
        past.at(place)
        found["reverse"].append(timed(lambda place=place: back(place, "instruction"))[0])
    end = replay.last_hit(name, line_of("return config, table, accounts"), steps)
    past.at(end)
    found["rc"] = timed(lambda: back(end, "breaks", [(name, line_of("config = Config()"))]))[0]
    past = _core.Past(path)
    past.at(end)
    found["rfinish"] = timed(lambda: back(end, "out"))[0]
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))


def child(*arguments):
    """What a process of this file prints, or why there is nothing."""
    command = [sys.executable, str(HERE / "recorders.py"), *map(str, arguments)]
    environment = dict(os.environ, PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment)
        if done.returncode == 0:
            return json.loads(done.stdout.splitlines()[-1])
        reason = done.stderr.strip().rpartition("\n")[2] or f"it ended with status {done.returncode}"
    except subprocess.TimeoutExpired:
        reason = f"it took more than {LIMIT} s"
    except (IndexError, ValueError):
        reason = "it printed no figures"
    return {"unsupported": reason}


def middle(runs):
    """The median of each figure, or why there is none."""
    for run in runs:
        if "unsupported" in run:
            return run
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def recorded(name, millions, keep=None):
    """One run with a recorder; `keep`: where its file goes."""
    with tempfile.TemporaryDirectory(prefix="debugop-bench-") as directory:
        figures = child("record", name, millions, directory)
        if keep is not None and "unsupported" not in figures:
            os.replace(os.path.join(directory, "recording"), keep)
        return figures


def pack(path, *options):
    """The size of a recording once it is packed, in bytes."""
    subprocess.run([sys.executable, "-m", "debugop", "pack", *options, str(path)], check=True, capture_output=True)
    return os.path.getsize(path)


def peers(turns, quick):
    """Every recorder: {name: figures, an executed million instructions, or reason}, medians."""
    plain = {millions: middle([recorded("plain", millions) for _ in range(turns)]) for millions in (1, MILLIONS)}
    figures = {}
    for name, _, slow in RECORDERS:
        if slow and quick:
            figures[name] = {"unsupported": "left out with --quick"}
            continue
        millions = 1 if slow else MILLIONS
        run = middle([recorded(name, millions) for _ in range(1 if slow else turns)])
        if "unsupported" not in run:
            for key in ("seconds", "everything"):
                run[key] /= plain[millions][key]
            run["bytes"] /= millions * 1e6
        figures[name] = run
    return figures


def programs(results):
    """Of the programs' last recorded first runs, by name: bytes an executed instruction, in all and of the steps alone, and of the later runs ns a
    captured value. What was imported in the run is recorded too.
    """
    figures = {}
    for name, result in results.items():
        row, first = (result["variants"][variant] for variant in ("recorded", "recorded, first run"))
        if "facts" not in first:
            continue
        facts = first["facts"]
        figures[name] = {
            "steps": facts["steps"],
            "bytes": facts["bytes"] / facts["steps"],
            "stream": facts["parts"].get("stream", 0) / facts["steps"],
            "packed": facts["packed"] / facts["steps"],
            "captures": facts["values"] / facts["steps"],
            "ns": row["ns"] * result["steps"] / facts["values"],
        }
    return figures


def programs_table(figures):
    """The report of that, as text."""
    lines = ["what is recorded of the programs, an executed instruction"]
    lines.append(
        f"{'':<16}{'instructions':>14}{'values':>8}{'ns/value':>10}{'bytes':>8}{'steps only':>12}{'packed':>8}"
    )
    for name, row in figures.items():
        lines.append(
            f"{name:<16}{row['steps']:>14,}{row['captures']:>8.2f}{row['ns']:>10.1f}{row['bytes']:>8.3f}"
            f"{row['stream']:>12.3f}{row['packed']:>8.3f}"
        )
    if figures:
        mean = {key: statistics.geometric_mean(row[key] for row in figures.values()) for key in ("bytes", "packed")}
        values = statistics.fmean(row["ns"] for row in figures.values())
        lines.append(
            f"geometric mean {mean['bytes']:.3f} {aim(0.5, mean['bytes'], '<= 0.5')}; packed {mean['packed']:.3f} "
            f"{aim(0.15, mean['packed'], '<= 0.15')}; mean ns a value {values:.1f} {aim(25, values, '<= 25')}"
        )
    return "\n".join(lines)


def lengths(millions, directory):
    """By length: what recording took, and what the recording answers."""
    figures = {}
    for count in millions:
        path = os.path.join(directory, "long.debugop")
        plain, run = recorded("plain", count), recorded("debugop: every instruction, values", count, path)
        if "unsupported" in run:
            figures[count] = run
            continue
        answers = child("ask", path)
        if "unsupported" not in answers:
            answers["packed"] = pack(path)
        figures[count] = {"plain": plain["seconds"], "recorded": run, "answers": answers}
        Path(path).unlink()
        Path(path + ".index").unlink(missing_ok=True)
    return figures


def measure(quick):
    """Both, on a disk where there is room."""
    with tempfile.TemporaryDirectory(prefix="debugop-bench-") as directory:
        long = lengths(LENGTHS[quick], directory)
    return {"peers": peers(1 if quick else 5, quick), "lengths": long}


def aim(limit, value, text):
    """`text` and whether `value` keeps to the limit."""
    return f"{text} {'reached' if value <= limit else 'MISSED'}"


def spread(seconds):
    """Median and 99th percentile, in ms."""
    ordered = sorted(seconds)
    return statistics.median(ordered) * 1e3, ordered[len(ordered) * 99 // 100] * 1e3


def table(figures):
    """The report, as text."""
    lines = [f"recorders, benches/long.py, {MILLIONS} million instructions (hunter, codetracer: one), times of plain"]
    lines.append(f"{'':<40}{'program':>9}{'with writing':>14}{'bytes/instr':>13}{'MiB more':>10}")
    for name, row in figures["peers"].items():
        if "unsupported" in row:
            lines.append(f"{name:<40} not measured: {row['unsupported']}")
            continue
        lines.append(
            f"{name:<40}{row['seconds']:>8.1f}x{row['everything']:>13.1f}x{row['bytes']:>13.3f}{row['memory'] / MEBIBYTE:>10.1f}"
        )
    lines += ["", "debugop by length, times of plain; answers by the clock", f"{'':<30}{'':>12}  to reach"]
    for count, row in figures["lengths"].items():
        lines += [f"{count} million instructions", *by_length(row)]
    return "\n".join(lines)


def by_length(row):
    """The lines of one length."""
    if "unsupported" in row:
        return [f"  not measured: {row['unsupported']}"]
    run, plain, answers = row["recorded"], row["plain"], row["answers"]
    captures = (run["seconds"] - plain) / run["values"] * 1e9
    memory = run["memory"] / MEBIBYTE
    rows = [
        ("recorded", f"{run['seconds'] / plain:.2f}x", ""),
        ("ns a captured value", f"{captures:.1f}", aim(25, captures, "<= 25")),
        ("memory more than plain", f"{memory:.1f} MiB", aim(RECORDER, memory, f"<= {RECORDER} MiB")),
    ]
    if "unsupported" in answers:
        rows.append(("answers", "", f"not measured: {answers['unsupported']}"))
        return [f"  {name:<28}{value:>12}  {text}".rstrip() for name, value, text in rows]
    steps, (seek, late) = answers["steps"], spread(answers["seeks"])
    stored, packed = run["bytes"] / steps, answers["packed"] / steps
    asked = answers["memory"] / MEBIBYTE
    rows += [
        ("bytes an instruction", f"{stored:.3f}", aim(0.5, stored, "<= 0.5")),
        ("packed, with the index", f"{packed:.3f}", aim(0.15, packed, "<= 0.15")),
        ("opened", f"{answers['opened'] * 1e3:.1f} ms", aim(0.1, answers["opened"], "<= 100 ms")),
        ("its index made", f"{answers['counted']:.2f} s", ""),
        ("gone to a step, median", f"{seek:.1f} ms", aim(20, seek, "<= 20 ms")),
        ("gone to a step, p99", f"{late:.1f} ms", aim(100, late, "<= 100 ms")),
        ("million steps a second", f"{answers['positions'] / 1e6:.1f}", aim(-20e6, -answers["positions"], ">= 20")),
        ("the same, by Python's for", f"{answers['python'] / 1e6:.1f}", ""),
    ]
    for name, key in (("hits of a line", "hits"), ("last_write", "writes"), ("a hop of origin", "origins")):
        median, late = spread(answers[key])
        rows.append((f"{name}, median", f"{median:.1f} ms", aim(50, median, "<= 50 ms")))
        rows.append((f"{name}, p99", f"{late:.1f} ms", ""))
    attributes, far = spread(answers["attributes"])
    rows.append(("last_write of an attribute", f"{attributes:.1f} ms", aim(50, far, f"<= 50 ms; longest {far:.1f}")))
    reverse, late = spread(answers["reverse"])
    rows.append(("a step backwards, median", f"{reverse:.1f} ms", aim(20, reverse, "<= 20 ms")))
    rows.append(("a step backwards, p99", f"{late:.1f} ms", ""))
    for key, text in (("rc", "rc across all of it"), ("rfinish", "rfinish out of all of it")):
        took = answers[key] * 1e3
        rows.append((text, f"{took:.1f} ms", aim(200, took, "<= 200 ms")))
    rows.append(("memory of all answers", f"{asked:.0f} MiB", aim(ASKED, asked, f"<= {ASKED} MiB")))
    return [f"  {name:<28}{value:>12}  {text}".rstrip() for name, value, text in rows]


def main():
    """Measure and print, or be one of the processes."""
    if sys.argv[1:2] == ["record"]:
        record(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    elif sys.argv[1:2] == ["ask"]:
        ask(sys.argv[2])
    else:
        parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
        parser.add_argument(
            "--quick", action="store_true", help="up to ten million instructions, without the slow peers"
        )
        print(platform.python_version())
        print(table(measure(parser.parse_args().quick)))


if __name__ == "__main__":
    main()
