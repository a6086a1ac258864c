"""Watchpoints see every change of their place, whoever makes it, and nothing else."""

import re

import pytest

pexpect = pytest.importorskip("pexpect", reason="pexpect drives the pseudo-terminal, and is not installed")

from test_console import session  # noqa: E402

WAYS = {
    "attribute": (
        "box.value",
        [
            ("box.value = 1", "1"),
            ("setattr(box, 'value', 2)", "2"),
            ("box.__dict__['value'] = 3", "3"),
            ("box.__dict__.update(value=4)", "4"),
            ("vars(box)['value'] += 1", "5"),
            ("box.other = 7", None),
            ("other.value = 7", None),
            ("box.value = 5", None),
            ("del box.value", "<not set>"),
            ("vars(box).setdefault('value', 6)", "6"),
            ("sets(box)", "8"),
            ("list(map(sets_to(9), [box]))", "9"),
            ("box.__dict__ = {'value': 10}", None),
        ],
    ),
    "slot": (
        "slotted.value",
        [
            ("slotted.value = 1", "1"),
            ("setattr(slotted, 'value', 2)", "2"),
            ("object.__setattr__(slotted, 'value', 3)", "3"),
            ("del slotted.value", "<not set>"),
            ("Slotted.value.__set__(slotted, 4)", "4"),
        ],
    ),
    "class": (
        "Box.shared",
        [
            ("Box.shared = 1", "1"),
            ("type.__setattr__(Box, 'shared', 2)", "2"),
            ("box.shared = 3", None),
            ("del Box.shared", "<not set>"),
        ],
    ),
    "item": (
        "sizes['a']",
        [
            ("sizes['a'] = 1", "1"),
            ("sizes.update(a=2, b=3)", "2"),
            ("sizes |= {'a': 3}", "3"),
            ("sizes['b'] = 9", None),
            ("sizes.pop('a')", "<not set>"),
            ("missing['a']", None),
            ("sizes.setdefault('a', 'x')", "'x'"),
            ("sizes.clear()", "<not set>"),
            ("dict.__setitem__(sizes, 'a', 2.5)", "2.5"),
        ],
    ),
    "index": (
        "items[1]",
        [
            ("items[1] = 5", "5"),
            ("items.append(9)", None),
            ("items.insert(0, 4)", "0"),
            ("items.sort(reverse=True)", "5"),
            ("items[:] = [0, 7]", "7"),
            ("items.pop()", "<not set>"),
            ("items += [8]", "8"),
            ("del items[0]", "<not set>"),
        ],
    ),
    "global": (
        "GLOBAL",
        [
            ("GLOBAL = 1", "1"),
            ("GLOBAL += 1", "2"),
            ("globals()['GLOBAL'] = 3", "3"),
            ("globals().update(GLOBAL=4)", "4"),
            ("exec('GLOBAL = 5')", "5"),
            ("sys.modules['__main__'].GLOBAL = 6", "6"),
            ("from errno import EPERM as GLOBAL", "1"),
            ("del GLOBAL", "<not set>"),
            ("changes_global()", "11"),
        ],
    ),
}

BEFORE = """\
import sys
class Box: pass
class Slotted:
    __slots__ = ("value",)
class Missing(dict):
    def __missing__(self, key): return 0
def sets(box): box.value = 8
def sets_to(value): return lambda box: setattr(box, "value", value)
def changes_global():
    global GLOBAL
    GLOBAL = 11
box, other, slotted, missing = Box(), Box(), Slotted(), Missing()
Box.shared = box.value = slotted.value = 0
sizes, items = {"a": 0}, [0, 1]
GLOBAL = 0
"""


@pytest.mark.parametrize("place", WAYS)
def test_places(tmp_path, place):
    text, steps = WAYS[place]
    script = tmp_path / "watched.py"
    script.write_text(BEFORE + "".join(f"{statement}\n" for statement, _ in steps) + "pass\n")
    first = BEFORE.count("\n") + 1
    expected = [new for _, new in steps if new is not None]
    commands = [f"tbreak {first}", "continue", f"watch {text}", *["continue"] * len(expected), "continue", "quit"]
    shown = session(["debug", str(script)], commands).partition("The program finished")[0]
    assert re.findall(r"^New value: (.*)$", shown, re.MULTILINE) == expected


