"""What the index says of places that are bound, compared with looking at every write; what a place has held."""

import itertools
import subprocess
import sys

import debugop
import pytest

# Some chunks. What is asked for is bound long ago, now and then, and all the time, of objects that are bound all the time.
PROGRAM = """\
class Account:
    def __init__(self, name):
        self.name = name
        self.total = 0
        self.rare = 0

    def add(self, amount):
        self.total += amount
        if self.total % 3011 == 7:
            self.rare = amount


def rename(account, key):
    setattr(account, key, "by C")


def work(turns):
    accounts = [Account(str(i)) for i in range(4)]
    table = {"first": 1}
    table["second"] = 2
    row = list(range(8))
    key = "".join(["ke", "y"])
    for turn in range(turns):
        account = accounts[turn % 4]
        account.add(turn)
        table[turn % 3] = turn
        row[turn % 2] = turn
        if turn % 10007 == 5:
            table[key] = turn
            table["second"] = turn
            table.update(third=turn)
            row[-1] = turn
            row[True] = turn
            rename(accounts[1], "name")
        if turn == turns // 2:
            del accounts[2].rare
            row.sort()
    return accounts, table, row


work(40_000)
"""
PLACES = (
    "accounts[0].name",
    "accounts[1].name",
    "accounts[2].rare",
    "accounts[3].rare",
    "accounts[3].total",
    "accounts[3].nothing",
    "accounts[1]",
    "table['first']",
    "table['second']",
    "table['third']",
    "table['key']",
    "table[2]",
    "row[0]",
    "row[1]",
    "row[5]",
    "row[7]",
    "row[-1]",
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("places")
    (directory / "program.py").write_text(PROGRAM)
    arguments = [sys.executable, "-m", "debugop", "record", "-o", "program.debugop", "program.py"]
    subprocess.run(arguments, cwd=directory, check=True, timeout=120, capture_output=True)
    return debugop.open(directory / "program.debugop")


def ends(recorded):
    line = PROGRAM.splitlines().index("    return accounts, table, row") + 1
    [end] = recorded.hits("program.py", line)
    return end


def test_the_last_write_is_the_last_of_all_writes(recorded):
    end = ends(recorded)
    line = PROGRAM.splitlines().index("        account = accounts[turn % 4]") + 1
    turns = recorded.hits("program.py", line)
    # Also right before and behind what C code changes, and a turn later.
    changes = [turns[turn + more] for turn in (10012, 30026) for more in (0, 1, 2)]
    befores = [end, turns[len(turns) // 2], turns[len(turns) // 7], *changes]
    assert len(recorded) > 1_000_000
    for place in PLACES:
        writes = recorded.writes(place, end)
        for before in befores:
            earlier = [write for write in writes if write["step"] < before]
            # Where it is looked up it must be known, so the place is that of the end.
            last = recorded.last_write(place, before)
            assert last == (earlier[-1] if earlier else None), (place, before)


def test_constant_keys_are_keys(recorded):
    end = ends(recorded)
    writes = recorded.writes("table['second']", end)
    assert [write["how"] for write in writes] == ["bound"] * 5
    assert [write["value"].value for write in writes] == [2, 5, 10012, 20019, 30026]


def test_what_a_place_has_held(recorded):
    end = ends(recorded)
    states = recorded.states("table['second']", end)
    assert [state["value"].value for state in states] == [2, 5, 10012, 20019, 30026]
    assert states[-1]["last"] == len(recorded) - 1
    for state, following in itertools.pairwise(states):
        assert state["last"] + 1 == following["first"] == following["step"] + 1
    turns = recorded.states("turn", end)
    assert [state["value"].value for state in turns] == list(range(40_000))
    for state in turns[:2000:397]:
        for step in (state["first"], state["last"]):
            [frame] = [frame for frame in recorded.at(step).frames if frame.function == "work"]
            assert frame.locals["turn"].value == state["value"].value
