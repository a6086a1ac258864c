"""`--redact`: values of matching names are nowhere in a recording, whatever way they go."""

import subprocess
import sys

import debugop
import pytest

HERE = """
def letters(number):
    # Made at run time: what is written in the source is in the recorded source text.
    return "".join(chr(ord("a") + (number * 7 + index * index) % 26) for index in range(12))

def several(number):
    yield letters(number)

def digits(number):
    return 900_000_000 + number * 1_234_567

def show(value):
    return len(str(value))
"""

PROGRAM = """
from secrets_of_the_test import digits, letters, several, show

class Account:
    __slots__ = ("name", "password")
    def __init__(self, name, password):
        self.name, self.password = name, password

class Open:
    pass

def login(user, *, password=None, **others):
    hidden = others.get("password_2")
    return check(password) and hidden

def check(anything):
    def inner():
        return anything
    return inner()

def cell(password):
    return lambda: show(password)

def conditional(flag):
    password = flag or letters(4)
    return show(password)

def generator():
    password = yield
    while True:
        password = yield show(password)

def fails(password):
    raise ValueError(password)

password = letters(1)
show(password)
account = Account("ann", password=letters(2))
show(account.password)
opened = Open()
opened.password = letters(3)
show(opened.password)
conditional(None)
login("bob", password=letters(5), password_2=letters(6))
table = {"password": letters(7), "user": "carl"}
table["other_password"] = letters(8)
show(table["other_password"])
(lambda: show(table["password"]))()
cell(password=letters(9))()
one = generator()
next(one)
password = letters(10)
one.send(password)
account.password = letters(11)
one.send(account.password)
try:
    fails(password=letters(12))
except ValueError as error:
    show(error.args)
first, password = "plain", letters(13)
for password in several(14):
    show(password)
[show(password) for password in several(15)]
password = digits(1)
show(password)
opened.password = digits(2)
table["password"] = digits(3)
show(opened.password + table["password"])
counting = cell(password=digits(4))
counting()
print("done")
"""
COUNT = 15


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    directory = tmp_path_factory.mktemp("redacted")
    # What makes the values and what uses them up is not recorded.
    (directory / "secrets_of_the_test.py").write_text(HERE)
    (directory / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "debugop", "record", "--exclude", "secrets_of_the_test", "-o", "redacted.debugop"]

    def record(*options):
        subprocess.run([*command, *options, "program.py"], cwd=directory, check=True, capture_output=True)
        return debugop.open(directory / "redacted.debugop")

    return record


def texts(replay):
    """Every value of every frame at every step, as text."""
    for step in range(len(replay)):
        for frame in replay.at(step).frames:
            for name, value in frame.locals.items():
                yield step, f"{frame.function} {name}", repr(value)
            for slot, value in enumerate(frame.stack):
                yield step, f"{frame.function} {frame.opname} slot {slot}", repr(value)


def secrets():
    namespace = {}
    exec(HERE, namespace)
    made = [namespace["letters"](number) for number in range(1, COUNT + 1)]
    # Ints have no identity: they are left out under their names only.
    return made + [str(namespace["digits"](number)) for number in range(1, 5)]


def test_values_are_found_without_it(recording):
    seen = "\n".join(text for _, _, text in texts(recording()))
    missing = [number for number, secret in enumerate(secrets(), 1) if secret not in seen]
    assert not missing


def test_values_are_nowhere(recording):
    leaks = []
    for step, where, text in texts(recording("--redact", "*password*")):
        leaks += [(step, where, number) for number, secret in enumerate(secrets(), 1) if secret in text]
    assert not leaks, sorted({(where, number) for _, where, number in leaks})


def test_other_values_stay(recording):
    seen = [text for _, _, text in texts(recording("--redact", "*password*"))]
    assert any("'bob'" in text for text in seen)
    assert any("redacted" in text for text in seen)
