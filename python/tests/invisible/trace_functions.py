"""What a trace function of the program's is told: each event, with its line and offset."""

# ruff: noqa: B007, C416, E701, SIM105, UP028

import asyncio
import hashlib
import sys
import threading

if sys.version_info >= (3, 12):
    # 3.12 asks for opcode events when a trace function is set, if some frame wanted them before (gh-114480).
    sys._getframe().f_trace_opcodes = True


def numbers(n):
    for i in range(n):
        yield i


def loops(n):
    total = 0
    for x in numbers(n):
        total += x
    for x in numbers(n): pass  # fmt: skip
    for x in numbers(0): pass  # fmt: skip
    for _ in numbers(n):
        pass
    for i in range(n):
        for x in numbers(i):
            if x > 1:
                break
    return total + sum(y for y in numbers(n) for z in numbers(y))


def delegates(n):
    yield from numbers(n)
    return (yield)


def raises(n):
    try:
        raise ValueError(n)
    except ValueError as error:
        try:
            raise KeyError from error
        except KeyError:
            return [x for x in list(delegates(n))[:2]]
    finally:
        n += 1


def leaves():
    with open(__file__) as file:
        return 1 / len(file.read(0))


async def asynchronous():
    async def each():
        for x in numbers(2):
            yield x
            await asyncio.sleep(0)

    return [x async for x in each()]


async def async_for():
    class Twice:
        count = 0

        def __aiter__(self):
            return self

        async def __anext__(self):
            self.count += 1
            if self.count > 2:
                raise StopAsyncIteration
            return self.count

    async for x in Twice(): x += 1  # fmt: skip
    return x


def work():
    loops(4), raises(3)
    try:
        leaves()
    except ZeroDivisionError:
        pass
    for function in (asynchronous, async_for):
        coroutine = function()
        try:
            while True:
                coroutine.send(None)
        except StopIteration:
            pass


own = {"loops", "numbers", "raises", "delegates", "leaves", "asynchronous", "each", "async_for", "work"}


def traced(lines, opcodes, run=work):
    told = []

    def trace(frame, event, argument):
        if frame.f_code.co_name not in own:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = lines, opcodes
        what = argument[0].__name__ if event == "exception" else None
        told.append((frame.f_code.co_name, event, frame.f_lineno, frame.f_lasti, what))
        return trace

    sys.settrace(trace)
    run()
    sys.settrace(None)
    counts = {}
    for _, event, *_ in told:
        counts[event] = counts.get(event, 0) + 1
    print(lines, opcodes, sorted(counts.items()), hashlib.md5(repr(told).encode()).hexdigest())
    return told


for turn in range(3):
    for lines in (True, False):
        traced(lines, False)
    for _ in range(5):
        work()
for turn in range(2):
    traced(True, True)
    work()


def in_the_middle():
    found = numbers(4)
    next(found)
    for x in found:
        if x == 1:
            sys.settrace(lambda *_: None)
            sys._getframe().f_trace = lambda frame, event, _: events.append((event, frame.f_lineno))
    sys.settrace(None)


for turn in range(8):
    events = []
    in_the_middle()
print(events)

if hasattr(threading, "settrace_all_threads"):
    told = []
    threading.settrace_all_threads(lambda frame, event, _: told.append((frame.f_code.co_name, event)))
    loops(2)
    threading.settrace_all_threads(None)
    print([one for one in told if one[0] in own])
    print(sys.gettrace())
