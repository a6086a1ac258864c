"""See what CPython really does: every bytecode instruction a program executes, with its value stack.

`trace` is where to begin:

    with debugop.trace(function) as trace:
        function(1, 2)
    trace.print()
"""

import sys

from debugop import _supported

_supported.check(__name__, __path__[0])

# `python -m debugop` has put the current directory in front: modules of the program that are called as the library's are not for
# debugop. Until `-m` has found its module `sys.argv` is as it is here (`Modules/main.c`, `Lib/runpy.py`).
_first = sys.path[:1] if sys.argv[:1] == ["-m"] and not sys.flags.safe_path else []
del sys.path[: len(_first)]

# An unsupported interpreter must not load the module.
from _collections_abc import Sequence  # noqa: E402 - `collections` need not be imported for it

from debugop._core import (  # noqa: E402
    NULL,
    DamagedRecording,
    Event,
    IncompleteRecording,
    Instruction,
    NotARecording,
    Predicate,
    Record,
    RecordingError,
    Records,
    Replay,
    Site,
    Stack,
    StaleStep,
    Step,
    Value,
    WrongVersion,
    depth,
    file,
    function,
    getprofile,
    gettrace,
    instructions,
    line,
    module,
    opcode,
    setprofile,
    settrace,
)
from debugop._core import VERSION as __version__  # noqa: E402

TYPE_CHECKING = False  # `typing` takes longer to import than all of this
if TYPE_CHECKING:
    from debugop._console import pm, post_mortem, set_trace
    from debugop._events import setprofile_all_threads, settrace_all_threads
    from debugop._record import record
    from debugop._trace import Follow, Trace, trace
    from debugop._whole import start, stop

sys.path[:0] = _first
del _first, sys

# It has every method of the interface. It is not a MutableSequence: its length cannot be changed.
Sequence.register(Stack)
del Sequence

open = Replay.open

__all__ = [
    "NULL",
    "DamagedRecording",
    "Event",
    "Follow",
    "IncompleteRecording",
    "Instruction",
    "NotARecording",
    "Predicate",
    "Record",
    "RecordingError",
    "Records",
    "Replay",
    "Site",
    "Stack",
    "StaleStep",
    "Step",
    "Trace",
    "Value",
    "WrongVersion",
    "__version__",
    "depth",
    "file",
    "function",
    "getprofile",
    "gettrace",
    "instructions",
    "line",
    "module",
    "opcode",
    "open",
    "pm",
    "post_mortem",
    "record",
    "set_trace",
    "setprofile",
    "setprofile_all_threads",
    "settrace",
    "settrace_all_threads",
    "start",
    "stop",
    "trace",
]

# Imported when they are asked for: the command `debugop` needs none of them, and they import much of the standard library.
_LATER = {
    "Follow": "_trace",
    "Trace": "_trace",
    "record": "_record",
    "pm": "_console",
    "post_mortem": "_console",
    "set_trace": "_console",
    "setprofile_all_threads": "_events",
    "settrace_all_threads": "_events",
    "start": "_whole",
    "stop": "_whole",
    "trace": "_trace",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
