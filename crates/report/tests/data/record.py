"""Records what the tests of the reports show: a program's steps, with real value stacks, as JSON.

    python3.11 record.py programs/lol.py > streams/lol-3.11.json
    python3.14 record.py programs/lol.py > streams/lol-3.14.json

It reads the value stack with ctypes while a legacy opcode trace function runs. Only 3.11 and 3.14 save the stack
pointer in the frame at that moment, so only they will do.
"""

import ctypes
import json
import opcode
import os
import sys
import threading
import types

assert sys.version_info[:2] in ((3, 11), (3, 14)), "the stack pointer is only saved by 3.11 and 3.14"
TAGGED = sys.version_info >= (3, 14)
STACK_TOP, LOCALS = (64, 80) if TAGGED else (64, 72)

objects = {}
codes = {}
frames = {}
thread_numbers = {}
steps = []
raising = {}
last_offset = {}


def ordinal(table, thing):
    """A small number for an object, which is kept alive so that its address stays its own."""
    return table.setdefault(id(thing), (len(table) + 1, thing))[0]


def type_name(type):
    module = "" if type.__module__ == "builtins" else type.__module__ + "."
    return module + type.__qualname__


def named(kind, name, thing):
    return {"type": kind, "name": name, "id": ordinal(objects, thing)}


def value(thing, depth=2):
    kind = type(thing)
    if thing is None or kind is bool or kind is int or kind is str:
        return thing
    if kind is float:
        return {"type": "float", "value": thing}
    if kind in (list, tuple, set):
        items = [value(item, depth - 1) for item in thing] if depth else []
        return {"type": kind.__name__, "id": ordinal(objects, thing), "items": items, "length": len(thing)}
    if kind is dict:
        pairs = [[value(key, 1), value(item, depth - 1)] for key, item in thing.items()] if depth else []
        return {"type": "dict", "id": ordinal(objects, thing), "pairs": pairs, "length": len(thing)}
    if kind is range:
        return {"type": "range", "start": thing.start, "stop": thing.stop, "step": thing.step}
    if kind is types.FunctionType:
        return named("function", thing.__qualname__, thing)
    if kind is types.BuiltinFunctionType:
        return named("builtin", thing.__qualname__, thing)
    if kind is types.MethodType:
        return named("method", thing.__func__.__qualname__, thing)
    if kind is types.ModuleType:
        return named("module", thing.__name__, thing)
    if kind is types.CodeType:
        return named("code", thing.co_qualname, thing)
    if isinstance(thing, type):
        return named("class", type_name(thing), thing)
    if isinstance(thing, BaseException):
        args = [value(arg, 0) for arg in thing.args]
        return {"type": "exception", "class": type_name(kind), "id": ordinal(objects, thing), "args": args}
    return {"type": "object", "class": type_name(kind), "id": ordinal(objects, thing)}


def slot(bits):
    if TAGGED:
        if bits == 1:
            return {"type": "NULL"}
        if bits & 3 == 3:
            return {"type": "raw", "value": bits >> 2}
        bits &= ~1
    elif bits == 0:
        return {"type": "NULL"}
    return value(ctypes.cast(bits, ctypes.py_object).value)


def stack(frame):
    raw = ctypes.c_void_p.from_address(id(frame) + 24).value
    code = frame.f_code
    locals_size = len(code.co_varnames) + len(code.co_freevars)
    locals_size += sum(name not in code.co_varnames for name in code.co_cellvars)
    if TAGGED:
        top = ctypes.c_void_p.from_address(raw + STACK_TOP).value
        count = (top - raw - LOCALS) // 8 - locals_size
    else:
        count = ctypes.c_int.from_address(raw + STACK_TOP).value - locals_size
    slots = (ctypes.c_uint64 * count).from_address(raw + LOCALS + 8 * locals_size)
    return [slot(bits) for bits in slots]


def describe(code):
    number = ordinal(codes, code)
    if len(codes) > len(described):
        cells = [name for name in code.co_cellvars if name not in code.co_varnames]
        described.append(
            {
                "id": number,
                "name": code.co_name,
                "qualname": code.co_qualname,
                "filename": os.path.basename(code.co_filename),
                "first_line": code.co_firstlineno,
                "consts": [value(constant) for constant in code.co_consts],
                "names": list(code.co_names),
                "localsplus": [*code.co_varnames, *cells, *code.co_freevars],
                "code": code.co_code.hex(),
                "exception_table": code.co_exceptiontable.hex(),
                "location_table": code.co_linetable.hex(),
                "stack_size": code.co_stacksize,
            }
        )
    return number


described = []


def add(frame, event, contents, exception=None):
    depth = 0
    below = frame.f_back
    while below is not None:
        depth += below.f_code.co_filename == path
        below = below.f_back
    step = {
        "thread": thread_numbers.setdefault(threading.get_ident(), len(thread_numbers) + 1),
        "frame": ordinal(frames, frame),
        "depth": depth,
        "code": describe(frame.f_code),
        # While an exception leaves, 3.11's f_lasti points into the inline caches.
        "offset": frame.f_lasti if event == "instruction" else last_offset[frame],
        "event": event,
        "stack": contents,
    }
    if exception is not None:
        step["exception"] = exception
    steps.append(step)
    last_offset[frame] = step["offset"]


def is_resume(code, offset):
    return opcode.opname[code.co_code[offset]] == "RESUME"


def trace(frame, event, arg):
    if frame.f_code.co_filename != path:
        return None
    frame.f_trace_opcodes = True
    code = frame.f_code
    if event == "exception":
        raising[frame] = arg[1]
        # 3.14 calls the trace function with RESUME, which is not executed, when an exception is thrown into a generator.
        last = steps[-1]
        if last["frame"] == ordinal(frames, frame) and is_resume(code, last["offset"]) and code.co_code[last["offset"] + 1]:
            steps.pop()
    elif event == "return" and arg is None and frame in raising:
        last = opcode.opname[code.co_code[frame.f_lasti]]
        if last not in ("RETURN_VALUE", "YIELD_VALUE"):
            add(frame, "unwind", [], value(raising.pop(frame)))
    elif event in ("opcode", "call"):
        operation = opcode.opname[code.co_code[frame.f_lasti]]
        resume = code.co_code.find(bytes([opcode.opmap["RESUME"]]))
        # RESUME is seen as the call event only.
        if is_resume(code, frame.f_lasti) == (event == "call") and operation != "EXTENDED_ARG" and frame.f_lasti >= resume:
            add(frame, "instruction", stack(frame))
    return trace


path = sys.argv[1]
with open(path) as file:
    program = compile(file.read(), path, "exec")
sys.stdout = open(os.devnull, "w")
threading.settrace(trace)
sys.settrace(trace)
try:
    exec(program, {"__name__": "__main__"})
except Exception as error:
    pass
finally:
    sys.settrace(None)
    threading.settrace(None)
sys.stdout = sys.__stdout__
lines = [json.dumps({"minor": sys.version_info[1], "codes": described})]
lines += [json.dumps(step) for step in steps]
print("\n".join(lines))
