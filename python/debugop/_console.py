"""The console: this Python's own `pdb`, on debugop's `bdb`, with commands for what happens between lines."""

import inspect
import linecache
import os
import re
import sys
from types import CodeType, FunctionType
from typing import Any

from debugop import _core, _standard, bdb
from debugop._children import Children
from debugop._places import described
from debugop._stops import Stops
from debugop._terminal import Terminal
from debugop._threads import Threads

module: Any = _standard.load("pdb", bdb=bdb)
"""The standard library's `pdb`, whose functions make consoles."""
_Pdb: Any = module.Pdb
# It shows where it is `if self.stop_here(frame)` (`Lib/pdb.py`, 3.11-3.15).
bdb.only_stops(_Pdb.user_call)

# A script's `__main__` has it under `python`, and `multiprocessing` looks for it (until 3.12, `Lib/pdb.py` leaves it out).
_namespace_of_script: Any = module._ScriptTarget.namespace.fget
module._ScriptTarget.namespace = property(lambda self: {"__spec__": None, **_namespace_of_script(self)})

# What goes back in a session with history, and in a recording.
_BACKWARDS = frozenset(
    "rs rn rsi rni rfinish rc goto when writes origin reverse-step reverse-next reverse-stepi reverse-nexti reverse-finish reverse-continue".split()
)

_COMMAND = re.compile(r"(reverse-\w+|\w+)(\s+[^=].*)?")

CONTEXT = 5
"""How many instructions `dis` shows before and after the current one."""

