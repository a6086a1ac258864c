"""Going through a recording: the stops of each motion, and expressions over recorded values."""

import os
import re
import sys

import debugop
import pytest
from debugop import _core
from debugop._past_values import Evaluator, Recorded, Unknown, lift
from hypothesis import example, given
from hypothesis import strategies as st

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


def main():
    counter = Counter(1)
    total = 0
    while counter.more() < 7:
        total += counter.value
    total += sum(numbers(3))
    squares = [
        i * i
        for i in range(4)
        if i
    ]
    text = guarded(2)
    with open(__file__) as file:
        file.read()
    return total, squares, text


main()
"""

LINES = """
import sys
told = []
def trace(frame, event, argument):
    if frame.f_code.co_filename != {file!r}:
        return None
    if event == "line":
        told.append((frame.f_code.co_qualname, frame.f_lineno))
    return trace
code = compile(open({file!r}).read(), {file!r}, "exec")
sys.settrace(trace)
exec(code, {{"__name__": "__main__", "__file__": {file!r}}})
sys.settrace(None)
print(told)
"""


def record(programs, text, name="main.py", *options):
    programs.write({name: text})
    done = programs.debugop("record", *options, name)
    path = programs.directory / f"{os.path.splitext(name)[0]}.debugop"
    assert path.exists(), done.stderr
    return path


def stops(past, step, motion, backwards=False, **options):
    """Every stop of a motion, one after the other."""
    found = []
    while True:
        stop = past.search(step, motion, backwards, **options).find()
        if stop is None:
            return found
        found.append(stop)
        step = stop["step"]


def place(past, step):
    names = {code[0]: code[2] for code in past.codes()}
    _, code, line, offset = past.at(step).frames[-1]
    return names[code], line, offset


def resumes(past, step):
    _, code, _, offset = past.at(step).frames[-1]
    return next(one[1] for one in past.instructions(code) if one[0] == offset) == "RESUME"


def test_lines_are_those_that_a_trace_function_is_told_of(programs):
    path = record(programs, PROGRAM)
    file = str(programs.directory / "main.py")
    (programs.directory / "trace.py").write_text(LINES.format(file=file))
    told = eval(programs.run(["trace.py"]).stdout)
    past = _core.Past(path)
    lines = [place(past, stop["step"])[:2] for stop in stops(past, 0, "line") if stop["event"] == "line"]
    assert len(lines) > 60
    assert lines == told


def test_backwards_is_forwards_reversed(programs):
    past = _core.Past(record(programs, PROGRAM))
    forwards = [stop["step"] for stop in stops(past, 0, "line") if stop["event"] in ("line", "call")]
    backwards = [stop["step"] for stop in stops(past, past.steps - 1, "line", True)]
    last = past.steps - 1
    assert [0, *(step for step in forwards if step != last)] == backwards[::-1]
    instructions = [stop["step"] for stop in stops(past, 0, "instruction")]
    assert instructions == list(range(1, past.steps))
    instructions = [stop["step"] for stop in stops(past, last, "instruction", True)]
    assert instructions == list(range(last - 1, -1, -1))


def test_next_stays_and_comes_back(programs):
    past = _core.Past(record(programs, PROGRAM))
    lines = [stop["step"] for stop in stops(past, 0, "line") if stop["event"] == "line"]
    same_frame = 0
    for step in lines:
        stop = past.search(step, "line over", False).find()
        if stop is None or stop["event"] != "line":
            continue
        frames, now = past.at(step).frames, past.at(stop["step"]).frames
        assert len(now) <= len(frames), "it has gone into a call"
        if now[-1][0] == frames[-1][0]:
            same_frame += 1
            assert past.search(stop["step"], "line over", True).find()["step"] == step
    assert same_frame > 30


def test_out_goes_to_the_return_and_back_to_the_call(programs):
    past = _core.Past(record(programs, PROGRAM))
    names = {code[0]: code[2] for code in past.codes()}
    checked = 0
    for stop in stops(past, 0, "line"):
        frames = past.at(stop["step"]).frames
        if names[frames[-1][1]] not in ("Counter.more", "deep") or stop["event"] == "return":
            continue
        out = past.search(stop["step"], "out", False).find()
        back = past.search(stop["step"], "out", True).find()
        now = past.at(back["step"]).frames
        assert [frame[0] for frame in now] == [frame[0] for frame in frames[:-1]]
        if names[frames[-1][1]] == "Counter.more":
            checked += 1
            assert out["event"] == "return" or place(past, out["step"])[1] == 9
            assert past.at(out["step"]).frames[-1][0] == frames[-1][0]
        else:
            # An exception has left it: it goes on in the handler.
            assert names[past.at(out["step"]).frames[-1][1]] == "guarded"
    assert checked >= 6


def test_breakpoints_are_where_hits_are(programs):
    path = record(programs, PROGRAM)
    past, replay = _core.Past(path), debugop.open(path)
    file = str(programs.directory / "main.py")
    for line in range(1, 51):
        # A hit may be a function's RESUME, which comes before the line event.
        hits = [step + resumes(past, step) for step in replay.hits("main.py", line)]
        hits = [step for step in hits if place(past, step)[1] == line]
        found = [stop["step"] for stop in stops(past, 0, "breaks", lines=[(file, line)])]
        assert found == [step for step in hits if step > 0], line
        last = past.steps - 1
        found = [stop["step"] for stop in stops(past, last, "breaks", True, lines=[(file, line)])]
        assert found == [step for step in reversed(hits) if step < last], line


def test_watched_places_are_those_of_writes(programs):
    past = _core.Past(record(programs, PROGRAM))
    file = str(programs.directory / "main.py")
    step = past.search(0, "breaks", False, lines=[(file, 35)]).find()["step"]
    for text in ("total", "counter.value", "squares"):
        writes = [write["step"] for write in past.writes(step, 1, text, past.steps)]
        watched = {"places": [(step, 1, text)]}
        forwards = [change[1] for stop in stops(past, 0, "breaks", **watched) for change in stop["changes"]]
        backwards = [
            change[1] for stop in stops(past, past.steps - 1, "breaks", True, **watched) for change in stop["changes"]
        ]
        assert writes, text
        assert forwards == writes
        assert backwards == writes[::-1]


def test_exceptions_stop_where_they_are_raised(programs):
    past = _core.Past(record(programs, PROGRAM))
    found = stops(past, 0, "breaks", exceptions=True)
    shown = [(place(past, stop["step"])[:2], stop["raised"].type_name) for stop in found]
    assert (("deep", 20), "KeyError") in shown
    back = stops(past, past.steps - 1, "breaks", True, exceptions=True)
    assert [stop["step"] for stop in back] == [stop["step"] for stop in reversed(found)]


VALUES = {"i": 7, "neg": -3, "f": 2.5, "s": "text", "flag": True, "nothing": None, "items": [3, 1, 2], "pair": ("a", 4)}
VALUES |= {"table": {"k": 1, 2: "two"}, "big": 1 << 80, "empty": [], "data": b"\x00z"}
NAMES = st.sampled_from(sorted(VALUES))
BINARY = st.sampled_from(
    ["+", "-", "*", "//", "/", "%", "<", "<=", "==", "!=", ">", "and", "or", "in", "not in", "&", "|", "^"]
)
CALLS = st.sampled_from(
    ["len", "abs", "str", "repr", "sum", "sorted", "min", "max", "list", "tuple", "bool", "int", "any", "all"]
)


def expressions():
    leaves = st.one_of(
        NAMES, st.integers(-3, 9).map(str), st.sampled_from(["'k'", "'te'", "None", "True", "1.5", "[]", "(1, 'a')"])
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds("({} {} {})".format, inner, BINARY, inner),
            st.builds("{}({})".format, CALLS, inner),
            st.builds("(not {})".format, inner),
            st.builds("(-{})".format, inner),
            st.builds("{}[{}]".format, NAMES, inner),
            st.builds("{}[{}:{}]".format, NAMES, inner, inner),
            st.builds("({} if {} else {})".format, inner, inner, inner),
            st.builds("f'{{{}!r:>8}}'".format, NAMES),
            st.builds("({}, {})".format, inner, inner),
        ),
        max_leaves=6,
    )


@pytest.fixture(scope="module")
def recorded_values(tmp_path_factory):
    path = tmp_path_factory.mktemp("values") / "values.debugop"
    names = ", ".join(VALUES)
    text = f"def function({names}):\n    return i\n\nfunction(**{VALUES!r})\n"
    script = path.with_suffix(".py")
    script.write_text(text)
    import subprocess

    subprocess.run([sys.executable, "-m", "debugop", "record", "-o", path, script], check=True, capture_output=True)
    past = _core.Past(path)
    step = next(stop["step"] for stop in stops(past, 0, "line") if place(past, stop["step"])[0] == "function")
    return past.at(step).locals(1)


def plain(value):
    if isinstance(value, Recorded):
        return value.past.data.value
    if isinstance(value, (list, tuple)):
        return type(value)(plain(one) for one in value)
    return value


@given(text=expressions())
@example("sorted((empty, empty))")
@example("any((empty, empty))")
@example("set((pair, pair))")
@example("max((items, empty))")
@example("((items, 1) < (empty, 2))")
@example("([] in (empty, 1))")
def test_expressions_are_what_python_makes_of_them(recorded_values, text):
    def name(one):
        if one in recorded_values:
            return lift(recorded_values[one])
        raise Unknown(one)

    try:
        expected = eval(text, {}, dict(VALUES))
    except Exception as error:
        expected = type(error)
    try:
        found = plain(Evaluator(name).value(text))
    except Unknown:
        # It is refused where that would be large, and not otherwise.
        assert expected is MemoryError or any(operator in text for operator in ("*", "%"))
        return
    except Exception as error:
        found = type(error)
    assert found == expected or (isinstance(found, type) and isinstance(expected, type)), text
    assert type(found) is type(expected)


def test_what_is_not_recorded_says_so(recorded_values):
    def name(one):
        if one in recorded_values:
            return lift(recorded_values[one])
        raise Unknown(f"name {one!r} is not recorded here")

    for text in (
        "nowhere",
        "items.append(1)",
        "open('x')",
        "items.nothing",
        "lambda: 1",
        "[x for x in items]",
        "9**9**9",
        "i = 3",
    ):
        with pytest.raises(Unknown):
            Evaluator(name).value(text)
    assert recorded_values["items"].data.value == VALUES["items"], "nothing has been called"


def test_only_failures_are_kept(programs):
    cases = {
        "x = 1": False,
        "1 / 0": True,
        "import sys; sys.exit(0)": False,
        "import sys; sys.exit(3)": True,
        "exit('no')": True,
    }
    for text, kept in cases.items():
        programs.write({"main.py": text + "\n"})
        done = programs.debugop("record", "--on-exception", "main.py")
        assert (programs.directory / "main.debugop").exists() == kept, text
        assert ("is not kept" in done.stderr) != kept
        plainly = programs.run(["main.py"])
        assert done.status == plainly.status
        assert done.stdout == plainly.stdout


def test_last_begins_at_the_failing_instruction(programs):
    text = "def fails(x):\n    y = 0\n    return x / y\n\ntry:\n    int('x')\nexcept ValueError:\n    pass\nfails(5)\n"
    programs.write({"main.py": text})
    programs.debugop("record", "--on-exception", "main.py")
    shown = programs.debugop("debug", "--last", stdin=b"p x, y\ndis\nup\nq\n").stdout
    assert "ZeroDivisionError" in shown
    assert "main.py(3)fails()" in shown
    assert "(5, 0)" in shown
    assert "BINARY_OP" in shown.partition("->  ")[2] or "BINARY_OP" in shown
    assert "main.py(9)<module>()" in shown
    (programs.directory / "main.debugop").unlink()
    assert "no recording" in programs.debugop("debug", "--last").stderr


@pytest.mark.parametrize("damage", ["truncated", "empty", "other", "missing"])
def test_damaged_recordings_are_refused(programs, damage):
    path = record(programs, PROGRAM)
    contents = path.read_bytes()
    path.write_bytes({"truncated": contents[:40], "empty": b"", "other": b"GIF89a" * 20}.get(damage, b""))
    if damage == "missing":
        path.unlink()
    done = programs.debugop("debug", "main.debugop", stdin=b"n\nq\n")
    assert done.status == 1
    assert done.stderr.startswith("debugop: ")
    assert "Traceback" not in done.stderr


def test_every_damaged_byte_is_survived(programs):
    path = record(programs, PROGRAM)
    contents = bytearray(path.read_bytes())
    for at in range(0, len(contents), max(1, len(contents) // 60)):
        damaged = contents.copy()
        damaged[at] ^= 0x5A
        path.write_bytes(damaged)
        for index in programs.directory.glob("main.debugop.*"):
            index.unlink()
        try:
            past = _core.Past(path)
            stops(past, 0, "line over")
        except (ValueError, OSError, IndexError):
            pass


def test_sources(programs):
    script = "# coding: latin-1\ndef f(x):\n    text = 'é'\n    return text\n\nf(1)\n".encode("latin-1")
    path = record(programs, script)
    (programs.directory / "main.py").unlink()
    shown = programs.debugop("debug", "main.debugop", stdin=b"break f\nc\nlist\nq\n").stdout
    assert "text = 'é'" in shown
    kept = path.read_bytes()
    assert kept.startswith(b"\x89debugop")


def test_a_source_that_is_not_recorded(programs):
    """A file that was not there when it was compiled, and one that is written afterwards."""
    source = "def g(x):\n    y = x + 1\n    return y\n"
    record(programs, f"exec(compile({source!r}, 'later.py', 'exec'))\ng(1)\n".encode())
    commands = b"break g\nc\nlist\nll\nsi\nstack\np x\nq\n"
    shown = programs.debugop("debug", "main.debugop", stdin=commands).stdout
    assert "> later.py(2)g()" in shown
    assert "[EOF]" in shown
    assert "*** the source of later.py is neither in the recording nor there now" in shown
    # Instructions are shown all the same.
    assert re.search(r"\d+ (LOAD_FAST|LOAD_FAST_BORROW|LOAD_SMALL_INT|LOAD_CONST) ", shown)
    assert "\n(Pdb) 1\n" in shown.replace("\r", "")
    later = programs.directory / "later.py"
    later.write_text(source)
    shown = programs.debugop("debug", "main.debugop", stdin=commands).stdout
    assert shown.count("*** the recording does not hold the source: later.py has changed since") == 1
    assert "-> y = x + 1" in shown
    os.utime(later, (1, 1))
    shown = programs.debugop("debug", "main.debugop", stdin=commands).stdout
    assert shown.count("*** the recording does not hold the source: later.py is shown as it is now") == 1


def test_a_source_that_has_changed_is_shown_as_it_was(programs):
    record(programs, b"def f(x):\n    return x\n\nf(1)\n")
    (programs.directory / "main.py").write_text("print('something else')\n")
    shown = programs.debugop("debug", "main.debugop", stdin=b"break f\nc\nlist\nq\n").stdout
    assert "-> return x" in shown
    assert "something else" not in shown


def test_catch_uncaught_stops_at_what_nothing_handles(programs):
    source = b"""\
