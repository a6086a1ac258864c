"""See what CPython really does: every bytecode instruction a program executes, with its value stack.

`trace` is where to begin:

    with debugop.trace(function) as trace:
        function(1, 2)
    trace.print()
"""

from debugop import _supported

_supported.check(__name__, __path__[0])

# An unsupported interpreter must not load the module.
from collections.abc import Sequence  # noqa: E402

from debugop._core import (  # noqa: E402
    NULL,
    Event,
    Instruction,
    Predicate,
    Record,
    Records,
    Site,
    Stack,
    StaleStep,
    Step,
    Value,
    depth,
    file,
    function,
    instructions,
    line,
    module,
    opcode,
)
from debugop._core import VERSION as __version__  # noqa: E402
from debugop._trace import Follow, Trace, trace  # noqa: E402
from debugop._whole import start, stop  # noqa: E402

# It has every method of the interface. It is not a MutableSequence: its length cannot be changed.
Sequence.register(Stack)
del Sequence

__all__ = [
    "NULL",
    "Event",
    "Follow",
    "Instruction",
    "Predicate",
    "Record",
    "Records",
    "Site",
    "Stack",
    "StaleStep",
    "Step",
    "Trace",
    "Value",
    "__version__",
    "depth",
    "file",
    "function",
    "instructions",
    "line",
    "module",
    "opcode",
    "start",
    "stop",
    "trace",
]