COROUTINES = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Console(Stops, Threads, Children, Terminal, _Pdb):  # type: ignore[misc]
    """`pdb.Pdb` with `stepi`, `nexti`, `stack`, `setstack`, `dis`, and the commands of `Stops`, `Threads` and `Children`."""

    # See `debugop.bdb.Bdb`.
    _by_instruction: bool

    # How the newest frame came to stop: at a "line" or instruction, at a "return", or because of an "exception".
    _event = "line"
    # The instruction that was shown last, after `stepi` and `nexti`: one that a line begins with is told of again.
    _shown: tuple[Any, int] | None = None

    # Whether every stop shows its instruction, and not only those between lines.
    _shows_instructions = False

    # Arguments of the program that runs first.
    _arguments: list[str] | None = None

    def _run(self, target: Any) -> Any:
        if Console._arguments is not None:
            sys.argv[1:], Console._arguments = Console._arguments, None
        return super()._run(target)

    # What is stopped by, and where.

    def user_line(self, frame: Any) -> Any:
        self._event = "line"
        return super().user_line(frame)

    if hasattr(_Pdb, "user_opcode"):
        user_opcode = user_line

    @bdb.only_stops
    def user_call(self, frame: Any, argument_list: Any) -> Any:
        self._event = "line"
        return super().user_call(frame, argument_list)

    def user_return(self, frame: Any, return_value: Any) -> Any:
        self._event = "return"
        return super().user_return(frame, return_value)

    def user_exception(self, frame: Any, exc_info: Any) -> Any:
        stopped = self.stopframe
        if stopped is not None and frame is not stopped and stopped.f_code.co_flags & COROUTINES:
            # `bdb` takes the end of any coroutine for that of the one that is stepped through. That one only waits.
            ends = exc_info[0] in (StopIteration, StopAsyncIteration, GeneratorExit)
            if ends and not _core.frame_is_over(stopped):
                return None
        self._event = "exception"
        return super().user_exception(frame, exc_info)

    def print_stack_entry(self, frame_lineno: Any, *arguments: Any, **keywords: Any) -> Any:
        super().print_stack_entry(frame_lineno, *arguments, **keywords)
        frame = frame_lineno[0]
        shown = self._shows_instructions or self._by_instruction or self._at_an_instruction
        if shown and self.stack and frame is self.stack[-1][0] and self._event == "line":
            instruction = _current(frame)
            if instruction is not None:
                underline = _underline(frame.f_code, instruction, frame_lineno[1], frame.f_globals)
                if underline:
                    self.message(underline)
                self.message(f"{instruction.offset:>6} {described(instruction)}")

    def interaction(self, *arguments: Any, **keywords: Any) -> Any:
        self._tell_thread()
        self._before_commands(arguments[0] if arguments else None)
        self._keep_program_handler()
        self._warn_of_changed_source(arguments[0] if arguments else None)
        try:
            return super().interaction(*arguments, **keywords)
        finally:
            self._forget_threads()
            self._after_commands()

    if sys.version_info[:2] == (3, 13):

        def forget(self) -> None:
            super().forget()
            # It holds the frame (see `bdb.Bdb.set_continue`).
            self.curframe_locals: Any = {}

    def default(self, line: str) -> Any:
        command = _COMMAND.fullmatch(line.strip())
        if command is not None and command[1] in _BACKWARDS and not self._is_variable(command[1]):
            self.error(f"There is no history here, which {command[1]} is about: debugop debug --history keeps it")
            return None
        return super().default(line)

    def _is_variable(self, name: str) -> bool:
        frame = self.curframe
        # Asking a frame for them would undo assignments at the prompt, until 3.12.
        known = getattr(self, "curframe_locals", None)
        return frame is not None and (name in (frame.f_locals if known is None else known) or name in frame.f_globals)

    # Going from instruction to instruction.

    def _set_stopinfo(self, *arguments: Any, **keywords: Any) -> None:
        if self._by_instruction:
            self._by_instruction, self._shown = False, None
            self._want_opcodes(self.stack[-1][0] if self.stack else None, False)
        super()._set_stopinfo(*arguments, **keywords)

    def _go_by_instruction(self) -> None:
        self._by_instruction = Stops._has_gone_by_instruction = True
        frame = self.stack[-1][0]
        self._shown = (frame, frame.f_lasti)
        if frame.f_trace is None:
            frame.f_trace = self.trace_dispatch
        self._want_opcodes(frame, True)
        _core.session_changed(self, False)

    def _want_opcodes(self, frame: Any, wanted: bool) -> None:
        while frame is not None and frame is not self.botframe:
            frame.f_trace_opcodes = wanted
            frame = frame.f_back

    def _at_instruction(self, frame: Any) -> None:
        shown, self._shown = self._shown, None
        if self.quitting:
            raise bdb.BdbQuit
        if shown == (frame, frame.f_lasti) or not self.stop_here(frame):
            return
        self.user_line(frame)
        if self.quitting:
            raise bdb.BdbQuit

    def do_stepi(self, arg: str) -> Any:
        """si | stepi

        Execute the current instruction and stop before the next one,
        also in a function that it calls.
        """
        if arg:
            self._print_invalid_arg_or(arg)
            return None
        if not self._is_live():
            return None
        self.set_step()
        self._go_by_instruction()
        return 1

    do_si = do_stepi

    def do_nexti(self, arg: str) -> Any:
        """ni | nexti

        Execute the current instruction and stop before the next one
        of this function, or when it returns.
        """
        if arg:
            self._print_invalid_arg_or(arg)
            return None
        if not self._is_live():
            return None
        if self._event == "return":
            self.set_step()
        else:
            self.set_next(self.curframe)
        self._go_by_instruction()
        return 1

    do_ni = do_nexti

    def _print_invalid_arg_or(self, arg: str) -> None:
        self.error(f"Invalid argument: {arg}")

    def _is_live(self) -> bool:
        """Whether there is something to go on with; says so if not."""
        if self.stack and self._running(self.stack[-1][0]):
            return True
        self.error("The program is not running.")
        return False

    @staticmethod
    def _running(frame: Any) -> bool:
        try:
            _core.frame_stack(frame, True)
        except RuntimeError:
            return False
        except ValueError:
            return True
        return True

    # What is between lines.

    def do_stack(self, arg: str) -> None:
        """stack

        Print the value stack of the current frame, its top first: what
        the next instruction finds there. Of a frame that has called
        another one, what its call has taken is left out. Empty slots are
        NULL. No `__repr__` of the program is run.
        """
        if arg:
            self._print_invalid_arg_or(arg)
            return
        newest = self.curframe is self.stack[-1][0]
        if newest and self._event == "return":
            self.message("The value stack is empty: the frame is left.")
            return
        try:
            slots = _core.frame_stack(self.curframe, not newest or self._event == "exception")
        except (RuntimeError, ValueError) as error:
            self.error(str(error))
            return
        if not slots:
            self.message("The value stack is empty.")
        for index, slot in reversed(list(enumerate(slots))):
            self.message(f"{index:>6} {'NULL' if slot is _core.NULL else _core.short_repr(slot)}")

    def do_setstack(self, arg: str) -> None:
        """setstack slot expression

        Put the value of an expression into a slot of the value stack, by
        its number in `stack`. Only the frame that is stopped can be
        changed, and only to what the instructions that use the slot can
        survive.
        """
        words = arg.split(None, 1)
        if len(words) < 2 or not words[0].isdecimal():
            self.error("setstack takes the number of a slot and an expression")
            return
        if not self._is_live():
            return
        if self.curframe is not self.stack[-1][0]:
            self.error(
                "Only the stack of the frame that is stopped can be changed: this one is inside of a call, which has its operands already."
            )
            return
        if self._event != "line":
            self.error("The instruction here has taken its operands already.")
            return
        try:
            value = self._getval(words[1])
        except Exception:
            return  # what was wrong has been printed
        try:
            _core.set_frame_slot(self.curframe, int(words[0]), value)
        except (RuntimeError, IndexError, ValueError, TypeError, OverflowError) as error:
            self.error(f"Slot {words[0]} cannot be set: {error}.")

    def complete_setstack(self, text: str, line: str, begidx: int, endidx: int) -> Any:
        return self._complete_expression(text, line, begidx, endidx)

    def do_dis(self, arg: str) -> None:
        """dis [all | expression]

        Disassemble around the current instruction, which is marked with
        "->": it is the next one to be executed, or in a frame that has
        called another one the one that has called. With "all" the whole
        function; with an expression the function, method or code object
        that it gives.
        """
        frame, first, last = self.curframe, None, None
        code, at = frame.f_code, frame.f_lasti
        if arg and arg != "all":
            try:
                value = self._getval(arg)
            except Exception:
                return  # what was wrong has been printed
            value = getattr(value, "__func__", value)
            value = value.__code__ if isinstance(value, FunctionType) else value
            if not isinstance(value, CodeType):
                self.error(f"This is no Python function or code object: {arg}")
                return
            at = at if value is code else -1
            code = value
        try:
            instructions = _core.instructions(code)
        except ValueError as error:
            self.error(str(error))
            return
        if not arg:
            here = [index for index, one in enumerate(instructions) if one.offset >= at][:1]
            first, last = (max(0, here[0] - CONTEXT), here[0] + CONTEXT + 1) if here else (None, None)
        line = None
        for one in instructions[first:last]:
            number = "" if one.line is None or one.line == line else one.line
            line = one.line
            mark = "->" if one.offset == at else ""
            self.message(f"{number:>5} {mark:>2} {one.offset:>6} {described(one)}".rstrip())

    complete_dis = _Pdb._complete_expression


