"""The interface of *Understanding Python execution from inside: a Python assembly tracer*, on today's CPython.

The article of 2015 patched CPython 3.5 to give it a new opcode, `DEBUG_OP`, and built a tracer on it. Here are its
names and what they do. `DEBUG_OP` is the constant that makes `LOAD_CONST DEBUG_OP; UNARY_INVERT; POP_TOP` the opcode:
when it is executed it looks the name `op_target` up in the frame's globals. If there is none, nothing happens; an
error other than KeyError in the look-up is raised in the program; otherwise `op_target(stack, frame)` is called with
a list of the value stack, top of stack first, with None for empty (NULL) slots. An exception that `op_target` raises
is raised at that instruction.

    >>> from debugop.article import add_debug_op_everywhere
    >>> def double(x):
    ...     return x * 2
    >>> double.__code__ = add_debug_op_everywhere(double.__code__)
    >>> def op_target(stack, frame):
    ...     print(stack)
    >>> double(21)

New programs will rather use `debugop.trace`, which sees everything that is seen here and costs less.
"""

from __future__ import annotations

import dis
import threading
from collections.abc import Callable, Iterable
from types import CodeType, FrameType, FunctionType
from typing import Any, ClassVar, NoReturn, SupportsIndex, TextIO

from debugop import _core
from debugop._core import DEBUG_OP, DebugOp

__all__ = [
    "DEBUG_OP",
    "DebugOp",
    "DummyTrace",
    "FrameAnalyser",
    "MutableCodeObject",
    "StackView",
    "Trace",
    "add_debug_op_everywhere",
    "insert_op_debug",
    "insert_op_debug_list",
    "transform_code",
]


class MutableCodeObject:
    """An editable copy of a code object: the same attributes, with lists where it has tuples.

    `co_code`, `co_linetable` and `co_exceptiontable` are bytearrays. Nothing is checked or adjusted: whoever changes
    the length of `co_code` has to change jumps, tables and `co_stacksize` too, which `insert_op_debug` does by
    itself.
    """

    args_name: ClassVar[tuple[str, ...]] = (
        "co_argcount",
        "co_posonlyargcount",
        "co_kwonlyargcount",
        "co_nlocals",
        "co_stacksize",
        "co_flags",
        "co_code",
        "co_consts",
        "co_names",
        "co_varnames",
        "co_filename",
        "co_name",
        "co_qualname",
        "co_firstlineno",
        "co_linetable",
        "co_exceptiontable",
        "co_freevars",
        "co_cellvars",
    )
    """The attributes that are copied, which are the arguments of `code.replace`."""

    co_argcount: int
    co_posonlyargcount: int
    co_kwonlyargcount: int
    co_nlocals: int
    co_stacksize: int
    co_flags: int
    co_code: bytearray
    co_consts: list[Any]
    co_names: list[str]
    co_varnames: list[str]
    co_filename: str
    co_name: str
    co_qualname: str
    co_firstlineno: int
    co_linetable: bytearray
    co_exceptiontable: bytearray
    co_freevars: list[str]
    co_cellvars: list[str]

    def __init__(self, initial_code: CodeType) -> None:
        self.initial_code = initial_code
        for name in self.args_name:
            value = getattr(initial_code, name)
            if isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, bytes):
                value = bytearray(value)
            setattr(self, name, value)

    def get_code(self) -> CodeType:
        """A new code object made of the attributes as they are now.

        What does not fit together raises what `code.replace` raises, ValueError or TypeError.
        """
        changes = {}
        for name in self.args_name:
            value = getattr(self, name)
            if isinstance(value, list):
                value = tuple(value)
            elif isinstance(value, bytearray):
                value = bytes(value)
            changes[name] = value
        return self.initial_code.replace(**changes)


def insert_op_debug(code: CodeType, offset: int) -> CodeType:
    """A copy of `code` with a DEBUG_OP before the instruction at `offset`, a byte offset as `dis` gives it.

    Jumps to the instruction land on the DEBUG_OP. Raises ValueError when no instruction is at `offset`, or when it
    has to follow the one before it at once; the message says why.
    """
    return _core.insert_debug_op(code, [offset])


def insert_op_debug_list(code: CodeType, offsets: Iterable[int]) -> CodeType:
    """`insert_op_debug` for several instructions at once.

    All offsets are those of `code` itself, in any order; naming one twice has no effect.
    """
    return _core.insert_debug_op(code, list(offsets))


