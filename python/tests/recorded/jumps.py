"""Frames that a trace function, or a callback of LINE, has go on at another line (`frame.f_lineno`): forwards and backwards, into and out of blocks, past what would have bound a
variable, in generators, again and again; from the first line and back to it, and to that of the `def`, whose `RESUME` is executed again then."""

import sys
import warnings

# 3.12 and later bind variables to None that a jump leaves unbound, and say so.
warnings.simplefilter("ignore", RuntimeWarning)


def straight(values):
    values.append("one")
    two = len(values)
    values.append(two)
    values.append("three")
    return values


def loops(values):
    for index in range(4):
        values.append(index)
        values.append(index * 2)
    for name in ["a", "b"]:
        values.append(name)
    values.append("end")
    return values


def calculates(values):
    total = 1.5
    for number in range(6):
        half = number / 2
        total = total * 2 - half
        values.append(total)
    return total


def guards(values):
    try:
        values.append("tried")
        values[len(values)]
    except IndexError:
        values.append("caught")
    finally:
        values.append("finally")
    return values


def yields(values):
    for index in range(3):
        values.append(index)
        yield index
        values.append("went on")
    values.append("over")


def encloses(values):
    def inner():
        return values, other

    other = len(values)
    values.append(other)
    other = other + 1
    return inner()


def one(values): return values.append(1), values.append([not index for index in values]), len(values)  # fmt: skip


class Manager:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def manages(values):
    with Manager() as manager:
        values.append("in")
        values.append(manager is None)
    values.append("out")
    return values


def loops_at_once(values):
    while len(values) < 3:
        values.append(len(values))
    else:
        values.append("else")
    return values


async def waits(values):
    values.append("awaits")
    await waited_for(values)
    values.append([value async for value in counts()])
    await waited_for(values)
    return values


async def waited_for(values):
    values.append("waited for")


async def counts():
    yield 1
    yield 2


def run(made):
    if hasattr(made, "send"):
        try:
            while True:
                made.send(None)
        except StopIteration as stop:
            return stop.value
    return made


def jumps(function, first, second, times):
    """As often as that: where the line `first` of the function begins, counted from its `def`, it goes on with `second`."""
    left = times

    def frame_is_told(frame):
        nonlocal left
        code = function.__code__
        if frame.f_code is code and frame.f_lineno == code.co_firstlineno + first and left:
            left -= 1
            frame.f_lineno = code.co_firstlineno + second

    return frame_is_told


def traced(tell):
    def trace(frame, event, _):
        if event == "line":
            tell(frame)
        return trace

    sys.settrace(trace)


def listened(tell):
    monitoring = sys.monitoring
    monitoring.use_tool_id(3, "jumps")
    monitoring.register_callback(3, monitoring.events.LINE, lambda *_: tell(sys._getframe(1)))
    monitoring.set_events(3, monitoring.events.LINE)


def is_over():
    sys.settrace(None)
    if sys.version_info >= (3, 12) and sys.monitoring.get_tool(3):
        sys.monitoring.set_events(3, 0)
        sys.monitoring.free_tool_id(3)


ways = [traced]
if sys.version_info >= (3, 12):
    ways.append(listened)
for way in ways:
    for function in (straight, loops, calculates, guards, yields, encloses, one, manages, loops_at_once, waits):
        count = len({line for *_, line in function.__code__.co_lines() if line})
        # Where what makes a generator is executed again, the interpreter crashes.
        earliest = int(function in (yields, waits))
        for first in range(count):
            for second in range(earliest, count):
                for times in (1, 3):
                    values = []
                    try:
                        way(jumps(function, first, second, times))
                        done = function(values)
                        done = list(done) if function is yields else run(done)
                    # Where CPython refuses to jump to, and what is not there any more behind it.
                    except (ValueError, TypeError, AttributeError, IndexError, NameError, RuntimeError) as refused:
                        done = type(refused).__name__
                    finally:
                        is_over()
                    print(way.__name__, function.__name__, first, second, done, values[-6:])
