"""Insert LOAD_CONST, UNARY_INVERT, POP_TOP before every instruction with the PyPI library `bytecode`, and time it (CPU time).

Usage: peer.py INSTRUCTIONS. Takes modules of the standard library in alphabetical order until they have that many instructions.
Prints a JSON object: the files (names relative to the library, as in a corpus dump) and the figures.
"""

import dis
import json
import os
import sys
import sysconfig
import time
import types
import warnings

import bytecode
from bytecode import Bytecode, Instr

ROUNDS = 3


def code_objects(code):
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from code_objects(const)


def choose(budget):
    library = sysconfig.get_path("stdlib")
    files, codes, count = [], [], 0
    for name in sorted(os.listdir(library)):
        if not name.endswith(".py") or name.startswith("_"):
            continue
        with open(os.path.join(library, name), "rb") as source:
            module = compile(source.read(), name, "exec", dont_inherit=True)
        files.append(name)
        for code in code_objects(module):
            codes.append(code)
            count += sum(ins.opname != "EXTENDED_ARG" for ins in dis.get_instructions(code))
        if count >= budget:
            break
    return files, codes, count


def insert_everywhere(code):
    original = Bytecode.from_code(code)
    result = []
    for item in original:
        if isinstance(item, Instr):
            result += [Instr("LOAD_CONST", None), Instr("UNARY_INVERT"), Instr("POP_TOP")]
        result.append(item)
    original[:] = result
    return original.to_code()


def main():
    warnings.simplefilter("ignore")
    files, codes, count = choose(int(sys.argv[1]))
    best, failed = float("inf"), {}
    for _ in range(ROUNDS):
        started = time.process_time()
        for code in codes:
            try:
                insert_everywhere(code)
            except Exception as error:  # counted and reported: what it cannot do is a result
                failed[code.co_qualname] = f"{type(error).__name__}: {error}"
        best = min(best, time.process_time() - started)
    json.dump(
        {
            "version": bytecode.__version__,
            "files": files,
            "codes": len(codes),
            "instructions": count,
            "seconds": best,
            "failed": failed,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