def add_debug_op_everywhere(code: CodeType, *, nested: bool = False) -> CodeType:
    """A copy of `code` with a DEBUG_OP before every instruction that may have one.

    With `nested`, nested code objects have them too.

    None may stand before the first RESUME of a code object, between the parts of a call
    (3.11, 3.12), before END_FOR and what belongs to it, before the RESUME that follows a YIELD_VALUE, before
    NOT_TAKEN (3.14 and later), before SEND (3.11, 3.12), and in code that nothing leads to.
    """
    return _core.insert_debug_op(code, None, nested=nested)


def transform_code(
    code: CodeType, transform: Callable[[CodeType], CodeType] = add_debug_op_everywhere, add_stacksize: int = 0
) -> CodeType:
    """What `transform` makes of `code` when that may use `add_stacksize` more slots of the value stack.

    `transform` takes a code object and returns one. The functions of this module see to the stack size themselves.
    """
    if add_stacksize:
        code = code.replace(co_stacksize=code.co_stacksize + add_stacksize)
    return transform(code)


class FrameAnalyser:
    """Tells what a frame that executes DEBUG_OP is about to do."""

    def __init__(self, frame: FrameType) -> None:
        self.frame = frame

    def next_instr(self) -> dis.Instruction:
        """The instruction that is about to be executed, as `dis` describes it: `offset`, `opname`, `arg`, `argval`, ….

        The offset is that in the code object into which the DEBUG_OPs were inserted. For a frame that does not
        execute DEBUG_OP, such as the caller of the one that does, it is the instruction that is being executed.
        Raises ValueError when the frame has not started yet.
        """
        announced = _announced.get(self.frame)
        code, offset = announced or _core.source_instruction(self.frame)
        return _instructions(code)[offset]


# The instruction that a Trace is reporting of a frame: its code object and offset. One DEBUG_OP can speak for several
# instructions, which the frame itself does not tell apart.
_announced: dict[FrameType, tuple[CodeType, int]] = {}

# The instructions of code objects by offset. The key is the address, so the code object is kept beside them.
_disassembled: dict[int, tuple[CodeType, dict[int, dis.Instruction]]] = {}
_DISASSEMBLED_MAX = 512


def _instructions(code: CodeType) -> dict[int, dis.Instruction]:
    known = _disassembled.get(id(code))
    if known is None:
        if len(_disassembled) >= _DISASSEMBLED_MAX:
            _disassembled.clear()
        known = (code, {instruction.offset: instruction for instruction in dis.get_instructions(code)})
        _disassembled[id(code)] = known
    return known[1]


