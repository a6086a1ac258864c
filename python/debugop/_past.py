"""The console over a recording: `pdb`'s commands, and their reverses."""

from __future__ import annotations

import linecache
import os
import sys
from types import SimpleNamespace
from typing import Any

from debugop import _core, _standard
from debugop._past_stops import Stops, module
from debugop._past_values import Evaluator, Recorded, Unknown, lift, pretty

_Pdb: Any = module.Pdb

CONTEXT = 5
"""How many instructions `dis` shows before and after the current one."""
HOPS = 20
"""How many hops `origin` follows."""


class PastFrame:
    """A recorded frame at a moment, as far as `pdb` asks for frames."""

    f_trace = None
    f_builtins: dict[str, Any] = {}

    def __init__(self, console: PastConsole, moment: Any, index: int, back: PastFrame | None) -> None:
        self.number, code, line, self.f_lasti = moment.frames[index]
        self.f_code = console.codes[code]
        # What has no line is shown at the function's first one.
        self.f_lineno = line or self.f_code.co_firstlineno
        self.f_back = back
        self.f_globals = console.convenience
        self.moment, self.index = moment, index
        self._locals: dict[str, Any] | None = None

    @property
    def f_locals(self) -> dict[str, Any]:
        """The variables that are bound, by name."""
        if self._locals is None:
            self._locals = {name: lift(value) for name, value in self.moment.locals(self.index).items()}
        return self._locals

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PastFrame) and other.number == self.number

    def __hash__(self) -> int:
        return hash(self.number)


