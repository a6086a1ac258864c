"""What happens to exceptions and in calls of C functions, told by CPython itself: `events.py OUTPUT SCRIPT`.

Runs the script and writes, as JSON, for all code in the script's directory a list of [thread, event, code, offset, what]. From 3.12 on
it is `sys.monitoring` that tells:

    "raise"      RAISE: the exception is raised, or comes out of a call       "throw"    PY_THROW
    "reraise"    RERAISE                                                      "unwind"   PY_UNWIND
    "handle"     EXCEPTION_HANDLED                                            "catch"    the same, where handling begins
    "c_call", "c_return", "c_exception"    CALL, C_RETURN, C_RAISE, where no Python function is called
    "replace"    at the end of a handler another exception goes on than the one that sys.exception() names
    "swallow"    an exception left a frame, and the frame below it went on as if nothing had been

On 3.11 `sys.settrace` tells of "raise", `sys.setprofile` of the calls of builtin functions and methods. No part of debugop is used.
"""

import dis
import functools
import json
import os
import sys
import threading
import types

METHODS = (type(str.join), type(dict.__dict__["fromkeys"]), type(int.__add__), type((1).__add__))
told = []
numbers = {}
kept = []  # so that no identity is used again


@functools.cache
def name(code):
    """What names a code object: file, first line and qualified name; None for code that is not to be watched."""
    file = os.path.realpath(code.co_filename)
    if not file.startswith(FOLDER):
        return None
    return f"{file.removeprefix(FOLDER)}:{code.co_firstlineno}:{code.co_qualname}"


@functools.cache
def instructions(code):
    """Offset and name of the instruction at each code unit, prefixes and caches included."""
    owners, waiting = {}, []
    found = list(dis.get_instructions(code, show_caches=False))
    ends = [one.offset for one in found[1:]] + [len(code.co_code)]
    for one, end in zip(found, ends, strict=True):
        waiting.extend(range(one.offset, end, 2))
        if one.opname != "EXTENDED_ARG":
            owners.update(dict.fromkeys(waiting, (one.offset, one.opname, one.arg)))
            waiting = []
    return owners


@functools.cache
def remade(code, offset):
    """Of a RERAISE of what was made from the exception that arrived at a handler: the handler. Otherwise None.

    At the end of a generator, where a StopIteration becomes a RuntimeError, and of the clauses of an `except*`: the clean-up handler
    of that protects everything from its PUSH_EXC_INFO on.
    """
    found = [one for one in dis.get_instructions(code) if one.opname != "EXTENDED_ARG"]
    at = next((index for index, one in enumerate(found) if one.offset == offset), None)
    if at is None or found[at].opname != "RERAISE":
        return None
    if found[at - 1].opname == "CALL_INTRINSIC_1":
        return found[at - 1].offset
    if [one.opname for one in found[at - 2 : at]] != ["SWAP", "POP_EXCEPT"] or found[at - 2].arg != 2:
        return None
    made = next(one.offset for one in reversed(found[:at]) if "PREP_RERAISE_STAR" in one.opname + one.argrepr)
    entries = dis._parse_exception_table(code)
    target = next(entry.target for entry in entries if entry.start <= made < entry.end)
    return min(entry.start for entry in entries if entry.target == target)


def tell(event, code, offset, *what):
    if offset in instructions(code):  # -2 before the first instruction has been executed
        offset = instructions(code)[offset][0]
    number = numbers.setdefault(threading.get_native_id(), len(numbers))
    told.append([number, event, name(code), offset, *what])


def kind(value):
    return type(value).__name__


def is_python(callable):
    return isinstance(callable, (types.FunctionType, types.MethodType))


def callee(callable):
    named = isinstance(callable, (type, types.BuiltinFunctionType, *METHODS))
    return callable.__name__ if named else kind(callable)


def suspension(code, offset):
    """Where a delegation is suspended: what its subiterator raises when it is thrown into has the offset of the jump behind it."""
    opnames = [instructions(code)[at][1] for at in (offset - 4, offset - 2, offset) if at >= 0]
    return offset - 4 if opnames == ["YIELD_VALUE", "RESUME", "JUMP_BACKWARD_NO_INTERRUPT"] else offset


def settrace(run):
    def trace(frame, event, arg):
        if name(frame.f_code) is None:
            return None
        if event == "exception" and arg[2] is not None and arg[2].tb_frame is frame:
            # Of a StopIteration that FOR_ITER or SEND swallows it is told without an entry in the traceback.
            tell("raise", frame.f_code, suspension(frame.f_code, frame.f_lasti), arg[0].__name__)
        return trace

    def profile(frame, event, arg):
        if event.startswith("c_") and name(frame.f_code) is not None:
            tell(event, frame.f_code, frame.f_lasti, callee(arg))

    threading.settrace(trace)
    threading.setprofile(profile)
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
        sys.settrace(None)