def _current(frame: Any) -> Any:
    """The instruction that `frame` is at; None if that is none of a compiler's."""
    try:
        instructions = _core.instructions(frame.f_code)
    except ValueError:
        return None
    return next((one for one in instructions if one.offset >= frame.f_lasti), None)


def _underline(code: CodeType, instruction: Any, line: int, namespace: Any) -> str | None:
    """Marks under the source line the expression that `instruction` belongs to, as far as it is on this line."""
    positions = list(code.co_positions())
    index = instruction.offset // 2
    first, last, start, end = positions[index] if index < len(positions) else (None, None, None, None)
    if first != line or start is None or end is None:
        return None
    source = linecache.getline(code.co_filename, line, namespace)
    encoded = source.rstrip().encode()
    if last != first:
        end = len(encoded)
    indent = len(source) - len(source.lstrip())
    start, end = (len(encoded[:at].decode(errors="replace")) - indent for at in (start, end))
    if start < 0 or end <= start or (start == 0 and end >= len(source.strip())):
        return None
    return f"   {' ' * start}{'^' * (end - start)}"


if hasattr(_Pdb, "commands_resuming"):
    Console.commands_resuming = [*_Pdb.commands_resuming, "do_stepi", "do_nexti"]

# The standard library's functions make instances of what has this name.
Console.__name__ = Console.__qualname__ = "Pdb"
module.Pdb = Console


def main(commands: list[str], kind: str, target: str, arguments: list[str]) -> None:
    """Debug a "script" or "module", by the main program of the standard library's `pdb`.

    Which options of its command line are the program's differs between versions, so the program's are not on it.
    """
    options = [word for command in commands for word in ("-c", command)]
    if kind == "module":
        options.append("-m")
    elif target.startswith("-"):
        target = os.path.join(os.curdir, target)
    sys.argv = ["debugop debug", *options, target]
    Console._arguments = arguments
    Console._shows_instructions = Console._opens_terminal = True
    module.main()


set_trace: Any = module.set_trace
post_mortem: Any = module.post_mortem
pm: Any = module.pm
