"""Commands that look at a recorded moment."""

from __future__ import annotations

import linecache
import os
from typing import Any

from debugop._past_values import Recorded, Unknown, pretty

CONTEXT = 5
"""How many instructions `dis` shows before and after the current one."""
HOPS = 20
"""How many hops `origin` follows."""


class Looks:
    """What is shown of a moment."""

    past: Any
    step: int
    moment: Any
    curframe: Any
    codes: dict[int, Any]
    message: Any
    error: Any
    get_file_breaks: Any
    _getval: Any
    _msg_val_func: Any
    _print_lines: Any
    _instruction: Any
    _instructions: Any
    _without_argument: Any

    def do_pp(self, arg: str) -> None:
        """pp expression

        Print the value of the expression, on several lines if it is long.
        """
        self._msg_val_func(arg, pretty)

    def do_args(self, arg: str) -> None:
        """a(rgs)

        Print the arguments of the current function, as they are now.
        """
        if self._without_argument(arg):
            self._print_values(self.moment.locals(self.curframe.index, True))

    do_a = do_args

    def do_locals(self, arg: str) -> None:
        """locals

        Print the local variables of the current function that are bound.
        """
        if self._without_argument(arg):
            self._print_values(self.moment.locals(self.curframe.index))

    def _print_values(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            self.message(f"{name} = {value.data.short(200)}")

    def do_retval(self, arg: str) -> None:
        """retval

        Print what the current function is about to return.
        """
        if not self._without_argument(arg):
            return
        if "__return__" in self.curframe.f_locals:
            self.message(repr(self.curframe.f_locals["__return__"]))
        else:
            self.error("Not yet returned!")

    do_rv = do_retval

    def do_whatis(self, arg: str) -> None:
        """whatis expression

        Print the type of the expression's value.
        """
        try:
            value = self._getval(arg)
        except (Exception, KeyboardInterrupt):
            return  # it has been printed
        name = value.past.data.type_name if isinstance(value, Recorded) else type(value).__name__
        self.message(f"<class '{name}'>")

    def do_stack(self, arg: str) -> None:
        """stack

        Print the value stack of the current frame, its top first, with
        NULLs.
        """
        if not self._without_argument(arg):
            return
        slots = self.moment.stack(self.curframe.index)
        if not slots:
            self.message("The value stack is empty.")
        for index, slot in reversed(list(enumerate(slots))):
            self.message(f"{index:>6} {slot.data.short(60)}")

    def do_dis(self, arg: str) -> None:
        """dis [all]

        Disassemble around the current instruction, which is marked with
        "->", or with "all" the whole function.
        """
        if arg and arg != "all":
            self.error(f"Invalid argument: {arg}")
            return
        instructions = self._instructions(self.curframe.f_code)
        at = self._instruction(self.curframe)[0]
        here = next((index for index, one in enumerate(instructions) if one[0] == at), 0)
        shown = instructions if arg else instructions[max(0, here - CONTEXT) : here + CONTEXT + 1]
        line = None
        for one in shown:
            number = "" if one[4] is None or one[4] == line else one[4]
            line = one[4]
            self.message(f"{number:>5} {'->' if one[0] == at else '':>2} {described(one)}".rstrip())

    def do_origin(self, arg: str) -> None:
        """origin place

        Say where the value of a variable, an attribute (`a.b`), an item
        (`d['k']`) or a slot of the value stack (`stack[0]` is its top)
        comes from, hop by hop, from the instruction that made it.
        """
        if not arg:
            self.error("A place is needed: a variable, an attribute, an item, or stack[0]")
            return
        try:
            hops = self.past.origin(self.step, self.curframe.index, arg.strip(), HOPS)
        except (OSError, ValueError) as error:
            self.error(str(error))
            return
        if not hops:
            self.message("Where it comes from is not recorded.")
        for hop in hops:
            self.message(f"{located(hop)}  {hop['kind']} {hop['value'].short(60)}")
            if hop["ends"]:
                self.message(f"         ends here: {hop['ends']}")

    def do_writes(self, arg: str) -> None:
        """writes place

        List what has bound a variable, an attribute (`a.b`) or an item
        (`d['k']`) until now. "goto" with the step goes there.
        """
        try:
            writes = self.past.writes(self.step, self.curframe.index, arg.strip(), self.step)
        except (ValueError, KeyboardInterrupt) as error:
            self.error(said(error))
            return
        if not writes:
            self.message("Nothing has bound it.")
        for write in writes:
            value = "" if write["value"] is None else f" {write['value'].short(60)}"
            self.message(f"{located(write)}  {write['how']}{value}")

    # Sources of functions.

    def do_longlist(self, arg: str) -> None:
        """ll | longlist

        List the whole source code of the current function.
        """
        if not self._without_argument(arg):
            return
        code = self.curframe.f_code
        lines = linecache.getlines(code.co_filename)
        if not lines:
            self.error(f"the source of {code.co_filename} is neither in the recording nor there now")
            return
        first, last = (1, len(lines)) if code.co_name == "<module>" else (code.co_firstlineno, max(code.lines))
        self._print_lines(lines[first - 1 : last], first, self.get_file_breaks(code.co_filename), self.curframe)

    do_ll = do_longlist

    def do_source(self, arg: str) -> None:
        """source function

        List the source code of a recorded function.
        """
        code = self.function(arg.strip())
        if code is None:
            self.error(f"no function {arg!r} is in the recording" if arg else "The name of a function is needed")
            return
        lines = linecache.getlines(code.co_filename)
        first, last = code.co_firstlineno, max(code.lines, default=code.co_firstlineno)
        self._print_lines(lines[first - 1 : last], first)

    def function(self, name: str) -> Any:
        """The code of a recorded function: the newest with this qualified name, or with it at its end."""
        found = [code for code in self.codes.values() if name and _is_called(code.co_qualname, name)]
        return found[-1] if found else None


def _is_called(qualname: str, name: str) -> bool:
    return qualname == name or qualname.endswith("." + name)


def described(instruction: tuple[int, str, int | None, str, int | None]) -> str:
    offset, opname, arg, told, _ = instruction
    text = "" if arg is None else str(arg)
    if told:
        text += f" ({told})"
    return f"{offset:>6} {opname:<28} {text}".rstrip()


def located(found: dict[str, Any]) -> str:
    file = os.path.basename(found.get("file", "?"))
    return f"{found['step']:>8} {file}({found.get('line')}){found.get('function')}() {found.get('opname')}"


def said(error: BaseException) -> str:
    """What went wrong, for the prompt."""
    if isinstance(error, (Unknown, ValueError)) and not isinstance(error, UnicodeError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "--KeyboardInterrupt--"
    return f"{type(error).__name__}: {error}"