def monitoring(run):
    tool, events = 3, sys.monitoring.events
    monitor = sys.monitoring
    started = set()
    left = {}  # by the frame below: exception that left, number of the event
    failed = {}  # by frame: the call that has just failed
    thrown = set()  # (frame, exception) of the last PY_THROW, which a RAISE follows
    arrived = {}  # by frame and handler: the exception that last arrived there

    def watched(callback):
        def call(code, *arguments):
            if name(code) is not None:
                callback(sys._getframe(1), code, *arguments)

        return call

    @watched
    def enter(frame, code, offset):
        if code not in started:
            started.add(code)
            monitor.set_local_events(tool, code, events.INSTRUCTION)

    @watched
    def instruction(frame, code, offset):
        for exception in left.pop(frame, ()):
            tell("swallow", code, None, kind(exception))

    def raises(event):
        @watched
        def callback(frame, code, offset, exception):
            kept.append(exception)
            if event == "raise":
                # 3.13 gives the offset before a call that an exception comes out of; FOR_ITER and SEND tell of the StopIteration that
                # they swallow. The traceback has no entry for that, and the right offset otherwise.
                entry = exception.__traceback__
                if entry is None or entry.tb_frame is not frame:
                    return
                offset = entry.tb_lasti
                if (frame, exception) in thrown:
                    thrown.clear()
                    return
            for other in left.pop(frame, ()):
                if other is not exception:
                    tell("swallow", code, None, kind(other))
            if frame in failed:
                tell("c_exception", *failed.pop(frame))
            tell(event, code, offset, kind(exception))
            handler = remade(code, offset)
            if event == "reraise" and handler is not None and arrived[frame, handler] is not exception:
                tell("replace", code, offset, kind(exception), kind(arrived[frame, handler]))

        return callback

    @watched
    def handled(frame, code, offset, exception):
        arrived[frame, offset] = exception
        kept.append(frame)
        units = instructions(code)
        opname, arg = units[offset][1:]
        following = [unit for at, unit in units.items() if at > offset and unit[0] > units[offset][0]][:1]
        if opname in ("PUSH_EXC_INFO", "END_ASYNC_FOR", "CLEANUP_THROW"):
            tell("catch", code, offset, kind(exception))
        tell("handle", code, offset, kind(exception))
        if (opname, arg) == ("COPY", 3) and following[0][1] == "POP_EXCEPT" and sys.exception() is not exception:
            tell("replace", code, following[0][0], kind(exception), kind(sys.exception()))

    @watched
    def unwind(frame, code, offset, exception):
        kept.append(exception)
        for other in left.pop(frame, ()):
            tell("swallow", code, None, kind(other))
        tell("unwind", code, None, kind(exception))
        below = frame.f_back
        if below is not None and name(below.f_code) is not None:
            left.setdefault(below, []).append(exception)

    @watched
    def throw(frame, code, offset, exception):
        for other in left.pop(frame, ()):
            if other is not exception:
                tell("swallow", code, None, kind(other))
        tell("throw", code, None, kind(exception))
        kept.append(exception)
        thrown.add((frame, exception))

    def calls(event):
        @watched
        def callback(frame, code, offset, callable, _):
            # LOAD_SUPER_ATTR tells of a call of super.
            if is_python(callable) or instructions(code)[offset][1] == "LOAD_SUPER_ATTR":
                return
            if event == "c_exception":
                # With which exception, RAISE is about to tell.
                failed[frame] = code, offset, callee(callable)
                return
            for exception in left.pop(frame, ()):
                tell("swallow", code, None, kind(exception))
            tell(event, code, offset, callee(callable))

        return callback

    callbacks = {
        events.INSTRUCTION: instruction,
        events.PY_START: enter,
        events.PY_RESUME: enter,
        events.PY_THROW: throw,
        events.PY_UNWIND: unwind,
        events.RAISE: raises("raise"),
        events.RERAISE: raises("reraise"),
        events.EXCEPTION_HANDLED: handled,
        events.CALL: calls("c_call"),
        events.C_RETURN: calls("c_return"),
        events.C_RAISE: calls("c_exception"),
    }
    monitor.use_tool_id(tool, "oracle")
    for number, callback in callbacks.items():
        monitor.register_callback(tool, number, callback)
    controlled = events.INSTRUCTION | events.C_RETURN | events.C_RAISE  # the latter two come with CALL
    monitor.set_events(tool, sum(callbacks) & ~controlled)
    try:
        run()
    finally:
        monitor.set_events(tool, 0)
        for code in started:
            monitor.set_local_events(tool, code, 0)


if __name__ == "__main__":
    output, script = sys.argv[1:]
    FOLDER = os.path.realpath(os.path.dirname(script)) + os.sep
    with open(script) as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    main = types.ModuleType("__main__")
    main.__file__ = script
    sys.modules["__main__"] = main
    sys.path[0] = FOLDER
    sys.argv = [script]
    how = monitoring if sys.version_info >= (3, 12) else settrace
    how(lambda: exec(code, vars(main)))
    with open(output, "w") as file:
        json.dump(told, file)
