"""What tells of a line has the frame go on at another one and raises there and then, in functions and generators, while a trace function is told of the exception and of the frame's
end. From 3.12 on it is handled where the frame was, whatever the traceback says."""

import sys
import warnings

warnings.simplefilter("ignore", RuntimeWarning)


def yields(number):
    number = yield from iter([number, 1])
    again = number
    number += 1
    yield again
    return number


def loops(number):
    numbers = [number]
    again = numbers
    for other in numbers:
        numbers = other
        number = again
    return number


def catches(number):
    number += 1
    try:
        number += 1
        number = [not index for index in range(number)]
    except KeyError:
        number = 5
    return number


def judge(function, first, second, raises):
    left = 1

    def judged(frame):
        nonlocal left
        code = function.__code__
        if frame.f_code is code and frame.f_lineno == code.co_firstlineno + first and left:
            left -= 1
            frame.f_lineno = code.co_firstlineno + second
            if raises:
                raise KeyError(second)

    return judged


def traced(judged):
    def trace(frame, event, _):
        if event == "line":
            judged(frame)
        return trace

    sys.settrace(trace)


def of_opcodes(judged):
    def trace(frame, event, _):
        frame.f_trace_opcodes = True
        if event == "line":
            judged(frame)
        return trace

    sys.settrace(trace)


def listened(judged):
    def trace(frame, event, _):
        return trace

    sys.settrace(trace)
    monitoring = sys.monitoring
    monitoring.use_tool_id(3, "jumps")
    monitoring.register_callback(3, monitoring.events.LINE, lambda *_: judged(sys._getframe(1)))
    monitoring.set_events(3, monitoring.events.LINE)


def is_over():
    sys.settrace(None)
    if sys.version_info >= (3, 12) and sys.monitoring.get_tool(3):
        sys.monitoring.set_events(3, 0)
        sys.monitoring.free_tool_id(3)


ways = [traced, of_opcodes]
if sys.version_info >= (3, 12):
    ways.append(listened)
for way in ways:
    for function in (yields, loops, catches):
        for first in range(1, 7):
            for second in range(1, 7):
                for raises in (False, True):
                    try:
                        way(judge(function, first, second, raises))
                        done = function(1)
                        done = list(done) if function is yields else done
                    except (ValueError, TypeError, KeyError, NameError) as refused:
                        done = type(refused).__name__
                    finally:
                        is_over()
                    print(way.__name__, function.__name__, first, second, raises, done)
