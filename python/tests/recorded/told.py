"""A trace function written in Python is told of single instructions."""

import sys

told = []


def trace(frame, event, _):
    if frame.f_code.co_name not in ("count", "pairs"):
        return None
    frame.f_trace_opcodes = True
    note(frame.f_lasti, event)
    return trace


def note(offset, event):
    told.append(str(offset) + event)


def pairs(number):
    first, second = number, [number]
    first = first + number
    second.append(first)
    text = str(first) + str(number * 2)
    return {"a": first, "b": second, "c": text}, (first, *second)


def count(number):
    total = 0
    while number > 0:
        number -= 1
        got, items = pairs(number)
        total += number + items[0]
        value = total = total + got["a"]
    return total, value


for number in range(1, 6):
    sys.settrace(trace)
    count(number)
    sys.settrace(None)
print(len(told))