LOCALS = [
    ("x = 1", ["1"]),
    ("x += 1", ["2"]),
    ("x = 2", []),
    ("for x in (3, 4): pass", ["3", "4"]),
    ("(x := 5)", ["5"]),
    ("with context as x: pass", ["6"]),
    ("x, y = 7, 8", ["7"]),
    ("y, x = 7, 8", ["8"]),
    ("[x, *y] = 9, 8", ["9"]),
    ("y = [x for x in (1, 2)]", []),
    ("import errno as x", ["<module errno>"]),
    ("def x(): pass", ["<function function.<locals>.x>"]),
    ("del x", ["<not set>"]),
    ("x = 10", ["10"]),
]


@pytest.mark.parametrize("shared", [False, True])
def test_local(tmp_path, shared):
    """A variable of a function, and one that a function nested in it shares."""
    script = tmp_path / "watched.py"
    lines = ["x = 0", *(statement for statement, _ in LOCALS), *(["def inner(): return x"] if shared else []), "return"]
    script.write_text(
        "class Context:\n    def __enter__(self): return 6\n    def __exit__(self, *_): pass\n"
        "context = Context()\n"
        "def function():\n" + "".join(f"    {line}\n" for line in lines) + "function()\n"
    )
    expected = [value for _, values in LOCALS for value in values]
    commands = ["tbreak 7", "continue", "watch x", *["continue"] * (len(expected) + 3), "quit"]
    shown = session(["debug", str(script)], commands).partition("The program finished")[0]
    found = re.findall(r"^New value: (.*)$", shown, re.MULTILINE)
    # What a comprehension's own variable of the name holds meanwhile (3.12+, PEP 709) is no value of the function's.
    assert [value for value in found if "function" not in value] == [
        value for value in expected if "function" not in value
    ]
    assert "Watchpoint 2 deleted: function() is left, and with it x." in shown


NEVER_CHANGED = """\
import sys
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def numbers(n, fixed):
    for i in range(n):
        yield i
    return fixed
def loop(n):
    fixed = total = traced = 0
    def inner(x): return x + 1
    for i in range(n):
        total += inner(i)
        try:
            total += fib(i % 5) + [j for j in (i, 1)][1] // (i % 3)
        except ZeroDivisionError as error:
            total -= len(error.args)
        traced += sys.gettrace() is not None
    print("THE SUM", total, "TRACED", traced, f"{fixed}")
    fixed += 1
    while traced < n: traced += 1
    return sum(numbers(n, fixed))
print("RETURNED", loop(100))
"""


@pytest.mark.parametrize("place", ["def inner", "total += inner"])
def test_unchanged_local(tmp_path, place):
    """A function runs on without a trace function, however it goes on, until the variable changes."""
    script = tmp_path / "watched.py"
    script.write_text(NEVER_CHANGED)
    line = next(number for number, text in enumerate(NEVER_CHANGED.splitlines(), 1) if text.strip().startswith(place))
    commands = [f"tbreak {line}", "continue", "watch fixed", "continue", "continue", "continue", "quit"]
    shown = session(["debug", str(script)], commands)
    namespace = {}
    exec(compile(NEVER_CHANGED.rpartition("print")[0], "plain", "exec"), namespace)
    expected = namespace["loop"](100)
    found = re.search(r"THE SUM (\d+) TRACED (\d+) 0", shown)
    assert found, shown
    total, traced = found.groups()
    assert (int(traced) <= 1, f"RETURNED {expected}" in shown) == (True, True)
    assert re.findall(r"^New value: (.*)$", shown, re.MULTILINE) == ["1"]
    assert re.findall(r"^Changed by (\d+) ", shown, re.MULTILINE)
    assert "Watchpoint 2 deleted: loop() is left, and with it fixed." in shown
    assert int(total) > 0


FAILED_BEFORE = """\
def loop(n):
    fixed = total = 0
    try:
        total += 1 // fixed
    except ZeroDivisionError as error:
        failure = error
    for i in range(n):
        total += i
    print("LINES", failure.__traceback__.tb_lineno, failure.__traceback__.tb_frame.f_lineno)
    fixed = 1
loop(10)
"""


def test_traceback_of_watched_function(tmp_path):
    """What has been raised in the function before says where."""
    script = tmp_path / "watched.py"
    script.write_text(FAILED_BEFORE)
    commands = ["tbreak 7", "continue", "watch fixed", "continue", "continue", "continue", "quit"]
    shown = session(["debug", str(script)], commands)
    assert "LINES 4 9" in shown
    assert re.findall(r"^New value: (.*)$", shown, re.MULTILINE) == ["1"]
