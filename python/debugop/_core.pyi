"""The compiled half of debugop. `debugop` re-exports what is public of it, and documents it."""

import dis
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, Final, Literal, SupportsIndex, final, overload

__all__ = [
    "DEBUG_OP",
    "NULL",
    "VERSION",
    "CompiledBreakpoint",
    "DamagedRecording",
    "DebugChildRequest",
    "DebugOp",
    "DebugRequest",
    "Event",
    "Follow",
    "Frame",
    "Identities",
    "IncompleteRecording",
    "InstallRequest",
    "Instruction",
    "Moment",
    "NotARecording",
    "Past",
    "PastMoment",
    "PastSearch",
    "PastValue",
    "Predicate",
    "Record",
    "RecordRequest",
    "Recording",
    "RecordingError",
    "Records",
    "Replay",
    "ReplayEventIterator",
    "ReplayEvents",
    "ReplayMarks",
    "ReplayStep",
    "ReplaySteps",
    "Run",
    "RunRequest",
    "SelfcheckRequest",
    "Site",
    "Stack",
    "StaleStep",
    "Step",
    "Sys",
    "TopOfStack",
    "Tracer",
    "Value",
    "Written",
    "WrongVersion",
    "another_thread_has_stopped",
    "breakpoint_reasons",
    "callable_index",
    "changed_by",
    "child_command",
    "compare_recording",
    "current_frames",
    "depth",
    "describe_recording",
    "effective",
    "file",
    "follow_fork",
    "follow_programs",
    "forked_in_child",
    "forked_in_parent",
    "frame_is_over",
    "frame_stack",
    "function",
    "getprofile",
    "gettrace",
    "hold_recording",
    "insert_debug_op",
    "instructions",
    "is_left",
    "is_recording",
    "layout_offsets",
    "layout_opcodes",
    "leave_process",
    "line",
    "log_message",
    "module",
    "opcode",
    "parse_command_line",
    "pause_breakpoints",
    "python_functions",
    "record_command",
    "recorded_stores",
    "recording_is_debugged",
    "release_recording",
    "replay_recording",
    "report_uncaught",
    "run_code",
    "run_file",
    "session_changed",
    "set_breakpoints",
    "set_frame_slot",
    "set_places",
    "setprofile",
    "setprofile_running_threads",
    "settrace",
    "settrace_running_threads",
    "short_repr",
    "source_instruction",
    "start_recording",
    "start_session",
    "take_turn",
    "threads_waiting_to_stop",
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

class RecordingError(ValueError):
    """A file is no recording that can be read."""

    offset: int | None
    """Where in the file, in bytes; with a `chunk`, in its uncompressed contents."""
    chunk: int | None
    """Number of the chunk of the stream, if it is what is in one that does not fit."""

class NotARecording(RecordingError):
    """The file does not begin as recordings do."""

class WrongVersion(RecordingError):
    """The file has been written by a newer debugop, or under a Python that is not known here."""

class DamagedRecording(RecordingError):
    """The file is not as it was written."""

class IncompleteRecording(DamagedRecording):
    """The file ends too early, and the tail that was beside it is gone."""

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
        """`"unwind"`: the exception that the instruction raised first, as its traceback says, is about to leave the frame."""

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
    def is_certain(self) -> bool:
        """Whether nothing can have changed what was captured, at any depth, since it was looked at."""

    @property
    def value(self) -> Any:
        """A new, equal object; ValueError if the value was not captured whole."""

    @property
    def attributes(self) -> dict[str, Value] | None:
        """Of an instance in a recording: its attributes that were captured."""

    @property
    def contents(self) -> Value | None:
        """Of an instance in a recording of a subclass of a built-in container: that container; of a `collections.deque` a list."""

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
    def frame(self) -> int | None:
        """Number of the execution of the code, unique in the trace; None in what `Step.record` made."""

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
    @property
    def frame_event(self) -> Literal["enter", "resume", "handle", "return", "yield", "unwind"] | None:
        """What the step means for its frame; None for most, and in what `Step.record` made."""

    @property
    def events(self) -> tuple[Event, ...] | None:
        """What has happened in the frame before the step; None in what `Step.record` made."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Event:
    """Something that has happened before a step: an exception was raised or caught, a C function was called or has returned."""

    @property
    def kind(
        self,
    ) -> Literal[
        "raise",
        "reraise",
        "propagate",
        "throw",
        "catch",
        "replace",
        "swallow",
        "c_call",
        "c_return",
        "c_exception",
        "unfollowed_return",
        "unfollowed_exception",
    ]: ...
    @property
    def instruction(self) -> Instruction | None:
        """What raised, called or swallowed; None if the step of the frame before is not known."""

    @property
    def handler(self) -> Instruction | None:
        """Of `catch`: where the exception has arrived."""

    @property
    def from_frame(self) -> int | None:
        """Of `propagate` and `swallow`: the `Record.frame` that the exception left."""

    @property
    def exception(self) -> Value | None: ...
    @property
    def replaced(self) -> Value | None:
        """Of `replace`: the exception that was being handled."""

    @property
    def callable(self) -> Value | None:
        """Of calls: what is or was called."""

    @property
    def result(self) -> Value | None:
        """Of `c_return` and `unfollowed_return`."""

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

    def text(self, width: int, color: bool) -> str:
        """The records as text of at most `width` columns."""

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
        own: Sequence[str] = ...,
    ) -> Follow: ...

@final
class Identities:
    """For tests: gives numbers to objects and follows their lives, as the recorder does. One at a time."""

    def __new__(cls, limit: int = 1 << 20) -> Identities: ...
    def see(self, object: object) -> tuple[int, str]:
        """The object's number, and whether it is `"known"`, `"new"`, or `"perhaps"` new."""
    def known(self, object: object) -> int | None:
        """The object's number, if it has one."""
    def forget(self, object: object) -> None:
        """Forgets the object, as if it had died."""
    def dead(self) -> list[int]:
        """The numbers of those that have died or been forgotten since this was last called."""
    def counts(self) -> tuple[int, int, int]:
        """How many objects have numbers, have been forgotten for want of room, and how often all were lost."""
    def time(self, objects: list[object], rounds: int) -> float:
        """Nanoseconds that it takes to look one of `objects` up, over `rounds` rounds."""
    def uninstall(self) -> None:
        """Takes the hooks out of the interpreter."""

@final
class TopOfStack:
    """For benchmarks: encodes the top of the value stack of every step into a ring of `capacity` bytes, natively.

    The format of the records is in `crates/capture/src/ring.rs`.
    """

    def __new__(cls, capacity: int = 1 << 20) -> TopOfStack: ...
    @property
    def written(self) -> int:
        """Bytes written so far, those that were overwritten included."""
    def records(self) -> bytes:
        """The records since the ring last started over."""

@final
class Tracer:
    """Reports the steps of the code it watches; what `Trace` is made of."""

    def __new__(
        cls,
        handler: Records | TopOfStack | Callable[[Step], object] | None = None,
        *,
        wanted: Predicate | None = None,
        follow: Follow | None = None,
        limit: int | None = None,
        engine: str = "inject",
        everywhere: Follow | None = None,
    ) -> Tracer: ...
    def enter(self) -> None: ...
    def attach(self, generators: Sequence[object] = ...) -> None: ...
    def watch_callable(self, callable: object) -> int: ...
    def watch(self, code: CodeType, module: str = "") -> CodeType: ...
    def stop(self) -> None: ...
    @property
    def left_out(self) -> tuple[int, list[str]]: ...
    @property
    def running(self) -> bool: ...
    @property
    def steps(self) -> int: ...

def instructions(code: CodeType | FunctionType) -> list[Instruction]:
    """The instructions of a function or code object, in order, without `EXTENDED_ARG` and caches."""

def layout_offsets() -> list[tuple[str, int]]:
    """Byte offsets of the interpreter's fields that this build relies on, by CPython's names."""

def layout_opcodes() -> list[tuple[str, int]]:
    """Opcodes of running bytecode that this build relies on, by CPython's names."""

@final
class DebugOp:
    """The type of `DEBUG_OP`."""

    def __invert__(self) -> None: ...
    def __reduce__(self) -> tuple[type[int], tuple[()]]: ...

DEBUG_OP: Final[DebugOp]
"""Executing `~DEBUG_OP` as an instruction calls `op_target(stack, frame)` of the frame's globals, if there is one."""

def insert_debug_op(code: CodeType, offsets: Sequence[int] | None = None, *, nested: bool = False) -> CodeType:
    """A copy of `code` with DEBUG_OP before the instructions at `offsets`.

    With None: before every instruction where nothing speaks against it; with `nested` also in nested code objects. ValueError
    for an offset at which no instruction is or nothing may be inserted.
    """

def source_instruction(frame: FrameType) -> tuple[CodeType, int]:
    """Where `frame` is in the code without DEBUG_OPs: the code object and the offset in it.

    The instruction is the one that the frame executes, or is about to execute if it executes DEBUG_OP.
    """

def python_functions(callable: object) -> list[FunctionType]:
    """The Python functions that calling `callable` enters first, found without running any of its code."""

def callable_index(opcode: int, arg: int) -> int | None:
    """Where a call with this opcode and argument finds its callable, counted from the top of the stack (0).

    None if the opcode is no call. If that slot is empty (NULL), the callable is the slot above it.
    """

def short_repr(value: object) -> str:
    """A short text for `value`, made without running any code of the program's."""

@final
class RunRequest:
    """A parsed `debugop run`. `program`, here and in other requests: kind ("script", "module", "command", "stdin"), name or text, arguments."""

    @property
    def program(self) -> tuple[str, str, list[str]]: ...
    @property
    def children(self) -> bool: ...
    def open(self, libraries: Sequence[str], own: Sequence[str]) -> Run: ...

@final
class DebugRequest:
    """A parsed `debugop debug`."""

    @property
    def program(self) -> tuple[str, str, list[str]] | None: ...
    @property
    def recording(self) -> tuple[Path, bool] | None: ...
    @property
    def history(self) -> int | None:
        """How many bytes of history are kept; None: there is none."""

    @property
    def commands(self) -> list[str]:
        """Commands that the debugger carries out before it asks."""

@final
class DebugChildRequest:
    """A parsed `debugop debug-child`."""

    @property
    def program(self) -> tuple[str, str, list[str]]: ...
    @property
    def session(self) -> Path:
        """The file in which the debugger of the process that has started this one says what goes along."""

@final
class SelfcheckRequest:
    """A parsed `debugop selfcheck`."""

    @property
    def program(self) -> tuple[str, str, list[str]]: ...
    @property
    def record(self) -> bool: ...
    @property
    def options(self) -> list[str]: ...

@final
class Run:
    """A report under way, and the tracer that feeds it."""

    def begin(self, code: CodeType, sources: Sequence[tuple[str, str]]) -> CodeType: ...
    def execute_by(self, function: FunctionType, args: tuple[object, ...]) -> BaseException | None: ...
    def exec(self, code: CodeType, globals: dict[str, Any]) -> None: ...
    def detach(self) -> None: ...
    def restart(self) -> None: ...
    def child_variable(self) -> str: ...
    def follow_children(self, directory: str, variable: str | None = None) -> None: ...
    def flush(self) -> None: ...
    def finish(self) -> str | None: ...

def parse_command_line(
    argv: Sequence[str], color: bool
) -> (
    RunRequest
    | RecordRequest
    | InstallRequest
    | DebugRequest
    | DebugChildRequest
    | SelfcheckRequest
    | tuple[str, bool, int]
):
    """A request, or (text, to_stderr, status) to be printed before exiting. `argv[0]` is the command's own name."""

def report_uncaught(error: BaseException) -> None:
    """Print an uncaught exception as the interpreter does for a main program."""

def run_code(code: CodeType, globals: dict[str, Any]) -> BaseException | None:
    """Run code in `globals` as if nothing had called it; returns None, or the exception that the program raised."""

def run_file(path: str, filename: str, globals: dict[str, Any]) -> None:
    """Read, compile and run a source file by the interpreter's own way for scripts, untraced, in `globals`."""

@final
class RecordRequest:
    """A parsed `debugop record`."""

    @property
    def program(self) -> tuple[str, str, list[str]]: ...
    @property
    def children(self) -> bool: ...
    @property
    def on_exception(self) -> bool: ...
    def open(self, libraries: Sequence[str], own: Sequence[str]) -> Recording: ...
    def is_wrong_path(self, errno: int | None) -> bool: ...
    def unrecorded(self) -> Recording: ...

@final
class InstallRequest:
    """A parsed `debugop record --install` or `--uninstall`."""

    @property
    def install(self) -> bool: ...

def child_command(command: Sequence[str], directory: str, ours: Sequence[str]) -> list[str] | None:
    """The command line by which a Python started as `command` runs the same under a command of debugop's with its options, or None."""

def record_command(command: Sequence[str], directory: str, path: str, options: Sequence[str]) -> list[str] | None:
    """The command line by which a Python started as `command` becomes `debugop record` of the same program, or None."""

@final
class Recording:
    """A recording that is being made."""

    @property
    def path(self) -> str: ...
    @property
    def said(self) -> str | None: ...
    def begin(self, code: CodeType, sources: Sequence[tuple[str, str]]) -> CodeType: ...
    def begin_here(self, running: bool) -> None: ...
    def execute_by(self, function: FunctionType, args: tuple[object, ...]) -> BaseException | None: ...
    def exec(self, code: CodeType, globals: dict[str, Any]) -> None: ...
    def detach(self) -> None: ...
    def restart(self) -> None: ...
    def child_variable(self) -> str: ...
    def follow_children(self, directory: str, variable: str | None = None) -> None: ...
    def ends_with(self, status: int) -> None: ...
    def flush(self) -> None: ...
    def finish(self) -> str | None: ...

def start_recording(
    path: str,
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    function: Sequence[str],
    all: bool,
    redact: Sequence[str],
    items: int,
    length: int,
    bits: int,
    nesting: int,
    ring: int | None,
    limit: int | None,
    libraries: Sequence[str],
    own: Sequence[str],
) -> Recording:
    """Open a recording, which `begin_here` begins. OSError if the file cannot be written, RuntimeError if something is in the way."""

def is_recording() -> bool:
    """Whether this process is recorded just now."""

def describe_recording() -> None:
    """Begin a chunk of the recording that says how things are now that this thread is held."""

def hold_recording(frame: FrameType | None, before: bool, /) -> tuple[int, list[tuple[int, int]], bool] | None:
    """This thread has stopped in a debugger, in `frame`, `before` an instruction or in the course of one: nothing of it is recorded until
    `release_recording`.

    Returns where it stands: its number, and of its recorded frames, outermost first, number and code unit; and whether the last one is `frame`. None if
    nothing of it is recorded.
    """

def release_recording(changed: bool, /) -> None:
    """This thread goes on; `changed`: what it sees may be other than when it was held."""

def recording_is_debugged(debugged: bool, /) -> None:
    """Whether trace functions are a debugger's, and not recorded."""

def compare_recording(recording: str, trace: str) -> tuple[int, int, int, int, int, int, int, int, list[str]]:
    """A recording, replayed, against what its witness saw: (steps, slots, unknown, bare, certain, uncertain, of those right, differences, told)."""

def replay_recording(recording: str, /, *, values: bool = True) -> int:
    """Replay a recording, every slot of every step, or where each is only; returns the number of steps. OSError if it cannot be replayed to its end."""

def recorded_stores(recording: str, /) -> list[list[tuple[int, int | None, str, int]]]:
    """What a reader of packed chunks knows of stores into objects: of each chunk the record, the object, the kind of the value and its number."""

@final
class Frame:
    """A frame of a moment of a recording."""

    @property
    def number(self) -> int:
        """In the recording; a generator keeps its frame."""

    @property
    def function(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int | None: ...
    @property
    def offset(self) -> int:
        """Byte offset of the instruction: about to be executed or, of a frame that has called another one, being executed."""

    @property
    def opname(self) -> str: ...
    @property
    def arg(self) -> int: ...
    @property
    def locals(self) -> dict[str, Value]: ...
    @property
    def globals(self) -> dict[str, Value]:
        """The global variables that its code names, as far as they were bound in the recording. An object that nothing has looked at since is as it was then."""

    @property
    def stack(self) -> list[Value]:
        """Bottom first."""

    @property
    def handlers(self) -> list[tuple[int, int]]:
        """Offset and stack depth of the handlers around the instruction, innermost first."""

@final
class Moment:
    """The world just before a step of a recording."""

    @property
    def step(self) -> int: ...
    @property
    def thread(self) -> int: ...
    @property
    def time(self) -> int:
        """Nanoseconds since the recording began, as of the last time that was noted."""

    @property
    def frames(self) -> list[Frame]:
        """The one that runs last."""

@final
class Replay:
    """A recording that is open: `len()` is its number of steps, iterating goes through them, indexing gives the moment just before a step."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Replay: ...
    def __len__(self) -> int: ...
    def __getitem__(self, step: int, /) -> Moment: ...
    def __iter__(self) -> ReplaySteps: ...
    def __reversed__(self) -> ReplaySteps: ...
    def lines(self) -> ReplayMarks:
        """The steps at which execution comes to a source line: iterating goes through them, `reversed()` back."""

    def starts(self) -> ReplayMarks:
        """The steps with which frames start, of a generator where it first runs: iterating goes through them, `reversed()` back."""

    def events(self) -> ReplayEvents:
        """What has happened: frames that are entered, left and gone on with, exceptions, calls of what is no recorded Python code.

        Dicts with `step`, `event` (a name of docs/jsonl.md), `function`, `file`, `line`, `offset`, `opname`, `frame`, `thread`, and what the event is
        about: `value`, `exception`, `replaced`, `callable`, `result`, `handler`, `from`; of `output` only `step`, `event`, `frame`, `stream` and `text`; of `thread_start` and `thread_end` `step`,
        `event`, `thread`, and `name`. Iterating goes through them, `reversed()` back.
        """

    def at(self, step: int) -> Moment: ...
    @property
    def command(self) -> list[str]: ...
    @property
    def python_version(self) -> tuple[int, int, int]: ...
    @property
    def uuid(self) -> str: ...
    @property
    def parent(self) -> dict[str, Any] | None: ...
    @property
    def children(self) -> list[dict[str, Any]]: ...
    @property
    def exit_status(self) -> int | None: ...
    def losses(self) -> list[dict[str, Any]]: ...
    def output(self) -> list[dict[str, Any]]:
        """What the program has written: dicts with `step`, which wrote it (None if not known), `thread`, `frame`, `stream`, `bytes` and `text`."""

    def hits(self, file: str, line: int) -> list[int]: ...
    def hit_count(self, file: str, line: int) -> int: ...
    def last_hit(self, file: str, line: int, before: int) -> int | None: ...
    def steps(
        self,
        *,
        function: str | None = None,
        opcode: str | None = None,
        line: tuple[str, int] | None = None,
        thread: int | None = None,
        time: tuple[int, int] | None = None,
        limit: int | None = None,
    ) -> list[int]: ...
    def calls(self, function: str) -> list[dict[str, Any]]: ...
    def exceptions(self) -> list[dict[str, Any]]: ...
    def writes(self, place: str, step: int) -> list[dict[str, Any]]: ...
    def last_write(self, place: str, before: int) -> dict[str, Any] | None: ...
    def origin(self, name: str, step: int, hops: int = 20) -> list[dict[str, Any]]: ...
    def states(self, place: str, step: int) -> list[dict[str, Any]]: ...
    def diff(self, other: Replay) -> dict[str, Any] | None: ...

@final
class ReplayEvents:
    """What has happened in a recording."""

    def __iter__(self) -> ReplayEventIterator: ...
    def __reversed__(self) -> ReplayEventIterator: ...

@final
class ReplayEventIterator:
    """Goes through the events of a recording."""

    def __iter__(self) -> ReplayEventIterator: ...
    def __next__(self) -> dict[str, Any]: ...

@final
class ReplayMarks:
    """Steps of a kind."""

    def __iter__(self) -> ReplaySteps: ...
    def __reversed__(self) -> ReplaySteps: ...

@final
class ReplaySteps:
    """The steps of a recording, forwards or backwards."""

    def __iter__(self) -> ReplaySteps: ...
    def __next__(self) -> ReplayStep: ...

@final
class ReplayStep:
    """A step of a recording: where it is; what is there is rebuilt when it is asked for."""

    @property
    def step(self) -> int: ...
    @property
    def frame(self) -> int: ...
    @property
    def function(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int | None: ...
    @property
    def offset(self) -> int: ...
    @property
    def opname(self) -> str: ...
    @property
    def arg(self) -> int: ...
    @property
    def frames(self) -> list[Frame]: ...
    def moment(self) -> Moment: ...

@final
class Past:
    """A recording that is gone through by the console."""

    def __new__(
        cls,
        path: str | os.PathLike[str],
        present: tuple[int, Sequence[tuple[int, int]]] | None = None,
        before: Past | None = None,
    ) -> Past: ...
    @property
    def steps(self) -> int: ...
    @property
    def run(self) -> tuple[list[str], tuple[int, int, int], int | None]: ...
    def sources(self) -> list[tuple[str, bytes]]: ...
    def codes(self) -> list[tuple[int, str, str, int, list[int]]]: ...
    def instructions(self, code: int) -> list[tuple[int, str, int | None, str, int | None]]: ...
    def losses(self) -> list[tuple[int, str]]: ...
    def at(self, step: int) -> PastMoment: ...
    def search(
        self,
        step: int,
        motion: str,
        backwards: bool,
        *,
        line: int = 0,
        lines: Sequence[tuple[str, int]] = ...,
        instructions: Sequence[tuple[int, int]] = ...,
        places: Sequence[tuple[int, int, str]] = ...,
        exceptions: bool = False,
    ) -> PastSearch: ...
    def failure(self) -> tuple[int, Value] | None: ...
    def uncaught(self) -> list[int]: ...
    def check_place(self, step: int, frame: int, text: str) -> None: ...
    def global_value(self, step: int, file: str, name: str) -> PastValue: ...
    def writes(self, step: int, frame: int, text: str, to: int) -> list[dict[str, Any]]: ...
    def origin(self, step: int, frame: int, name: str, most: int) -> list[dict[str, Any]]: ...

@final
class PastMoment:
    """The recorded world just before a step."""

    @property
    def step(self) -> int: ...
    @property
    def time(self) -> int: ...
    @property
    def threads(self) -> list[tuple[int, int, str, bool, list[tuple[str, int | None, str]]]]: ...
    @property
    def frames(self) -> list[tuple[int, int, int | None, int]]: ...
    def locals(self, frame: int, arguments: bool = False) -> dict[str, PastValue]: ...
    def stack(self, frame: int) -> list[PastValue]: ...

@final
class PastValue:
    """A recorded value at a moment, into which one can go."""

    @property
    def data(self) -> Value: ...
    @property
    def step(self) -> int: ...
    @property
    def id(self) -> int | None: ...
    @property
    def certain(self) -> bool: ...
    @property
    def length(self) -> int | None: ...
    def at(self, moment: PastMoment) -> PastValue: ...
    def attribute(self, name: str) -> PastValue | None: ...
    def items(self) -> list[PastValue] | None: ...
    def pairs(self) -> list[tuple[PastValue, PastValue]] | None: ...
    def is_same(self, other: PastValue) -> bool | None: ...

@final
class PastSearch:
    """A search for the next stop."""

    def find(self) -> dict[str, Any] | None: ...

@final
class Written:
    """For tests: keeps what the program writes to its standard output and error, from when it is made until `stop`."""

    def __new__(cls) -> Written: ...
    def take(self) -> list[tuple[int, bytes]]:
        """Pairs of 1 or 2 and what was written since this was last called, a pair for each write."""
    @staticmethod
    def stop() -> None:
        """Keeps nothing more."""

_TraceFunction = Callable[[FrameType, str, Any], Any]

def settrace(function: _TraceFunction | None, /) -> None:
    """Set the trace function of this thread, as `sys.settrace` does; None takes it away."""

def gettrace() -> _TraceFunction | None:
    """The trace function of this thread that `settrace` has set."""

def setprofile(function: _TraceFunction | None, /) -> None:
    """Set the profile function of this thread, as `sys.setprofile` does; None takes it away."""

def getprofile() -> _TraceFunction | None:
    """The profile function of this thread that `setprofile` has set."""

def settrace_running_threads(function: _TraceFunction | None, /) -> None:
    """Set the trace function of every thread that runs."""

def setprofile_running_threads(function: _TraceFunction | None, /) -> None:
    """Set the profile function of every thread that runs."""

@final
class CompiledBreakpoint:
    """A breakpoint, in force while it is among those that `set_breakpoints` was given last.

    `on_stop(frame, line, raised)` is called in the program's thread when it is reached, its condition holds (or has raised: `raised`) and it has
    been passed over `ignore` times; what it raises is raised in the program. With `log`, an f-string's text, `on_log(text)` is called
    instead. Raises SyntaxError where the condition, or an expression in the text, is none.
    """

    def __new__(
        cls,
        file: str,
        line: int,
        *,
        condition: str | None = None,
        ignore: int = 0,
        log: str | None = None,
        on_stop: Callable[[FrameType, int, bool], object] | None = None,
        on_log: Callable[[str], object] | None = None,
    ) -> CompiledBreakpoint: ...
    @property
    def file(self) -> str:
        """The file, made absolute."""

    @property
    def line(self) -> int:
        """The line."""

    @property
    def condition(self) -> str | None:
        """The condition as it was written."""

    @property
    def hits(self) -> int:
        """How often it was reached."""

    @property
    def ignore(self) -> int:
        """How many times more it is passed over."""

    @ignore.setter
    def ignore(self, value: int) -> None: ...

def set_breakpoints(breakpoints: Sequence[CompiledBreakpoint]) -> None:
    """Put `breakpoints` in force, in place of all that were, in every function there is and every one that will be made."""

def pause_breakpoints(paused: bool) -> None:
    """Stop evaluating breakpoints, or go on."""

def breakpoint_reasons() -> list[str]:
    """The code objects that have been left as they are although there are breakpoints for them, each with the reason."""

@final
class Sys:
    """Stands for `sys` in the standard library's debuggers: all but `settrace` is asked of `sys`, without a frame of Python's."""

    def __new__(cls, sys: Any) -> Sys: ...
    def settrace(self, function: _TraceFunction | None, /) -> None:
        """As `sys.settrace`; a method of a `debugop.bdb.Bdb` starts its session."""

    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any, /) -> None: ...
    def __delattr__(self, name: str, /) -> None: ...

def start_session(owner: Any, dispatch: _TraceFunction, breakpoints: type, decides: bool, hears_calls: bool) -> None:
    """Start a `Bdb` in this thread, in place of the one that it has.

    `dispatch` is its bound `trace_dispatch`, `breakpoints` the class of its breakpoints; `decides` says that no method which decides
    what stops has been overridden, `hears_calls` that `user_call` has.
    """

def session_changed(owner: Any, breaks: bool) -> None:
    """What `owner` stops at is different now; `breaks`: its breakpoints are."""

def effective(breakpoints: list[Any], frame: FrameType) -> tuple[Any, bool | None]:
    """The first of `breakpoints` that is in effect in `frame`, and whether it may be deleted if it is temporary; or (None, None)."""

def log_message(template: str, frame: FrameType) -> str:
    """What a log point's text says in a frame: the text of an f-string, or the exception that comes of it. Raises SyntaxError if it is none."""

def follow_fork(parent: bool, child: bool) -> None:
    """Whether sessions go on in the parent of a fork, and whether in the child."""

def follow_programs(directory: str, session: str | None) -> None:
    """Have the Pythons that this process executes debugged from now on; with None, no more.

    `directory` is where the package `debugop` is, `session` the file that says to them what goes along. Raises RuntimeError if somebody
    else follows the programs that this process executes.
    """

def leave_process() -> None:
    """This process is left by the debugger from now on."""

def forked_in_child() -> None:
    """A fork has happened, and this is the child: to be called by `os.register_at_fork`."""

def forked_in_parent() -> None:
    """A fork has happened, and this is the parent: to be called by `os.register_at_fork`."""

def is_left() -> bool:
    """Whether this process has been left by the debugger: at a fork, or by `leave_process`."""

def frame_is_over(frame: FrameType) -> bool:
    """Whether a frame has ended: it neither runs nor is suspended."""

def set_frame_slot(frame: FrameType, index: int, value: object) -> None:
    """Put an object into a slot of the value stack, bottom first, of the frame that is about to execute an instruction.

    Raises RuntimeError if that is another frame, IndexError if there is no such slot, ValueError if its stack is not known, and
    TypeError if an instruction that will use the slot could not survive the object.
    """

def another_thread_has_stopped() -> bool:
    """Whether another thread is in the debugger."""

def take_turn() -> None:
    """Wait until no other thread is in the debugger. This one is, until the first event that is handed over to its session has been dealt with."""

def current_frames() -> dict[int, FrameType]:
    """`sys._current_frames()`, where the collector cannot keep it from returning (gh-106883, up to 3.11.8)."""

def threads_waiting_to_stop() -> list[int]:
    """The identifiers (`threading.get_ident`) of the threads that have come to a stop and wait until no other one is in the debugger."""

def changed_by() -> tuple[CodeType, int] | None:
    """The instruction that has changed a watched dictionary last, if that is known and has not been asked for."""

def set_places(
    owner: Any,
    instructions: Callable[[CodeType], tuple[Iterable[int], Iterable[int], Iterable[int]] | None] | None,
    exceptions: bool,
    watched: Iterable[tuple[object, object]],
    codes: list[CodeType] | None = None,
) -> None:
    """What the sessions of `owner` hear of besides lines. `codes`: the only code objects with such instructions, if that is known.

    The instructions at the offsets that `instructions(code)`, called once for a code object, answers with, by `owner._reached_place(frame)`:
    of those in the first set each time, of those in the second one if a place of `watched` has changed, of those in the third one likewise while
    the owner steps. A place is a dictionary and a key of a builtin type, a list and an index, or an object and the descriptor of a slot; from 3.12 on CPython
    tells of changes of dictionaries, with whichever instruction comes next, and raises RuntimeError if eight others want to hear of some.
    Exceptions: by `owner._reached_exception(frame, exception, traceback)`, for each frame that they come to. Where these answer True,
    `owner._at_place(frame)` is called.
    """

def frame_stack(frame: FrameType, begun: bool) -> list[Any]:
    """The value stack of a frame that runs on this thread, bottom first, empty slots as NULL.

    With `begun` without what its instruction has taken. RuntimeError: it does not run; ValueError: its bytecode is not a compiler's.
    """
