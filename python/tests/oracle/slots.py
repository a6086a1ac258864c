"""Reads the value stack of a running frame by its address: a second, independent implementation, in ctypes.

Where the fields are, in bytes: `Include/internal/pycore_frame.h` (3.14+: `pycore_interpframe_structs.h`) of each version, on
64-bit machines. `PyFrameObject.f_frame` is at 24 in all of them.
"""

import ctypes
import dis
import functools
import itertools
import sys

V = sys.version_info[:2]
STACK_POINTER = 64
LOCALS_PLUS = 80 if V >= (3, 14) else 72


def locals_plus(code):
    """How many slots the locals, cells and free variables take; the value stack begins behind them."""
    return code.co_nlocals + len(set(code.co_cellvars) - set(code.co_varnames)) + len(code.co_freevars)


def saved_depth(frame):
    """The depth that the interpreter has saved in the frame, or None where it has not (events of 3.12 and 3.13)."""
    address = ctypes.c_void_p.from_address(id(frame) + 24).value
    bottom = locals_plus(frame.f_code)
    if V >= (3, 14):
        top = ctypes.c_void_p.from_address(address + STACK_POINTER).value
        return top and (top - address - LOCALS_PLUS) // 8 - bottom
    top = ctypes.c_int.from_address(address + STACK_POINTER).value
    return top - bottom if top >= 0 else None


def stack(frame, depth):
    """The labels of the lowest `depth` slots."""
    address = ctypes.c_void_p.from_address(id(frame) + 24).value
    first = address + LOCALS_PLUS + 8 * locals_plus(frame.f_code)
    return [slot(ctypes.c_size_t.from_address(first + 8 * index).value) for index in range(depth)]


def slot(bits):
    """The label of one slot. From 3.14 on the lowest two bits say what it is (`Include/internal/pycore_stackref.h`)."""
    if V >= (3, 14):
        if bits & 3 == 3:
            return ["raw", ctypes.c_ssize_t(bits).value >> 2]
        if bits == 1:
            return ["NULL"]
        assert bits & 3 != 2, hex(bits)
        bits &= ~1
    if not bits:
        return ["NULL"]
    return label(ctypes.cast(bits, ctypes.py_object).value)


METHODS = (type(str.join), type(dict.__dict__["fromkeys"]), type(int.__add__), type((1).__add__))


def label(value, deep=2):
    """What is compared of a value: its type, and its contents where reading them runs no code of the program."""
    kind = type(value)
    if kind in (int, bool, type(None), float, bytes, range, slice):
        return [kind.__name__, repr(value)]
    if kind is str:
        return ["str", value[:256], len(value)]
    if kind in (list, tuple, set, frozenset) and deep:
        items = [label(item, deep - 1) for item in value]
        return [kind.__name__, sorted(items, key=repr) if "set" in kind.__name__ else items]
    if kind is dict and deep:
        return ["dict", [[label(key, deep - 1), label(item, deep - 1)] for key, item in value.items()]]
    if isinstance(value, type):
        return ["class", value.__name__]
    if kind in METHODS:
        return ["builtin_function_or_method"]
    return [kind.__name__]


@functools.cache
def depths(code):
    """The depth before each instruction of `code`, by offset, from `dis` alone: its stack effects and exception table.

    Needed on 3.12 and 3.13, whose events do not save the depth. There `dis.stack_effect` is wrong about two instructions of
    3.12: RETURN_GENERATOR pushes the generator, and SEND keeps its depth when it jumps (`Python/bytecodes.c`).
    """
    instructions = list(dis.get_instructions(code))
    follows = {one.offset: two.offset for one, two in itertools.pairwise(instructions)}
    by_offset = {instruction.offset: instruction for instruction in instructions}
    handlers = dis._parse_exception_table(code)
    found, waiting = {}, [(0, 0)]
    while waiting:
        offset, depth = waiting.pop()
        if offset in found:
            assert found[offset] == depth, (code, offset)
            continue
        found[offset] = depth
        here = by_offset[offset]
        waiting += [
            (entry.target, entry.depth + entry.lasti + 1) for entry in handlers if entry.start <= offset < entry.end
        ]
        arg = here.arg if here.opcode >= dis.HAVE_ARGUMENT else None
        if here.opcode in dis.hasjrel:
            sends = V == (3, 12) and here.opname == "SEND"
            waiting.append((here.argval, depth + (0 if sends else dis.stack_effect(here.opcode, arg, jump=True))))
        if here.opname not in ENDS:
            more = V == (3, 12) and here.opname == "RETURN_GENERATOR"
            waiting.append((follows[offset], depth + more + dis.stack_effect(here.opcode, arg, jump=False)))
    return found


ENDS = "JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT RETURN_VALUE RETURN_CONST RAISE_VARARGS RERAISE".split()