class StackView(list[Any]):
    """The value stack as a list, top of stack first, None for empty slots; assigning to an item changes the program.

    `stack[0] = value` replaces the value on top of the traced frame's stack, while the callback that got the list
    runs. The interpreter trusts the compiler about some slots, the iterator of a `for` loop for instance: TypeError
    for a value that it could not survive, and for everything that would change the number of slots. Afterwards the
    list remains what it was, and assignment raises `debugop.StaleStep`. `list(stack)` is a copy without ties.
    """

    __slots__ = ("_stack",)

    def __init__(self, stack: _core.Stack) -> None:
        slots = list(stack)
        super().__init__(None if slot is _core.NULL else slot for slot in reversed(slots))
        self._stack = stack

    def __setitem__(self, index: SupportsIndex | slice, value: Any) -> None:
        """Puts `value` on the traced frame's stack; for a slice as many values as it has items."""
        if isinstance(index, slice):
            positions, values = range(len(self))[index], list(value)
            if len(positions) != len(values):
                self._fixed_length()
            for position, one in zip(positions, values, strict=True):
                self[position] = one
            return
        position = range(len(self))[index]
        self._stack[len(self) - 1 - position] = value
        super().__setitem__(position, value)

    def _fixed_length(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("a value stack keeps its length and order; list(stack) is a list of its own")

    append = extend = insert = pop = remove = clear = reverse = sort = _fixed_length
    __delitem__ = __iadd__ = __imul__ = _fixed_length

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return list, (list(self),)


class Trace:
    """Calls `callback` before each instruction of a function, and of those that are added.

    Subclasses define `callback`, and what they need of `initialize_trace` and `do_report`. The functions are probed
    while `call` runs and have their own code back afterwards.
    """

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func
        self._lock = threading.RLock()
        self._functions: list[FunctionType] = []
        self._tracer: _core.Tracer | None = None
        self._calls = 0
        self.initialize_trace()
        if not self.add_func_to_trace(func):
            raise TypeError(f"there is no bytecode to trace in {_core.short_repr(func)}")

    def initialize_trace(self) -> None:
        """Called once, before anything is traced; for subclasses."""

    def callback(self, stack: StackView, frame: FrameType, exc: BaseException | None) -> None:
        """Called when an instruction is about to be executed; for subclasses.

        `stack` is the value stack, top first. `exc` is the exception that has just arrived at a handler, whose first
        instruction is about to be executed; or, with an empty stack, the one that the instruction has raised and that
        is about to leave the frame; otherwise None. An exception raised here is raised in the program, at the
        instruction. What the callback calls is not reported to it.
        """

    def do_report(self) -> None:
        """Shows what was seen; for subclasses."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function with `callback` armed; returns its result, or the Exception that it raised."""
        self._arm()
        try:
            return self.func(*args, **kwargs)
        except Exception as error:
            return error
        finally:
            self._disarm()

    def add_func_to_trace(self, func: Callable[..., Any]) -> bool:
        """Traces what calling `func` enters: a function's own code, a class's `__init__`, the function behind a method.

        Whether there was anything that is not traced already. Works before `call` and while it runs.
        """
        added = False
        with self._lock:
            for function in _core.python_functions(func):
                if any(function is known for known in self._functions):
                    continue
                if self._tracer is not None:
                    self._tracer.watch_function(function)
                self._functions.append(function)
                added = True
        return added

    def do_auto_follow(self, stack: list[Any], frame: FrameType) -> None:
        """If `frame` is about to make a call, traces what it calls, until `call` ends; to be called by `callback`.

        Code that no compiler has written and that cannot be analysed is left alone.
        """
        instruction = FrameAnalyser(frame).next_instr()
        index = _core.callable_index(instruction.opcode, instruction.arg or 0)
        if index is None or index >= len(stack):
            return
        called = stack[index - 1] if stack[index] is None and index > 0 else stack[index]
        with self._lock:
            for function in _core.python_functions(called):
                if self._tracer is not None:
                    self._follow(self._tracer, function)

    @staticmethod
    def _follow(tracer: _core.Tracer, function: FunctionType) -> None:
        """Traces `function` without keeping it alive: a closure must die when it would."""
        try:
            probed = tracer.watch(function.__code__, str(function.__globals__.get("__name__", "")))
        except ValueError:  # the code cannot be analysed
            return
        if probed is not function.__code__:
            function.__code__ = probed

    def _report(self, step: _core.Step) -> None:
        frame = step.frame
        _announced[frame] = (step.code, step.instruction.offset)
        try:
            self.callback(StackView(step.stack), frame, step.exception)
        finally:
            del _announced[frame]

    def _arm(self) -> None:
        with self._lock:
            if self._tracer is None:
                tracer = _core.Tracer(self._report)
                try:
                    for function in self._functions:
                        tracer.watch_function(function)
                except BaseException:
                    tracer.stop()
                    raise
                self._tracer = tracer
            self._calls += 1

    def _disarm(self) -> None:
        with self._lock:
            self._calls -= 1
            if self._calls == 0 and self._tracer is not None:
                tracer, self._tracer = self._tracer, None
                tracer.stop()


class DummyTrace(Trace):
    """Reports every instruction of a function and of all Python functions that it calls, as the article shows it.

    Values are shown without running their `__repr__`. The lines are in `report`; `do_report` prints them.
    """

    report: list[str]

    def initialize_trace(self) -> None:
        """Begins with an empty report."""
        self.report = []
        self._last_frame: int | None = None

    def callback(self, stack: StackView, frame: FrameType, exc: BaseException | None) -> None:
        """Adds the instruction to the report, and follows calls."""
        instruction = FrameAnalyser(frame).next_instr()
        name, number = frame.f_code.co_name, id(frame)
        lines = []
        if exc is None and _enters(instruction):
            lines.append(f"=== Entering New Frame {name} ({number}) ===")
        elif number != self._last_frame:
            lines.append(f"=== Returning to Frame {name} {number} ===")
        self._last_frame = number
        if exc is not None:
            lines.append(f"=== Exception {_core.short_repr(exc)} ===")
        lines.append(f"[{', '.join(map(_core.short_repr, stack))}]")
        arg = "" if instruction.arg is None else instruction.arg
        argval = "" if instruction.arg is None else _core.short_repr(instruction.argval)
        lines.append(f"{instruction.offset:8}  {instruction.opname:<28}{arg:<8}{argval}".rstrip())
        self.report.extend(lines)
        self.do_auto_follow(stack, frame)

    def do_report(self, file: TextIO | None = None) -> None:
        """Prints the report to `file`, standard output if None."""
        for line in self.report:
            print(line, file=file)


def _enters(instruction: dis.Instruction) -> bool:
    """Whether a frame begins with this instruction; the low two bits say where a RESUME stands, 0: at the start."""
    return instruction.opname == "RESUME" and instruction.arg is not None and instruction.arg & 3 == 0
