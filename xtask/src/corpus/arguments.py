"""Print, as JSON, the argrepr that `dis` gives for every opcode with many opargs.

Constants, names and locals are stand-ins that show their index: c3, n3, v3. Jumps are left out: they depend on labels.
A null stands for an oparg that `dis` cannot show. CPython 3.11-3.15.
"""

import dis
import json
import opcode
import sys

OPARGS = [*range(260), 511, 512, 4095, 65535]
OFFSET = 100_000


class Constant:
    def __init__(self, index):
        self.index = index

    def __repr__(self):
        return f"c{self.index}"


class Items:
    """Has an item at every index."""

    def __init__(self, make):
        self.make = make

    def __getitem__(self, index):
        return self.make(index)


CONSTANTS = Items(Constant)
NAMES = Items(lambda index: f"n{index}")
LOCALS = Items(lambda index: f"v{index}").__getitem__


def describe(number, arg):
    if sys.version_info >= (3, 13):
        resolver = dis.ArgResolver(CONSTANTS, NAMES, LOCALS)
        return resolver.get_argval_argrepr(number, arg, OFFSET)[1]
    prefixes = []
    for shift in (24, 16, 8):
        if arg >> shift:
            prefixes += [opcode.EXTENDED_ARG, arg >> shift & 255]
    code = bytes([*prefixes, number, arg & 255, *[0, 0] * opcode._inline_cache_entries[number]])
    *_, last = dis._get_instructions_bytes(code, LOCALS, NAMES, CONSTANTS)
    return last.argrepr


def main():
    hasarg = getattr(opcode, "hasarg", None)
    result = {}
    for name, number in opcode.opmap.items():
        takes = number in hasarg if hasarg is not None else number >= opcode.HAVE_ARGUMENT
        real = number < 256 and not name.startswith(("INSTRUMENTED_", "ENTER_", "TRACE_", "RESERVED"))
        if not takes or not real or number in opcode.hasjrel or name == "EXTENDED_ARG":
            continue
        row = []
        for arg in OPARGS:
            try:
                row.append(describe(number, arg))
            except IndexError:
                row.append(None)
        result[name] = row
    json.dump({"opargs": OPARGS, "argreprs": result}, sys.stdout)


if __name__ == "__main__":
    main()
