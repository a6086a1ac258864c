"""What a recording tells: `debugop show`, `debugop query`, `debugop.open`, compared with what the program did."""

import json
import subprocess
import sys

import debugop
import pytest

PROGRAM = """\
class Account:
    def __init__(self, name):
        self.name = name
        self.total = 0

    def add(self, amount):
        if amount < 0:
            raise ValueError(f"negative: {amount}")
        self.total += amount
        return self.total


def fill(account, amounts):
    done = []
    for amount in amounts:
        try:
            done.append(account.add(amount))
        except ValueError as error:
            print("skipped", error)
    return done


account = Account("x")
print(fill(account, [1, 2, -3, 4]))
"""


def command(*arguments, cwd, status=0):
    """Runs `debugop`; returns its standard output and error."""
    done = subprocess.run(
        [sys.executable, "-m", "debugop", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("recorded")
    (directory / "program.py").write_text(PROGRAM)
    printed, _ = command("record", "-o", "program.debugop", "program.py", cwd=directory)
    assert printed == "skipped negative: -3\n[1, 3, 7]\n"
    return directory / "program.debugop"


def test_iterating_goes_through_the_steps_both_ways(recorded):
    replay = debugop.open(recorded)
    steps = list(replay)
    assert [step.step for step in steps] == list(range(len(replay)))
    assert [step.step for step in reversed(replay)] == list(reversed(range(len(replay))))
    places = [(step.frame, step.function, step.file, step.line, step.offset, step.opname, step.arg) for step in steps]
    for step in range(0, len(replay), 50):
        top = replay.at(step).frames[-1]
        assert places[step] == (top.number, top.function, top.file, top.line, top.offset, top.opname, top.arg)
    added = [step for step in steps if step.function == "Account.add" and step.opname.startswith("RETURN_")]
    assert [step.frames[-1].locals["amount"] for step in added] == [1, 2, 4]
    assert added[0].moment().step == added[0].step
    assert (
        repr(added[0])
        == f"<debugop.ReplayStep {added[0].step}: {added[0].opname} at offset {added[0].offset} of Account.add>"
    )


def query(recorded, what, *arguments):
    printed, _ = command("query", "--json", what, recorded, *arguments, cwd=recorded.parent)
    return [json.loads(line) for line in printed.splitlines()]


def line_of(text):
    return PROGRAM.splitlines().index(text) + 1


def test_calls_have_arguments_and_results(recorded):
    calls = query(recorded, "calls", "Account.add")
    assert [dict(call["arguments"])["amount"] for call in calls] == [1, 2, -3, 4]
    assert [call["outcome"] for call in calls] == ["returned", "returned", "raised", "returned"]
    assert [call["value"] for call in calls if call["outcome"] == "returned"] == [1, 3, 7]


def test_hits_come_once_a_round(recorded):
    hits = query(recorded, "hits", f"program.py:{line_of('        self.total += amount')}")
    assert len(hits) == 3
    assert [hit["at"]["function"] for hit in hits] == ["Account.add"] * 3
    both = query(recorded, "hits", "program.py:1")
    assert [hit["at"]["function"] for hit in both] == ["<module>", "Account"]


def test_hits_are_counted_without_being_looked_at(recorded):
    line = line_of("        self.total += amount")
    (count,) = query(recorded, "hits", f"program.py:{line}", "--count")
    assert count == {"hits": 3}
    replay = debugop.open(recorded)
    hits = replay.hits("program.py", line)
    assert replay.hit_count("program.py", line) == len(hits) == 3
    assert replay.last_hit("program.py", line, len(replay)) == hits[-1]
    assert replay.last_hit("program.py", line, hits[-1]) == hits[-2]
    assert replay.last_hit("program.py", line, hits[0]) is None
    assert recorded.with_name(recorded.name + ".index").exists()


def test_steps_by_function_opcode_line_thread_and_time(recorded):
    replay = debugop.open(recorded)
    every = [replay[number] for number in range(len(replay))]

    def those(condition):
        return [moment.step for moment in every if condition(moment.frames[-1])]

    of_add = those(lambda frame: frame.function == "Account.add")
    stores = those(lambda frame: frame.opname == "STORE_ATTR")
    line = line_of("        self.total += amount")
    assert replay.steps(function="Account.add") == of_add
    assert replay.steps(opcode="STORE_ATTR") == stores
    both = sorted(set(of_add) & set(stores))
    assert replay.steps(function="add", opcode="STORE_ATTR") == both
    assert replay.steps(line=("program.py", line)) == those(lambda frame: frame.line == line)
    assert replay.steps(limit=3) == [0, 1, 2]
    (thread,) = {step["thread"] for step in query(recorded, "steps")}
    assert replay.steps(thread=thread) == [moment.step for moment in every]
    assert replay.steps(thread=thread + 1) == []
    middle = every[len(every) // 2].time
    until = [moment.step for moment in every if moment.time < middle]
    assert replay.steps(time=(0, middle)) == until
    answer = query(recorded, "steps", "--function", "Account.add", "--opcode", "STORE_ATTR")
    assert [step["step"] for step in answer] == both


LONG = """\
class Box:
    pass


def main():
    box = Box()
    box.value = 7
    items = [1, 2]
    items[0] = 5
    total = 0
    for number in range(500_000):
        total += box.value + items[0]
        if number == 100_000:
            box.value = 7
    return total


main()
"""


def test_what_was_bound_many_chunks_ago(tmp_path):
    (tmp_path / "long.py").write_text(LONG)
    command("record", "-o", "long.debugop", "long.py", cwd=tmp_path)
    replay = debugop.open(tmp_path / "long.debugop")

    def line_of(text):
        return LONG.splitlines().index(text) + 1

    def steps(text, opcode):
        return replay.steps(line=("long.py", line_of(text)), opcode=opcode)

    (end,) = replay.hits("long.py", line_of("    return total"))
    assert end > 5_000_000
    for _ in range(2):
        (first,) = steps("    box.value = 7", "STORE_ATTR")
        (again,) = steps("            box.value = 7", "STORE_ATTR")
        (item,) = steps("    items[0] = 5", "STORE_SUBSCR")
        (begin,) = steps("    total = 0", "STORE_FAST")
        assert [write["step"] for write in replay.writes("box.value", end)] == [first, again]
        assert [write["step"] for write in replay.writes("items[0]", end)] == [item]
        assert replay.last_write("box.value", end)["step"] == again
        assert replay.last_write("box.value", again)["step"] == first
        assert replay.last_write("items[0]", end)["step"] == item
        assert replay.last_write("total", begin + 1)["step"] == begin
        assert replay.hit_count("long.py", line_of("        total += box.value + items[0]")) == 500_000
        # From the index that the first one has left.
        replay = debugop.open(tmp_path / "long.debugop")


def test_exceptions_name_what_raised_and_what_handled(recorded):
    (found,) = query(recorded, "exceptions")
    assert found["exception"]["class"] == "ValueError"
    assert found["at"]["line"] == line_of('            raise ValueError(f"negative: {amount}")')
    assert found["unwound"] == 1
    assert len(found["handlers"]) >= 1


def test_writes_of_a_local_an_attribute_and_a_global(recorded):
    end = query(recorded, "hits", f"program.py:{line_of('    return done')}")[0]["step"]
    assert [write["value"] for write in query(recorded, "writes", end, "amount")] == [1, 2, -3, 4]
    totals = query(recorded, "writes", end, "account.total")
    assert [write["value"] for write in totals] == [0, 1, 3, 7]
    assert {write["at"]["opname"] for write in totals} == {"STORE_ATTR"}
    (last,) = query(recorded, "writes", "--last", end, "account.total")
    assert last == totals[-1]


def test_origin_leads_through_the_call_to_the_addition(recorded):
    end = query(recorded, "calls", "Account.add")[-1]["end"]
    hops = query(recorded, "origin", end, "stack[0]")
    assert hops[0]["value"] == 7
    assert hops[0]["at"]["opname"] == "LOAD_ATTR"
    assert hops[1]["operands"] == [3, 4]


def test_origin_of_an_attribute_begins_where_it_was_bound(recorded):
    end = query(recorded, "hits", f"program.py:{line_of('    return done')}")[0]["step"]
    hops = query(recorded, "origin", end, "account.total")
    assert [hop["kind"] for hop in hops[:2]] == ["bound", "produced"]
    assert hops[0]["at"]["opname"] == "STORE_ATTR"
    assert (hops[0]["value"], hops[1]["value"], hops[1]["operands"]) == (7, 7, [3, 4])


def test_origin_of_a_global_and_of_what_is_in_it(recorded):
    replay = debugop.open(recorded)
    end = len(replay) - 1
    (account, *_) = replay.origin("account", end)
    assert (account["kind"], account["function"], account["line"]) == (
        "bound",
        "<module>",
        line_of('account = Account("x")'),
    )
    bound, made = replay.origin("account.total", end)[:2]
    assert (bound["kind"], bound["function"], made["operands"]) == ("bound", "Account.add", [3, 4])
    assert replay.last_write("account.total", end)["step"] == bound["step"]
    name, literal = replay.origin("account.name", end)[:2]
    assert (name["kind"], name["value"], literal["value"]) == ("bound", "x", "x")


def test_state_shows_frames_locals_and_stack(recorded):
    step = query(recorded, "calls", "Account.add")[0]["step"]
    frames = query(recorded, "state", step)
    assert [frame["at"]["function"] for frame in frames] == ["Account.add", "fill", "<module>"]
    assert dict(frames[0]["locals"])["amount"] == 1
    assert dict(frames[1]["locals"])["amounts"]["items"] == [1, 2, -3, 4]


def test_show_is_the_report_of_run(recorded, tmp_path):
    shown, _ = command("show", "--format", "jsonl", recorded, cwd=recorded.parent)
    command("run", "--format", "jsonl", "-o", tmp_path / "report", "program.py", cwd=recorded.parent)
    steps = told(shown)
    assert steps == told((tmp_path / "report").read_text())
    assert len(steps) > 170


LEAVES = """\
class Manager:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


def plain(count):
    for number in range(count):
        yield number


def finishing(count):
    try:
        yield from plain(count)
    finally:
        count = 0


def managed(count):
    with Manager() as manager:
        yield manager
        yield count


async def waiting():
    await Waits()


class Waits:
    def __await__(self):
        yield 1


def again():
    try:
        try:
            raise KeyError(1)
        except ValueError:
            pass
    finally:
        done = 1


for make in plain, finishing, managed:
    for end in "close", "drop", "throw", "unstarted":
        made = make(3)
        if end != "unstarted":
            next(made)
        if end == "throw":
            try:
                made.throw(KeyError(1))
            except KeyError:
                pass
        elif end == "close":
            made.close()
        del made
waits = waiting()
waits.send(None)
waits.close()
try:
    again()
except KeyError:
    pass
"""


def test_frames_are_left_where_the_report_of_run_says(tmp_path):
    """What raises again says where the exception was raised first."""
    (tmp_path / "program.py").write_text(LEAVES)
    command("run", "--format", "jsonl", "-o", "report", "program.py", cwd=tmp_path)
    command("record", "-o", "program.debugop", "program.py", cwd=tmp_path)
    shown, _ = command("show", "--format", "jsonl", "program.debugop", cwd=tmp_path)
    steps = told(shown)
    assert steps == told((tmp_path / "report").read_text())
    assert len([step for step in steps if step[0] == "unwind"]) >= 8


def told(report):
    """What a report says of each step, identities left out."""
    lines = map(json.loads, report.splitlines())
    return [
        (line["event"], line.get("frame_event"), line["offset"], line["opname"], list(map(scalar, line["stack"])))
        for line in lines
        if line["kind"] == "step"
    ]


def scalar(value):
    """Numbers, strings and containers of them as they are; of other values nothing but that there is one."""
    if not isinstance(value, dict):
        return value
    return list(map(scalar, value["items"])) if "items" in value else "object"


def test_two_recordings_of_one_program_do_not_differ(recorded, tmp_path):
    other = tmp_path / "other.debugop"
    command("record", "-o", other, "program.py", cwd=recorded.parent)
    (same,) = query(recorded, "diff", other)
    assert same["same"] == len(debugop.open(recorded))


def test_two_recordings_part_where_their_values_do(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import sys\nnumber = int(sys.argv[1])\nprint(number * 2)\n")
    for number in "12":
        command("record", "-o", f"{number}.debugop", "program.py", number, cwd=tmp_path)
    (parting,) = query(tmp_path / "1.debugop", "diff", tmp_path / "2.debugop")
    assert parting["at"]["line"] == 2


def test_open_gives_moments(recorded):
    replay = debugop.open(recorded)
    assert len(replay) > 170
    (first, *_), last = replay.calls("Account.add"), replay[-1]
    moment = replay.at(first["step"])
    assert [frame.function for frame in moment.frames] == ["<module>", "fill", "Account.add"]
    account = moment.frames[-1].locals["self"]
    assert account.type_name == "__main__.Account"
    assert account.attributes == {"name": "x", "total": 0}
    assert last.frames[-1].opname in ("RETURN_VALUE", "RETURN_CONST")
    assert [call["value"] for call in replay.calls("fill")] == [[1, 3, 7]]
    with pytest.raises(IndexError, match=f"the recording has {len(replay)} steps"):
        replay.at(len(replay))


def test_every_step_can_be_gone_to_in_any_order(recorded):
    replay = debugop.open(recorded)
    forwards = [shape(replay.at(step)) for step in range(len(replay))]
    backwards = [shape(replay.at(step)) for step in reversed(range(len(replay)))]
    assert forwards == backwards[::-1]


def shape(moment):
    return [(frame.function, frame.offset, list(map(repr, frame.stack))) for frame in moment.frames]


def test_what_is_no_recording_is_refused(recorded, tmp_path):
    (tmp_path / "text").write_text("hello")
    for file in ("text", "missing"):
        for arguments in (["show", file], ["query", "exceptions", file]):
            _, said = command(*arguments, cwd=tmp_path, status=1)
            assert said.startswith(f"debugop: {file}: ")
            assert said.count("\n") == 1
    with pytest.raises(ValueError, match="not a debugop recording"):
        debugop.open(tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        debugop.open(tmp_path / "missing")


def test_questions_that_have_no_answer_say_why(recorded):
    cwd = recorded.parent
    for arguments, reason in [
        (["query", "state", recorded, "999999"], "there is no step 999,999: the recording has"),
        (["query", "calls", recorded, "Account.ad"], "no recorded function is called 'Account.ad'"),
        (["query", "hits", recorded, "program.py"], "write FILE:LINE"),
        (["query", "hits", recorded, "other.py:1"], "nothing of"),
        (["query", "writes", recorded, "3", "a b"], "is not a place"),
        (["show", recorded, "-f", "nothing"], "no recorded function is called"),
    ]:
        _, said = command(*arguments, cwd=cwd, status=1)
        assert reason in said.replace('"', "'"), said
    _, said = command("show", recorded, "--steps", "1-2", cwd=cwd, status=2)
    assert "write FROM..TO" in said


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (["hits", "FILE", "program.py:9999"], "(no step comes to program.py:9999 in this recording)"),
        (["hits", "FILE", "program.py:9999", "--count"], "0"),
        (["steps", "FILE", "--opcode", "NO_SUCH_OPCODE"], "(no such step in this recording)"),
        (
            ["writes", "FILE", "3", "no_such_name"],
            "(nothing binds no_such_name in this recording, as seen from <module>, which runs at step 3)",
        ),
        (
            ["writes", "FILE", "3", "no_such_name", "--last"],
            "(nothing binds no_such_name before step 3 in this recording, as seen from <module>, which runs at step 3)",
        ),
        (["hits", "FILE", "program.py:9999", "--json"], ""),
    ],
)
def test_an_answer_of_nothing_says_so(recorded, question, said):
    asked = [recorded if word == "FILE" else word for word in question]
    text, _ = command("query", *asked, cwd=recorded.parent)
    assert text.strip() == said


METHODS = """\
def f(append, join, fromkeys, add, bound):
    values = []
    append(values, 1)
    return values, join, fromkeys, add, bound


f(list.append, str.join, dict.__dict__["fromkeys"], int.__add__, (1).__add__)
"""


def test_methods_of_c_have_their_names_as_in_a_live_report(tmp_path):
    (tmp_path / "methods.py").write_text(METHODS)
    command("record", "-o", "methods.debugop", "methods.py", cwd=tmp_path)
    step = query(tmp_path / "methods.debugop", "hits", "methods.py:4")[-1]["step"]
    recording = debugop.open(tmp_path / "methods.debugop")
    local = {name: str(value) for name, value in recording.at(step).frames[-1].locals.items()}
    assert local.pop("values")
    expected = {"append": "list.append", "join": "str.join", "fromkeys": "dict.fromkeys"}
    expected |= {"add": "int.__add__", "bound": "int.__add__"}
    assert local == {name: f"<built-in {text}>" for name, text in expected.items()}
    with debugop.trace(captured, lambda step: values.append(step.record().stack) if len(step.stack) == 5 else None):
        values = []
        captured(list.append, str.join, dict.__dict__["fromkeys"], int.__add__, (1).__add__)
    assert [str(value) for value in values[0]] == list(local.values())


def captured(append, join, fromkeys, add, bound):
    return (append, join, fromkeys, add, bound)


GENERATORS = """
import asyncio

def numbers(first):
    got = yield first
    try:
        yield got
    except KeyError:
        yield "caught"
    return "end"

generator = numbers(3)
next(generator), generator.send(5), generator.throw(KeyError())
try:
    next(generator)
except StopIteration:
    pass
left = numbers(1)
next(left)

def many():
    yield from range(1000)

sum(many())

def fails():
    yield 1
    1 / 0

try:
    list(fails())
except ZeroDivisionError:
    pass

async def waits(number):
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return number

async def items():
    yield await waits(6)
    yield 7

async def main():
    return [item async for item in items()]

asyncio.run(main())
"""


def test_calls_of_generators_tell_what_they_yielded(tmp_path):
    (tmp_path / "program.py").write_text(GENERATORS)
    command("record", "program.py", cwd=tmp_path)
    recorded = tmp_path / "program.debugop"

    def told(function):
        text, _ = command("query", "calls", recorded, function, cwd=tmp_path)
        return [line.strip().split("  ", 1)[1] for line in text.splitlines()]

    assert told("numbers") == [
        "generator numbers(first=3)  yielded 3, 5, 'caught'  returned 'end'",
        "generator numbers(first=1)  yielded 1  is suspended",
    ]
    assert told("many") == ["generator many()  yielded 0, 1, 2, 3, 4, 5, 6, 7, … (1,000 items)  returned None"]
    assert told("fails") == ["generator fails()  yielded 1  raised ZeroDivisionError('division by zero')"]
    assert told("waits") == ["coroutine waits(number=6)  suspended 2 times  returned 6"]
    assert told("items") == ["async generator items()  yielded 6, 7  returned None"]
    assert told("main") == ["coroutine main()  suspended 2 times  returned [6, 7]"]

    first, left = debugop.open(recorded).calls("numbers")
    assert (first["kind"], first["yields"], first["outcome"]) == ("generator", 3, "returned")
    assert [value for _, value in first["yielded"]] == [3, 5, "caught"]
    opcodes = [debugop.open(recorded).at(step).frames[-1].opname for step, _ in first["yielded"]]
    assert opcodes == ["YIELD_VALUE"] * 3
    assert (left["outcome"], left["end"], left["value"]) == ("suspended", None, None)
    (main,) = query(recorded, "calls", "main")
    assert (main["kind"], main["yields"], main["yielded"]) == ("coroutine", 2, [])