def handled(text):
    try:
        return int(text)
    except ValueError:
        return 0
    finally:
        text = None


def fails(table):
    handled("x")
    with open(__file__):
        return table["y"]


try:
    fails({})
except KeyError:
    pass
handled("z")
fails({"x": 1})
"""
    record(programs, source)
    commands = b"catch uncaught\nc\nwhere\np table\nc\nclear 1\ncatch uncaught ValueError\nrc\nclear 2\ncatch uncaught (KeyError, OSError), len(table) == 1\ngoto 0\nc\nc\nq\n"
    shown = programs.debugop("debug", "main.debugop", stdin=commands).stdout.replace("(Pdb) ", "")
    assert shown.count("KeyError('y')") == 2
    assert "Catchpoint 1: uncaught any exception" in shown
    assert "Catchpoint 1: KeyError('y')" in shown
    assert "{'x': 1}" in shown
    assert shown.count("--End of the recording--") == 2
    assert shown.count("--Beginning of the recording--") == 1
    assert "Catchpoint 3: KeyError('y')" in shown


FORGOTTEN = """
class Thing:
    __slots__ = ("next",)

def main():
    kept = [Thing() for _ in range(40)]
    # Not among the items that each chunk shows.
    first, second = kept[30], kept[31]
    del first, second
    keep = kept.append
    for number in range({count}):
        keep(Thing())
    again = kept[30]
    return again

main()
"""


@pytest.mark.parametrize(("count", "is_known"), [(100, True), (1_200_000, False)])
def test_what_is_met_again_after_it_was_forgotten_is_not_said_to_be_another(programs, count, is_known):
    """More objects live than the recorder tells apart."""
    past = _core.Past(record(programs, FORGOTTEN.format(count=count)))

    def bound(step, name):
        moment = past.at(step)
        return moment.locals(len(moment.frames) - 1).get(name)

    early = next(step for step in range(past.steps) if bound(step, "first") and bound(step, "second"))
    late = next(step for step in range(past.steps - 1, 0, -1) if bound(step, "again") is not None)
    first, second, again = bound(early, "first"), bound(early, "second"), bound(late, "again")
    assert first.is_same(second) is False
    assert first.is_same(again) is again.is_same(first) is (True if is_known else None)
    assert again.is_same(bound(late - 1, "again")) is True