class PastConsole(Stops, _Pdb):  # type: ignore[misc]
    """`pdb.Pdb` that looks at a recording, in which it can go to any step."""

    def __init__(self, path: str, **options: Any) -> None:
        self.past = _core.Past(path)
        self.path = path
        self.steps: int = self.past.steps
        self.codes = {code[0]: _code(*code) for code in self.past.codes()}
        # What `$name` stands for, under the name that `pdb` has for them.
        self.convenience: dict[str, Any] = {"__pdb_convenience_variables": {}, "__name__": None}
        self._bound: dict[tuple[str, str], list[tuple[int, int, Any]]] = {}
        self._going: tuple[str, bool, int] | int | None = None
        self._event = "line"
        self._by_instruction = False
        self._said: set[str] = set()
        self.quitting = False
        self.step = 0
        super().__init__(**options)
        self.prompt = "(Pdb) "
        self._keep_sources()

    # Sources: those of the recording, or the files as they are now.

    def _keep_sources(self) -> None:
        self._sources = set()
        for name, text in self.past.sources():
            lines = _decoded(text).splitlines(keepends=True)
            linecache.cache[name] = (len(text), None, lines, name)
            self._sources.add(name)

    def _about_source(self, name: str) -> None:
        """Says, once for each file, if what is shown of it may be something else than what ran."""
        if name in self._sources or name in self._said or not os.path.exists(name):
            return
        self._said.add(name)
        newer = os.path.getmtime(name) > os.path.getmtime(self.path)
        how = "has changed since" if newer else "is shown as it is now"
        self.message(f"*** the recording does not hold the source: {name} {how}")

    def canonic(self, filename: str) -> str:
        return filename

    def lookupmodule(self, filename: str) -> str | None:
        names = sorted({code.co_filename for code in self.codes.values()})
        for end in (filename, f"{filename}.py"):
            for name in names:
                if name == end or name.endswith(os.sep + end):
                    return str(name)
        return None

    # Going to a step and showing it.

    def begin(self, step: int) -> None:
        """Talk about the moments of the recording, this one first."""
        if not self.steps:
            self.message("The recording has no steps.")
            return
        if step == 0:
            # As `pdb`, before the first line.
            first = self.past.search(0, "line", False).find()
            step = 0 if first is None else first["step"]
        self._show(step)
        while not self.quitting:
            self._cmdloop()
            if not self.quitting:
                self._go()

    def _show(self, step: int, said: tuple[str, ...] = (), *, prints: bool = True) -> None:
        self.step = max(0, min(step, self.steps - 1))
        moment = self.past.at(self.step)
        self.moment = moment
        self.stack, back = [], None
        for index in range(len(moment.frames)):
            back = PastFrame(self, moment, index, back)
            self.stack.append((back, back.f_lineno))
        self.curindex = len(self.stack) - 1
        self.lineno = None
        self.curframe = self.stack[self.curindex][0]
        self.curframe_locals = self.curframe.f_locals
        self._event = self._event_here()
        if self._event == "return":
            stack = moment.stack(self.curindex)
            if stack:
                self.curframe.f_locals["__return__"] = lift(stack[-1])
        if self.rcLines:
            self.cmdqueue = [line for line in self.rcLines if line.strip() and not line.strip().startswith("#")]
            self.rcLines = []
        for line in said:
            self.message(line)
        if prints:
            self.print_stack_entry(self.stack[self.curindex])
            self._display_again()

    def frame_at(self, moment: Any) -> PastFrame:
        """The frame that runs at a moment."""
        return PastFrame(self, moment, len(moment.frames) - 1, None)

    def setup(self, frame: Any, traceback: Any = None) -> None:
        """Where `pdb` would look at the program anew: the moment stays."""

    def _display_again(self) -> None:
        show = getattr(self, "_show_display", None)
        if show is not None:
            show()

    def _event_here(self) -> str:
        opname = self._instruction(self.curframe)[1]
        if opname in ("RETURN_VALUE", "RETURN_CONST"):
            return "return"
        return "call" if self._is_start() else "line"

    def _is_start(self) -> bool:
        offset, opname, arg, _, _ = self._instruction(self.curframe)
        return opname == "RESUME" and (arg or 0) & 3 == 0 and offset == self.curframe.f_lasti

    def _instruction(self, frame: PastFrame) -> tuple[int, str, int | None, str, int | None]:
        for one in self._instructions(frame.f_code):
            if one[0] >= frame.f_lasti:
                return one
        return (frame.f_lasti, "", None, "", None)

    def _instructions(self, code: Any) -> list[Any]:
        if code.instructions is None:
            code.instructions = self.past.instructions(code.number)
        found: list[Any] = code.instructions
        return found

    def print_stack_entry(self, frame_lineno: Any, *arguments: Any, **keywords: Any) -> Any:
        frame = frame_lineno[0]
        self._about_source(frame.f_code.co_filename)
        super().print_stack_entry(frame_lineno, *arguments, **keywords)
        newest = bool(self.stack) and frame is self.stack[-1][0]
        has_source = frame.f_lineno and linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if (newest and self._by_instruction) or not has_source:
            self.message(_described(self._instruction(frame)))

    def _go(self) -> None:
        going, self._going = self._going, None
        if going is None:
            return
        if isinstance(going, int):
            self._show(going)
            return
        motion, backwards, line = going
        try:
            self._travel(motion, backwards, line)
        except KeyboardInterrupt:
            self._show(self.step, ("--KeyboardInterrupt--",))

    def _resume(self, motion: str, *, backwards: bool = False, line: int = 0) -> int:
        self._going = (motion, backwards, line)
        self._by_instruction = motion.startswith("instruction")
        return 1

    def _without_argument(self, arg: str) -> bool:
        if arg:
            self.error(f"Invalid argument: {arg}")
        return not arg

    # Stepping.

    def do_step(self, arg: str) -> Any:
        """s(tep)

        Go to the next line, also of a function that is called, or to a
        function's beginning or end.
        """
        return self._without_argument(arg) and self._resume("line") or None

    do_s = do_step

    def do_next(self, arg: str) -> Any:
        """n(ext)

        Go to the next line of this function, or to its end.
        """
        return self._without_argument(arg) and self._resume("line over") or None

    do_n = do_next

    def do_stepi(self, arg: str) -> Any:
        """si | stepi

        Go to the next instruction.
        """
        return self._without_argument(arg) and self._resume("instruction") or None

    do_si = do_stepi

    def do_nexti(self, arg: str) -> Any:
        """ni | nexti

        Go to the next instruction of this function, or of its caller.
        """
        return self._without_argument(arg) and self._resume("instruction over") or None

    do_ni = do_nexti

    def do_return(self, arg: str) -> Any:
        """r(eturn)

        Go to where the current function returns.
        """
        return self._without_argument(arg) and self._resume("out") or None

    do_r = do_return

    def do_until(self, arg: str) -> Any:
        """unt(il) [lineno]

        Go to a line of this function that is greater than the current one,
        or at least the given one, or to the function's end.
        """
        line = (self.curframe.f_lineno or 0) + 1
        if arg:
            try:
                line = int(arg)
            except ValueError:
                self.error(f"Error in argument: {arg!r}")
                return None
            if line <= (self.curframe.f_lineno or 0):
                self.error('"until" line number is smaller than current line number')
                return None
        return self._resume("until", line=line)

    do_unt = do_until

    def do_continue(self, arg: str) -> Any:
        """c(ont(inue))

        Go to the next breakpoint, watchpoint or catchpoint, or to the
        recording's end.
        """
        return self._without_argument(arg) and self._resume("breaks") or None

    do_c = do_cont = do_continue

    def do_rs(self, arg: str) -> Any:
        """rs | reverse-step

        Go back to the line before, also of a function that was called.
        """
        return self._without_argument(arg) and self._resume("line", backwards=True) or None

    def do_rn(self, arg: str) -> Any:
        """rn | reverse-next

        Go back to the line before of this function; at its beginning to
        the line that called it.
        """
        return self._without_argument(arg) and self._resume("line over", backwards=True) or None

    def do_rsi(self, arg: str) -> Any:
        """rsi | reverse-stepi

        Go back one instruction.
        """
        return self._without_argument(arg) and self._resume("instruction", backwards=True) or None

    def do_rni(self, arg: str) -> Any:
        """rni | reverse-nexti

        Go back one instruction of this function, over what it called.
        """
        return self._without_argument(arg) and self._resume("instruction over", backwards=True) or None

    def do_rfinish(self, arg: str) -> Any:
        """rfinish | reverse-finish

        Go back to the call of the current function.
        """
        return self._without_argument(arg) and self._resume("out", backwards=True) or None

    def do_rc(self, arg: str) -> Any:
        """rc | reverse-continue

        Go back to the previous breakpoint, watchpoint or catchpoint, or to
        the recording's beginning.
        """
        return self._without_argument(arg) and self._resume("breaks", backwards=True) or None

    def do_goto(self, arg: str) -> Any:
        """goto step

        Go to a step of the recording. Steps are numbered from 0; negative
        numbers count from the end. "goto start" and "goto end" go to the
        first and the last one.
        """
        text = {"start": "0", "end": "-1"}.get(arg, arg)
        try:
            step = int(text)
        except ValueError:
            self.error(f"The number of a step is needed: {arg!r}" if arg else "The number of a step is needed")
            return None
        if not -self.steps <= step < self.steps:
            self.error(f"There is no step {step}: the recording has {self.steps} steps, numbered from 0")
            return None
        self._going = step % self.steps
        return 1

    def do_when(self, arg: str) -> None:
        """when

        Say which step this is, in which thread, and at what time of the run.
        """
        if self._without_argument(arg):
            self.message(f"step {self.step} of {self.steps}, {self._thread()}, {self.moment.time / 1e9:.6f} s")

    def _thread(self) -> str:
        for number, native, name, runs, _ in self.moment.threads:
            if runs:
                return f"thread {number} ({name or native})"
        return "no thread"

    def do_threads(self, arg: str) -> None:
        """threads

        List the threads with recorded frames, and where each of them is.
        """
        if not self._without_argument(arg):
            return
        for number, native, name, runs, frames in self.moment.threads:
            where = "no recorded frame"
            if frames:
                file, line, function = frames[-1]
                where = f"{file}({line})" if function == "<module>" else f"{file}({line}){function}()"
            self.message(f"{'>' if runs else ' '} {number} {name or native}: {where}")

    def do_info(self, arg: str) -> None:
        """info

        Say what the recording is of.
        """
        if self._without_argument(arg):
            command, version, status = self.past.run
            self.message(f"{self.path}: {self.steps} steps of {' '.join(command)}")
            ended = "how it ended is not recorded" if status is None else f"exit status {status}"
            self.message(f"CPython {'.'.join(map(str, version))}, {ended}")

    # Values.

    def _evaluator(self, frame: PastFrame) -> Evaluator:
        return Evaluator(lambda name: self._value_of(frame, name))

    def _value_of(self, frame: PastFrame, name: str) -> Any:
        if name in frame.f_locals:
            return frame.f_locals[name]
        if name in self.convenience:
            return self.convenience[name]
        return lift(self._global(frame, name))

    def _global(self, frame: PastFrame, name: str) -> Any:
        file, step = frame.f_code.co_filename, self.step
        known = self._bound.setdefault((file, name), [])
        for first, last, value in known:
            if first < step <= last:
                return value.at(self.moment)
        try:
            value = self.past.global_value(step, file, name)
        except KeyError:
            raise Unknown(f"name {name!r} is not recorded here") from None
        known.append((value.step, step, value))
        return value.at(self.moment)

    def _getval(self, arg: str) -> Any:
        try:
            return self._evaluator(self.curframe).value(arg)
        except (Exception, KeyboardInterrupt) as error:
            self.error(_said(error))
            raise

    def _getval_except(self, arg: str, frame: Any = None) -> Any:
        try:
            return self._evaluator(frame or self.curframe).value(arg)
        except Exception as error:
            return module._rstr(f"** {_said(error)} **")

    def _exec_or_value(self, line: str) -> None:
        target, equals, text = line.partition("=")
        name = target.strip().removeprefix('__pdb_convenience_variables["').removesuffix('"]')
        if equals and name.isidentifier() and name != target.strip():
            self.convenience["__pdb_convenience_variables"][name] = self._getval(text)
            return
        value = self._getval(line)
        if value is not None:
            self.message(repr(value))

    def default(self, line: str) -> None:
        line = line.removeprefix("!").strip()
        if hasattr(self, "_replace_convenience_variables"):
            line = self._replace_convenience_variables(line)
        try:
            self._exec_or_value(line)
        except (Exception, KeyboardInterrupt):
            return  # `_getval` has printed it

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
            self.message(f"{number:>5} {'->' if one[0] == at else '':>2} {_described(one)}".rstrip())

    def do_origin(self, arg: str) -> None:
        """origin variable

        Say where the value of a local variable comes from, hop by hop, from
        the instruction that made it.
        """
        try:
            hops = self.past.origin(self.step, self.curframe.index, arg.strip(), HOPS)
        except KeyError:
            self.error(f"{arg!r} is no local variable of this function" if arg else "A variable is needed")
            return
        if not hops:
            self.message("Where it comes from is not recorded.")
        for hop in hops:
            self.message(f"{_located(hop)}  {hop['kind']} {hop['value'].short(60)}")

    def do_writes(self, arg: str) -> None:
        """writes place

        List what has bound a variable, an attribute (`a.b`) or an item
        (`d['k']`) until now. "goto" with the step goes there.
        """
        try:
            writes = self.past.writes(self.step, self.curframe.index, arg.strip(), self.step)
        except (ValueError, KeyboardInterrupt) as error:
            self.error(_said(error))
            return
        if not writes:
            self.message("Nothing has bound it.")
        for write in writes:
            value = "" if write["value"] is None else f" {write['value'].short(60)}"
            self.message(f"{_located(write)}  {write['how']}{value}")

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

    # What asks for a running program.

    def _not_here(self, _arg: str) -> None:
        """Not possible: a recording is looked at, nothing in it runs."""
        self.error("A recording can be looked at only: nothing in it runs.")

    do_jump = do_j = do_run = do_restart = do_debug = do_interact = do_exceptions = _not_here

    def do_quit(self, arg: str) -> Any:
        """q(uit) | exit

        Quit.
        """
        self.quitting = True
        return 1

    do_q = do_exit = do_quit

    def do_EOF(self, arg: str) -> Any:
        """EOF

        Quit.
        """
        self.message("")
        return self.do_quit(arg)

    def _print_lines(self, lines: list[str], start: int, *arguments: Any) -> Any:
        self._about_source(self.curframe.f_code.co_filename)
        return super()._print_lines(lines, start, *arguments)

    def parseline(self, line: str) -> Any:
        name, _, rest = line.strip().partition(" ")
        return super().parseline(f"{_ALIASES[name]} {rest}" if name in _ALIASES else line)


