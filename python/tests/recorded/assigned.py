"""Locals that others assign, and objects that get another class: what no instruction of the frame concerned does."""

import sys


class First:
    def __init__(self, number):
        self.number = number


class Second(First):
    pass


def set_item(name, value):
    sys._getframe(1).f_locals[name] = value
    return name


def set_by_method(**values):
    proxy = sys._getframe(1).f_locals
    proxy.update(values)
    proxy.setdefault("x", 0)
    proxy.__setitem__("z", len(values))


def set_by_or(values):
    proxy = sys._getframe(1).f_locals
    proxy |= values


def fails():
    proxy = sys._getframe(1).f_locals
    try:
        proxy.update(5)
    except (TypeError, ValueError) as error:
        return error.args[0]


def locals_of_a_caller():
    x, y, z = 1, [2], "3"
    set_item("x", 10)
    shown = (x, y, z)
    set_by_method(x=11, y=[12, 13])
    shown += (x, y, z)
    set_by_or({"z": {"z": 14}})
    shown += (x, y, z)
    fails()
    shown += (x, y, z)
    for i in range(3):
        set_item("y", [i])
        x = y
        shown += (i, x)
    return shown


def cells():
    x = 1

    def inner():
        nonlocal x
        set_item("x", [x])
        x = [x, 1]
        return x

    set_item("x", 5)
    return inner(), x, inner(), x


def own():
    x = 1
    sys._getframe().f_locals["x"] = 2
    y = x
    sys._getframe().f_locals["y"] = (x, y)
    return x, y


def suspended():
    x = 1
    while x:
        got = yield x
        x = x + (got or 1)


def of_a_generator():
    made = suspended()
    values = [next(made)]
    made.gi_frame.f_locals["x"] = 100
    values.append(made.send(5))
    made.gi_frame.f_locals["x"] = 7
    values.append(next(made))
    made.close()
    return values


def deep(depth):
    number = depth
    if depth:
        below = deep(depth - 1)
        return number, below
    frame = sys._getframe()
    while frame.f_code.co_name == "deep":
        frame.f_locals["number"] = -frame.f_locals["number"]
        frame = frame.f_back
    return number


def classes():
    one, others = First(1), [First(number) for number in range(3)]
    before = type(one).__name__
    one.__class__ = Second
    after = type(one).__name__
    for other in others:
        other.__class__ = Second
        after += type(other).__name__
    object.__setattr__(one, "__class__", First)
    try:
        one.__class__ = int
    except TypeError:
        after += "refused"
    return before, after, one, others


def main():
    for function in (locals_of_a_caller, cells, own, of_a_generator, classes):
        result = function()
        print(function.__name__, len(result))
    print(deep(5))


main()
