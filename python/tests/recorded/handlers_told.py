"""Trace functions and callbacks are told of a line at the very handler of an exception: that of the `with` that it leaves."""

import asyncio
import sys


class Manager:
    def __init__(self, suppresses):
        self.suppresses, self.seen = suppresses, []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.seen.append(kind)
        return self.suppresses

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, value, traceback):
        await asyncio.sleep(0)
        return self.suppresses


def left(number):
    with Manager(True) as manager:
        total = number / (number % 3)
        manager.seen.append(total)
        [][number]
    return manager.seen


def left_within(number):
    found = [number]
    for turn in range(3):
        with Manager(True) as outer:
            found.append(turn)
            with Manager(turn == 1) as inner:
                found.append({}[turn])
            found.append((outer.seen, inner.seen))
    return found


def goes_on(number):
    with Manager(True) as manager:
        while True:
            try:
                number += yield manager.suppresses
            finally:
                number -= 1


def caught(number):
    try:
        with Manager(False):
            raise ValueError(number)
    except ValueError as error:
        number += len(error.args)
    finally:
        number *= 2
    return number


async def waited(number):
    async with Manager(True) as manager:
        await asyncio.sleep(0)
        number += manager.nothing
    return number


def all_of_it():
    found = []
    for number in range(4):
        found += [left(number), left_within(number), caught(number)]
        going = goes_on(number)
        next(going)
        try:
            found.append(going.throw(KeyError(number)))
        except StopIteration as stop:
            found.append(stop.value)
        going = goes_on(number)
        found.append(next(going))
        going.close()
        found.append(asyncio.run(waited(number)))
    return found


HEARD = []


def heard(*what):
    HEARD.append(len(what) + len(HEARD) % 3)
    return HEARD


def trace(frame, event, _):
    if frame.f_code is not heard.__code__:
        heard(event)
        frame.f_trace_opcodes = len(HEARD) % 5 == 0
    return trace


def is_told(code, *what):
    if code.co_filename == __file__ and code is not heard.__code__:
        heard(code, what)


plain = all_of_it()
sys.settrace(trace)
assert all_of_it() == plain
sys.settrace(None)
if sys.version_info >= (3, 12):
    monitoring = sys.monitoring
    monitoring.use_tool_id(2, "handlers")
    monitoring.register_callback(2, monitoring.events.LINE, is_told)
    monitoring.set_events(2, monitoring.events.LINE)
    assert all_of_it() == plain
    monitoring.register_callback(2, monitoring.events.INSTRUCTION, is_told)
    monitoring.set_events(2, monitoring.events.LINE | monitoring.events.INSTRUCTION)
    assert all_of_it() == plain
    monitoring.set_events(2, 0)
    monitoring.free_tool_id(2)
assert all_of_it() == plain
