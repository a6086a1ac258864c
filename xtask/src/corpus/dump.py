"""Write every code object of the running interpreter's standard library, with what `dis` says of it.

Usage: dump.py OUTPUT WORKER WORKERS. Prints a JSON object per line: progress, and at last a summary.
The format is described in `crates/bytecode/tests/corpus/reader.rs`. CPython 3.11-3.15, standard library only.
"""

import array
import dis
import json
import os
import struct
import sys
import sysconfig
import types
import warnings
import zlib

JUMPS = frozenset(dis.hasjrel)


def sources():
    library = sysconfig.get_path("stdlib")
    found = []
    for folder, folders, files in os.walk(library):
        folders[:] = sorted(f for f in folders if f not in ("__pycache__", "site-packages"))
        found += [os.path.join(folder, f) for f in files if f.endswith(".py")]
    return library, sorted(found)


def code_objects(code):
    pending = [code]
    while pending:
        code = pending.pop()
        yield code
        pending += [const for const in code.co_consts if isinstance(const, types.CodeType)]


def or_minus_one(value):
    return -1 if value is None else value


def record(code):
    """One code object, as in reader.rs."""
    columns = [array.array("i") for _ in range(9)]
    offsets, opcodes, args, targets, labels, *positions = columns
    for ins in dis.get_instructions(code):
        offsets.append(ins.offset)
        opcodes.append(ins.opcode)
        args.append(or_minus_one(ins.arg))
        targets.append(ins.argval if ins.opcode in JUMPS else -1)
        labels.append(bool(ins.is_jump_target))
        where = ins.positions
        for column, value in zip(positions, (where.lineno, where.end_lineno, where.col_offset, where.end_col_offset)):
            column.append(or_minus_one(value))
    parts = [code.co_code, code.co_exceptiontable, code.co_linetable, code.co_qualname.encode(errors="replace")]
    head = struct.pack(
        "<iIIIIII",
        code.co_firstlineno,
        code.co_stacksize,
        len(offsets),
        *map(len, parts),
    )
    return b"".join([head, *parts, *(column.tobytes() for column in columns)]), len(offsets)


def main():
    output, worker, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    assert sys.byteorder == "little" and array.array("i").itemsize == 4
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(20_000)
    library, paths = sources()
    paths = paths[worker::workers]
    failed, codes, instructions = [], 0, 0
    with open(output, "wb") as file:
        for number, path in enumerate(paths):
            name = os.path.relpath(path, library)
            try:
                with open(path, "rb") as source:
                    module = compile(source.read(), name, "exec", dont_inherit=True)
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
                failed.append([name, f"{type(error).__name__}: {error}"])
                continue
            records = []
            for code in code_objects(module):
                data, count = record(code)
                records.append(data)
                codes += 1
                instructions += count
            blob = zlib.compress(b"".join(records), 1)
            head = name.encode(errors="replace")
            file.write(struct.pack("<III", len(head), len(records), len(blob)) + head + blob)
            if number % 20 == 0:
                print(json.dumps({"done": number, "of": len(paths)}), flush=True)
    print(
        json.dumps(
            {
                "done": len(paths),
                "of": len(paths),
                "failed": failed,
                "codes": codes,
                "instructions": instructions,
            }
        )
    )


if __name__ == "__main__":
    main()