_ALIASES = {
    "reverse-step": "rs",
    "reverse-next": "rn",
    "reverse-stepi": "rsi",
    "reverse-nexti": "rni",
    "reverse-finish": "rfinish",
    "reverse-continue": "rc",
}

# From 3.13 on `pdb` knows by these which commands end a list of `commands`.
if hasattr(_Pdb, "commands_resuming"):
    _going = ("stepi", "nexti", "rs", "rn", "rsi", "rni", "rfinish", "rc", "goto")
    PastConsole.commands_resuming = [*_Pdb.commands_resuming, *(f"do_{name}" for name in _going)]


def _code(number: int, file: str, qualname: str, first: int, lines: list[int]) -> Any:
    return SimpleNamespace(
        number=number,
        co_filename=file,
        co_qualname=qualname,
        co_name=qualname.rpartition(".")[2],
        co_firstlineno=first,
        lines=lines,
        instructions=None,
    )


def _is_called(qualname: str, name: str) -> bool:
    return qualname == name or qualname.endswith("." + name)


def _described(instruction: tuple[int, str, int | None, str, int | None]) -> str:
    offset, opname, arg, told, _ = instruction
    text = "" if arg is None else str(arg)
    if told:
        text += f" ({told})"
    return f"{offset:>6} {opname:<28} {text}".rstrip()


def _located(found: dict[str, Any]) -> str:
    file = os.path.basename(found.get("file", "?"))
    return f"{found['step']:>8} {file}({found.get('line')}){found.get('function')}() {found.get('opname')}"


def _said(error: BaseException) -> str:
    if isinstance(error, (Unknown, ValueError)) and not isinstance(error, UnicodeError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "--KeyboardInterrupt--"
    return f"{type(error).__name__}: {error}"


def _decoded(text: bytes) -> str:
    """A source as text, by its declaration; what is not in that encoding is shown replaced."""
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text).readline)
    except SyntaxError:
        encoding = "utf-8"
    return text.decode(encoding, "replace").replace("\r\n", "\n")


def main(path: str, commands: list[str], *, at_failure: bool = False) -> int:
    """Talk about the recording at `path`; returns the exit status."""
    try:
        console = PastConsole(path)
    except (OSError, ValueError) as error:
        print(f"debugop: {error}", file=sys.stderr)
        return 1
    console.rcLines.extend(commands)
    step = 0
    if at_failure:
        failure = console.past.failure()
        step = console.steps - 1 if failure is None else failure[0]
        if failure is not None:
            console.message(f"{path}: {failure[1].short(200)}")
    console.begin(step)
    return 0
