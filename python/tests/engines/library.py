"""Dataclasses, enums, dispatch, regular expressions, JSON, decimals, and exceptions with causes."""

import collections
import dataclasses
import decimal
import enum
import functools
import json
import re
import textwrap


@dataclasses.dataclass(order=True)
class Box:
    x: int
    y: int = 3

    def area(self):
        return self.x * self.y


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@functools.singledispatch
def show(value):
    return "object"


@show.register
def _(value: int):
    return "int"


Pair = collections.namedtuple("Pair", "a b")


def fails():
    try:
        int("x")
    except ValueError as error:
        raise KeyError("k") from error


print(sorted([Box(3), Box(1)], key=lambda box: -box.area()), Color.RED.name, show(3), show("a"), Pair(1, 2))
print(re.sub(r"(\d+)", lambda match: str(int(match[1]) + 1), "a1b22"))
print(json.loads(json.dumps({"a": [1, 2.5, None, True, "x\n"]}, indent=1)))
print(decimal.Decimal("1.1") / 3, textwrap.fill("lorem ipsum " * 10, 30))
for _ in range(3):
    try:
        fails()
    except KeyError as error:
        print(repr(error), repr(error.__cause__))
