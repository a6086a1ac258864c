"""What a trace function is told that `PyEval_SetTrace` has set, not `sys.settrace`, and what `sys.gettrace` says of it."""

# ruff: noqa: B007, E701, UP028

import ctypes
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
    for i in range(n):
        for x in numbers(i):
            if x > 1:
                break
    try:
        raise ValueError(n)
    except ValueError:
        return total + sum(y for y in numbers(n) for z in numbers(y))


NAMES = ["call", "exception", "line", "return", "c_call", "c_exception", "c_return", "opcode"]
Function = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.py_object, ctypes.c_int, ctypes.c_void_p)
set_trace = ctypes.PYFUNCTYPE(None, Function, ctypes.py_object)(("PyEval_SetTrace", ctypes.pythonapi))
end_trace = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(("PyEval_SetTrace", ctypes.pythonapi))


class Told(list):
    """What the function is called with."""


def take(told, frame, event, argument):
    if frame.f_code.co_name in ("numbers", "loops", "<genexpr>"):
        # CPython asks whether there is one before it makes opcode events (3.13+).
        frame.f_trace = frame.f_trace or nobody
        frame.f_trace_opcodes = told.opcodes
        told.append((frame.f_code.co_name, NAMES[event], frame.f_lineno, frame.f_lasti))
        told.counts[NAMES[event]] = told.counts.get(NAMES[event], 0) + 1
    return 0


def nobody(*_):
    return nobody


def other(told, frame, event, argument):
    return take(told, frame, event, argument)


take_in_c, other_in_c = Function(take), Function(other)


def traced(opcodes, function=take_in_c):
    told = Told()
    told.opcodes, told.counts = opcodes, {}
    set_trace(function, told)
    found = sys.gettrace()
    loops(4)
    end_trace(None, None)
    digest = hashlib.md5(repr(list(told)).encode()).hexdigest()
    print(opcodes, found is told, sys.gettrace(), sorted(told.counts.items()), digest)
    del found
    print(sys.getrefcount(told))


for _ in range(3):
    traced(opcodes=False)
    loops(3)
for _ in range(2):
    traced(opcodes=True)
    loops(3)

# One takes the other's place, each set in its own way.
sys.settrace(nobody)
traced(opcodes=True)
sys.settrace(nobody)
print(sys.gettrace().__name__)
sys.settrace(None)
traced(opcodes=True, function=other_in_c)

# Each of many is known.
many = [Function(take) for _ in range(12)]
for function in many:
    traced(opcodes=True, function=function)

for opcodes in (False, True):
    thread = threading.Thread(target=traced, args=(opcodes,))
    thread.start()
    thread.join()

# One in each of two threads, at once.
told = Told()
told.opcodes, told.counts = True, {}
set_trace(other_in_c, told)
thread = threading.Thread(target=traced, args=(True, many[0]))
thread.start()
thread.join()
loops(3)
end_trace(None, None)
print(sorted(told.counts.items()), hashlib.md5(repr(list(told)).encode()).hexdigest())

# In threads that Python has not started, one behind the other.
libc = ctypes.CDLL(None)
Start = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


def in_thread(_):
    for opcodes in (False, True):
        traced(opcodes)
        loops(2)


start = Start(in_thread)
for _ in range(3):
    thread = ctypes.c_ulong()
    assert libc.pthread_create(ctypes.byref(thread), None, start, None) == 0
    libc.pthread_join(thread, None)
