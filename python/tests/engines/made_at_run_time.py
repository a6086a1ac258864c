"""Code and functions that are made while the program runs."""

import collections
import dataclasses
import functools
import string
import types


@dataclasses.dataclass(order=True)
class Point:
    x: int
    y: int = 0
    tags: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self.tags.append(self.x)


Pair = collections.namedtuple("Pair", "left right")


class Named(Pair):
    @property
    def total(self):
        return self.left + self.right


@functools.singledispatch
def describe(value):
    return "something"


@describe.register
def _describe_int(value: int):
    return f"the number {value}"


@describe.register(list)
def _describe_list(value):
    return [describe(one) for one in value]


@functools.cache
def cached(n):
    return n if n < 2 else cached(n - 1) + cached(n - 2)


@functools.total_ordering
class Ordered:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return self.value == other.value

    def __lt__(self, other):
        return self.value < other.value


def from_template(name, body):
    text = string.Template("def $name(x):\n    return $body\n").substitute(name=name, body=body)
    namespace = {}
    exec(compile(text, "a template", "exec"), namespace)
    return namespace[name]


def function_type():
    def inner(a, b=2):
        return a * b

    return types.FunctionType(inner.__code__, globals(), "other", (5,))


def replaced(x):
    return x


def replacement(x):
    def nested():
        return -x

    return nested()


def plain_replacement(x):
    return x + 100


def classes():
    made = type("Made", (), {"double": lambda self: self.base * 2, "base": 4})
    body = types.new_class("Bodied", (), {}, lambda namespace: namespace.update(base=3))
    return made().double(), body.base


def main():
    print(sorted([Point(2, 1), Point(1)]), Point(1) == Point(1), repr(Point(3)))
    print(Named(1, 2).total, Named(3, 4)._replace(left=5))
    print(describe(1), describe([1, "x"]), cached(6))
    print(Ordered(1) >= Ordered(0), Ordered(1) != Ordered(1))
    print(from_template("twice", "2 * x")(4), function_type()(3))
    print(eval("[a * 2 for a in range(3)]"), eval("(lambda: 7)()", {}))
    exec("for i in range(2):\n    class C:\n        def f(self): return i\n    print(C().f())", {})
    print(replaced(1))
    replaced.__code__ = plain_replacement.__code__
    print(replaced(1), plain_replacement(2), replacement(3))
    print(classes())
    for number in range(50):
        exec(compile(f"y = {number} + 1", "again and again", "exec"), {})
    once = compile("z = (lambda: 1)()", "once", "exec")
    for _ in range(50):
        exec(once, {})


main()
