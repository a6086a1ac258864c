"""The compiled half of debugop. `debugop` re-exports what is public of it, and documents it."""

import dis
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType, FunctionType
from typing import Any, Final, Literal, SupportsIndex, final, overload

__all__ = [
    "NULL",
    "VERSION",
    "Follow",
    "Instruction",
    "Predicate",
    "Record",
    "Records",
    "Site",
    "Stack",
    "StaleStep",
    "Step",
    "Tracer",
    "Value",
    "depth",
    "file",
    "function",
    "instructions",
    "layout_offsets",
    "line",
    "module",
    "opcode",
]

VERSION: Final[str]
"""debugop's version, as in `Cargo.toml`."""

@final
class _NullType:
    def __bool__(self) -> Literal[False]: ...
    def __reduce__(self) -> str: ...

NULL: Final[_NullType]
"""An empty slot of the value stack, which is not None."""

class StaleStep(RuntimeError):
    """A step, or its stack, was used after its callback had returned, or on another thread."""

@final
class Site:
    """A place in probed bytecode: executing `~site` is debugop's virtual opcode DEBUG_OP. Reduces to 0."""

    def __invert__(self) -> None: ...
    def __reduce__(self) -> tuple[type[int], tuple[()]]: ...

@final
class Instruction:
    """One instruction of a code object, described as `dis` does for the code without probes."""

    @property
    def offset(self) -> int:
        """Byte offset of the opcode in the original `co_code`."""

    @property
    def opname(self) -> str: ...
    @property
    def opcode(self) -> int: ...
    @property
    def arg(self) -> int | None:
        """The argument, `EXTENDED_ARG` included."""

    @property
    def argval(self) -> Any:
        """What the argument stands for, as `dis.Instruction.argval`."""

    @property
    def argrepr(self) -> str:
        """`argval` as `dis` shows it; runs no `__repr__` of the program."""

    @property
    def positions(self) -> dis.Positions:
        """Lines from 1, columns in UTF-8 bytes from 0; None where unknown."""

    @property
    def line(self) -> int | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Stack:
    """The value stack before an instruction, bottom first: `stack[-1]` is the top.

    Empty slots are `NULL`. Assigning to an index changes the program. Raises StaleStep after the callback.
    """

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Any]: ...
    def __setitem__(self, index: SupportsIndex, value: Any, /) -> None: ...
    def __delitem__(self, index: SupportsIndex, /) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __reversed__(self) -> Iterator[Any]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def index(self, value: Any, start: int = 0, stop: int = ...) -> int: ...
    def count(self, value: Any) -> int: ...
    def copy(self) -> list[Any]:
        """The slots as a new list, bottom first."""

@final
class Step:
    """One step of a traced program: an instruction that is about to be executed.

    `frame`, `depth`, `exception`, `record()` and what is in `stack` raise StaleStep after the callback.
    """

    @property
    def number(self) -> int:
        """Count of the step since the trace was started, from 1."""

    @property
    def event(self) -> Literal["instruction", "unwind"]:
        """`"unwind"`: the exception that the instruction raised is about to leave the frame."""

    @property
    def instruction(self) -> Instruction: ...
    @property
    def code(self) -> CodeType:
        """The code object without probes."""

    @property
    def stack(self) -> Stack: ...
    @property
    def frame(self) -> FrameType: ...
    @property
    def exception(self) -> BaseException | None:
        """The exception that has just arrived at a handler, or that is about to leave the frame."""

    @property
    def thread(self) -> int:
        """As `threading.get_ident()`."""

    @property
    def depth(self) -> int:
        """How many traced frames are below this one on the call stack."""

    def record(self) -> Record:
        """This step as data, which can be kept."""

@final
class Value:
    """A value of the traced program as it was at one step; keeps nothing of it alive."""

    @property
    def type_name(self) -> str: ...
    @property
    def id(self) -> int | None:
        """`id()` of the object; None for scalars."""

    @property
    def is_whole(self) -> bool:
        """Whether `value` has it."""

    @property
    def value(self) -> Any:
        """A new, equal object; ValueError if the value was not captured whole."""

    def short(self, width: int) -> str:
        """A text of at most `width` columns."""

    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Record:
    """One step as data."""

    @property
    def number(self) -> int: ...
    @property
    def thread(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def event(self) -> Literal["instruction", "unwind"]: ...
    @property
    def code(self) -> CodeType: ...
    @property
    def name(self) -> str:
        """`co_name`."""

    @property
    def qualname(self) -> str: ...
    @property
    def module(self) -> str:
        """`__name__` of the module whose globals the code runs in; empty if unknown."""

    @property
    def filename(self) -> str: ...
    @property
    def instruction(self) -> Instruction: ...
    @property
    def line(self) -> int | None: ...
    @property
    def stack(self) -> tuple[Value, ...]:
        """The value stack before the instruction, bottom first."""

    @property
    def exception(self) -> Value | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Records:
    """The steps that a trace has collected: a sequence that grows while the trace runs."""

    def __new__(cls) -> Records: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Record: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[Record]: ...
    def __iter__(self) -> Iterator[Record]: ...
    def filter(self, predicate: Predicate) -> list[Record]:
        """The records for which `predicate` holds."""

    def clear(self) -> None:
        """Forget all records."""

@final
class Predicate:
    """A condition on steps; combine with `&`, `|` and `~`."""

    def __and__(self, other: Predicate, /) -> Predicate: ...
    def __rand__(self, other: Predicate, /) -> Predicate: ...
    def __or__(self, other: Predicate, /) -> Predicate: ...
    def __ror__(self, other: Predicate, /) -> Predicate: ...
    def __invert__(self) -> Predicate: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

def function(pattern: str) -> Predicate:
    """Steps of functions that a glob names, by themselves or by what they are in."""

def module(pattern: str) -> Predicate:
    """Steps of code whose module, or a package that it is in, a glob names."""

def file(pattern: str) -> Predicate:
    """Steps of code whose file a glob names, from any directory on unless it starts with `/`."""

def opcode(pattern: str) -> Predicate:
    """Steps whose instruction's name matches a glob."""

def line(first: int, last: int | None = None) -> Predicate:
    """Steps on source lines `first` to `last`, both included."""

def depth(least: int, most: int | None = None) -> Predicate:
    """Steps in frames that are `least` to `most` traced calls deep; `depth(n)` is 0 to n."""

@final
class Follow:
    """Which calls are followed, as `Tracer` takes it."""

    def __new__(
        cls,
        *,
        include: Sequence[str] = ...,
        exclude: Sequence[str] = ...,
        all: bool = False,
        depth: int | None = None,
        libraries: Sequence[str] = ...,
    ) -> Follow: ...

@final
class Tracer:
    """Reports the steps of the code it watches; what `Trace` is made of."""

    def __new__(
        cls,
        handler: Records | Callable[[Step], object],
        *,
        wanted: Predicate | None = None,
        follow: Follow | None = None,
        limit: int | None = None,
    ) -> Tracer: ...
    def watch_callable(self, callable: object) -> int: ...
    def watch(self, code: CodeType, module: str = "") -> CodeType: ...
    def stop(self) -> None: ...
    @property
    def running(self) -> bool: ...
    @property
    def steps(self) -> int: ...

def instructions(code: CodeType | FunctionType) -> list[Instruction]:
    """The instructions of a function or code object, in order, without `EXTENDED_ARG` and caches."""

def layout_offsets() -> list[tuple[str, int]]:
    """Byte offsets of the interpreter's fields that this build relies on, by CPython's names."""
