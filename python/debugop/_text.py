"""Records as text."""

from __future__ import annotations

import linecache
import shutil
import sys
from collections.abc import Iterable
from typing import IO

from debugop import _core

_ARGUMENT_WIDTH = 24
_SLOT_WIDTH = 30


def print_records(records: Iterable[_core.Record], file: IO[str] | None = None, width: int | None = None) -> None:
    """Print `records` to `file`, standard output if None, cut to `width` columns, the terminal's if None.

    A heading where another frame or thread goes on, the source line where a new one begins, and for each step its
    offset, instruction, argument, and the value stack before it, bottom first.
    """
    file = sys.stdout if file is None else file
    width = shutil.get_terminal_size((120, 0)).columns if width is None else width
    frame: object = None
    line: int | None = None
    for record in records:
        here = (record.thread, record.depth, record.code)
        if here != frame:
            frame, line = here, None
            place = f"{record.filename}:{record.code.co_firstlineno}"
            print(f"{'  ' * record.depth}{record.qualname} ({place})"[:width], file=file)
        if record.line is not None and record.line != line and record.event == "instruction":
            line = record.line
            print(f"{line:>5}  {linecache.getline(record.filename, line).strip()}".rstrip()[:width], file=file)
        print(_row(record)[:width].rstrip(), file=file)


def _row(record: _core.Record) -> str:
    instruction = record.instruction
    if record.event == "unwind":
        return f"{instruction.offset:>11} {instruction.opname} raised {record.exception}, which leaves {record.name}"
    argument = instruction.argrepr or ("" if instruction.arg is None else str(instruction.arg))
    if len(argument) > _ARGUMENT_WIDTH:
        argument = argument[: _ARGUMENT_WIDTH - 1] + "…"
    stack = ", ".join(value.short(_SLOT_WIDTH) for value in record.stack)
    return f"{instruction.offset:>11} {instruction.opname:<24} {argument:<{_ARGUMENT_WIDTH}} [{stack}]"
