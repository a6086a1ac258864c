"""What a program executes, told by CPython itself: `watch.py settrace|monitoring OUTPUT SCRIPT`.

Runs the script and writes, as JSON, a list of [thread, event, code, offset, value] for all code in the script's directory:

    "step"      an instruction is about to be executed; the value is the stack
    "enter"     a frame starts          "resume"    it goes on after a yield
    "return"    it ends with the value  "yield"     it is suspended and hands out the value
    "handle"    the exception has arrived at a handler
    "unwind"    it leaves the frame

`settrace` uses opcode events and tells of steps only; `monitoring` (3.12+) uses `sys.monitoring`. No part of debugop is used.
"""

import dis
import functools
import itertools
import json
import os
import sys
import threading
import types

import slots

told = []
# Of threads, in the order of their first events: identifiers of ended threads are used again.
numbers = itertools.count()
this_thread = threading.local()


@functools.cache
def name(code):
    """What names a code object: file, first line and qualified name; None for code that is not to be watched."""
    file = os.path.realpath(code.co_filename)
    if not file.startswith(FOLDER):
        return None
    return f"{file.removeprefix(FOLDER)}:{code.co_firstlineno}:{code.co_qualname}"


@functools.cache
def quiet(code):
    """Offsets of what is not compared.

    EXTENDED_ARG is part of the instruction behind it. RESUME is compared as "enter" and "resume", what stands before the
    first one belongs to no complete frame. END_FOR and the pop behind it are executed or jumped over, as the
    interpreter pleases; see `Silent` in debugop's bytecode crate.
    """
    instructions = list(dis.get_instructions(code))
    first = next(one.offset for one in instructions if one.opname == "RESUME")
    before = ["", *(one.opname for one in instructions)]
    return {
        one.offset
        for one, previous in zip(instructions, before, strict=False)
        if one.offset < first
        or one.opname in ("EXTENDED_ARG", "RESUME", "END_FOR", "CACHE")
        or (previous == "END_FOR" and one.opname in ("POP_TOP", "POP_ITER"))
    }


def instruction_at(code, offset):
    """The instruction at an offset, which may be that of one of its caches."""
    return max((one for one in dis.get_instructions(code) if one.offset <= offset), key=lambda one: one.offset)


def tell(event, code, offset, value=None):
    if not hasattr(this_thread, "number"):
        this_thread.number = next(numbers)
    told.append([this_thread.number, event, name(code), offset, value])


@functools.cache
def prefixed(code):
    """For the first prefix of an instruction of 3.11 that instruction's own offset.

    EXTENDED_ARG goes on to what it belongs to without looking for a trace function (`TARGET(EXTENDED_ARG)` in
    `Python/ceval.c`), so that the first prefix has the only event. Later versions have one for each unit.
    """
    found, first = {}, None
    for one in dis.get_instructions(code) if slots.V == (3, 11) else ():
        if one.opname == "EXTENDED_ARG":
            first = one.offset if first is None else first
        elif first is not None:
            found[first], first = one.offset, None
    return found


def step(frame, offset):
    code = frame.f_code
    offset = prefixed(code).get(offset, offset)
    if offset not in quiet(code):
        saved = slots.saved_depth(frame)
        depth = slots.depths(code)[offset] if saved is None else saved
        tell("step", code, offset, slots.stack(frame, depth))


def settrace(run):
    def trace(frame, event, _):
        if name(frame.f_code) is None:
            return None
        if event == "opcode":
            step(frame, frame.f_lasti)
        frame.f_trace_opcodes = True
        return trace

    # 3.12 looks at this when the trace function is set (gh-114480).
    sys._getframe().f_trace_opcodes = True
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
        threading.settrace(None)


def monitoring(run):
    tool, events = 3, sys.monitoring.events
    monitor = sys.monitoring
    started = set()

    def enter(code, offset):
        if name(code) is not None:
            if code not in started:
                started.add(code)
                monitor.set_local_events(tool, code, events.INSTRUCTION)
            tell("enter", code, offset)

    def instruction(code, offset):
        step(sys._getframe(1), offset)

    def event(kind):
        def happens(code, offset, value):
            if name(code) is not None:
                tell(kind, code, offset, slots.label(value))

        return happens

    def resume(code, offset):
        if name(code) is not None:
            tell("resume", code, offset)

    def unwind(code, offset, error):
        if name(code) is not None:
            # The event of an exception that was raised again has the offset of RERAISE; where it was raised first is what
            # RERAISE has put back into the frame, and what tracebacks have.
            raised = instruction_at(code, sys._getframe(1).f_lasti)
            told_of = instruction_at(code, offset)
            assert raised.offset == told_of.offset or told_of.opname == "RERAISE", (raised, told_of)
            tell("unwind", code, raised.offset, slots.label(error))

    callbacks = {
        events.INSTRUCTION: instruction,
        events.PY_START: enter,
        events.PY_RESUME: resume,
        events.PY_RETURN: event("return"),
        events.PY_YIELD: event("yield"),
        events.PY_UNWIND: unwind,
        events.EXCEPTION_HANDLED: event("handle"),
    }
    monitor.use_tool_id(tool, "oracle")
    for number, callback in callbacks.items():
        monitor.register_callback(tool, number, callback)
    monitor.set_events(tool, sum(callbacks) - events.INSTRUCTION)
    try:
        run()
    finally:
        monitor.set_events(tool, 0)
        for code in started:
            monitor.set_local_events(tool, code, 0)


if __name__ == "__main__":
    how, output, script = sys.argv[1:]
    FOLDER = os.path.realpath(os.path.dirname(script)) + os.sep
    with open(script) as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    main = types.ModuleType("__main__")
    main.__file__ = script
    sys.modules["__main__"] = main
    sys.path[0] = FOLDER
    sys.argv = [script]
    {"settrace": settrace, "monitoring": monitoring}[how](lambda: exec(code, vars(main)))
    with open(output, "w") as file:
        json.dump(told, file)
