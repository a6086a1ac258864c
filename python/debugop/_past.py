"""The console over a recording: `pdb`'s commands, and their reverses."""

from __future__ import annotations

import linecache
import os
import re
import sys
from types import SimpleNamespace
from typing import Any

from debugop import _core
from debugop._past_looks import Looks, described, said
from debugop._past_motions import Motions
from debugop._past_stops import Stops, module
from debugop._past_values import Evaluator, Statement, Unknown, lift

_Pdb: Any = module.Pdb


class PastFrame:
    """A recorded frame at a moment, as far as `pdb` asks for frames."""

    f_trace = None

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


class PastConsole(Motions, Looks, Stops, _Pdb):  # type: ignore[misc]
    """`pdb.Pdb` that looks at a recording, in which it can go to any step."""

    rcLines: list[str]

    # What is gone through, and what is said of commands that would change it.
    _beyond = "the recording"
    _unchangeable = "A recording can be looked at only: nothing in it runs."

    def __init__(self, path: str, present: Any = None, **options: Any) -> None:
        self._open(path, present)
        # What `$name` stands for, under the name that `pdb` has for them.
        self.convenience: dict[str, Any] = {"__pdb_convenience_variables": {}, "__name__": None}
        self._going: tuple[str, bool, int] | int | None = None
        self._event = "line"
        self._by_instruction = False
        self._said: set[str] = set()
        self.quitting = False
        self.step = 0
        self._has_shown = False
        super().__init__(**options)
        self.prompt = "(Pdb) "
        self._keep_sources()

    def _open(self, path: str, present: Any = None) -> None:
        self.past = _core.Past(path, present, getattr(self, "past", None))
        self.path = path
        self.steps: int = self.past.steps
        self.codes = {code[0]: _code(*code) for code in self.past.codes()}
        self._bound: dict[tuple[str, str], list[tuple[int, int, Any]]] = {}
        self._missing: list[tuple[int, str]] | None = None

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

    def _stand(self, step: int) -> None:
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
            self._keep_returned(moment.stack(self.curindex))

    def _show(self, step: int, told: tuple[str, ...] = (), *, prints: bool = True) -> None:
        before = self.step if self._has_shown else -1
        self._stand(step)
        self._has_shown = True
        if self.rcLines:
            self.cmdqueue = [line for line in self.rcLines if line.strip() and not line.strip().startswith("#")]
            self.rcLines = []
        self._say_what_is_missing(before, self.step)
        for line in told:
            self.message(line)
        if prints:
            self.print_stack_entry(self.stack[self.curindex])
            self._display_again()

    def _say_what_is_missing(self, before: int, now: int) -> None:
        """What is not in the recording between two steps."""
        if self._missing is None:
            self._missing = self.past.losses()
        first, last = sorted((before, now))
        for step, what in self._missing:
            # Behind the last step is shown with it.
            if first < min(step, self.steps - 1) <= last:
                self.message(f"*** missing at step {step}: {what}")

    def _keep_returned(self, stack: list[Any]) -> None:
        _, opname, _, told, _ = self._instruction(self.curframe)
        if opname == "RETURN_VALUE" and stack:
            self.curframe.f_locals["__return__"] = lift(stack[-1])
        elif opname == "RETURN_CONST":
            try:
                self.curframe.f_locals["__return__"] = Evaluator(str).value(told)
            except (SyntaxError, Unknown):
                return  # a constant that is cut, or has no literal

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
        one: tuple[int, str, int | None, str, int | None]
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
            self.message(described(self._instruction(frame)))

    def _go(self) -> None:
        going, self._going = self._going, None
        if going is None:
            return
        if isinstance(going, int):
            # A step is one instruction.
            self._by_instruction = True
            try:
                self._show(going)
            except (OSError, ValueError) as error:
                self.error(str(error))
            return
        motion, backwards, line = going
        try:
            self._travel(motion, backwards, line)
        except KeyboardInterrupt:
            self._show(self.step, ("--KeyboardInterrupt--",))
        except (OSError, ValueError) as error:
            # The recording is damaged there.
            self.error(str(error))

    def _resume(self, arg: str, motion: str, *, backwards: bool = False, line: int = 0) -> int | None:
        if not self._without_argument(arg):
            return None
        self._going = (motion, backwards, line)
        self._by_instruction = motion.startswith("instruction")
        return 1

    def _without_argument(self, arg: str) -> bool:
        if arg:
            self.error(f"Invalid argument: {arg}")
        return not arg

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
            if self._is_local(frame, name):
                raise Unknown(f"local variable {name!r} has no value here") from None
            raise Unknown(f"name {name!r} is not recorded here") from None
        known.append((value.step, step, value))
        return value.at(self.moment)

    def _is_local(self, frame: PastFrame, name: str) -> bool:
        """Whether the function has a variable of this name, as far as its instructions tell."""
        fast = (
            told
            for _, opname, _, told, _ in self._instructions(frame.f_code)
            if "_FAST" in opname or "_DEREF" in opname
        )
        return any(name in re.findall(r"\w+", told) for told in fast)

    def _getval(self, arg: str) -> Any:
        try:
            return self._evaluator(self.curframe).value(arg)
        except (Exception, KeyboardInterrupt) as error:
            self.error(self._unchangeable if isinstance(error, Statement) else said(error))
            raise

    def _getval_except(self, arg: str, frame: Any = None) -> Any:
        try:
            return self._evaluator(frame or self.curframe).value(arg)
        except Exception as error:
            return module._rstr(f"** {said(error)} **")

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

    # What asks for a running program.

    def _not_here(self, _arg: str) -> None:
        """Not possible: a recording is looked at, nothing in it runs."""
        self.error(self._unchangeable)

    do_jump = do_j = do_run = do_restart = do_debug = do_interact = do_exceptions = do_setstack = _not_here

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

    complete_origin = complete_watch = complete_writes = _Pdb._complete_expression

    def complete_goto(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        return [word for word in ("end", "start") if word.startswith(text)]

    def _print_lines(self, lines: list[str], start: int, *arguments: Any) -> Any:
        self._about_source(self.curframe.f_code.co_filename)
        return super()._print_lines(lines, start, *arguments)

    def parseline(self, line: str) -> Any:
        return super().parseline(without_dash(line))


_ALIASES = {
    "reverse-step": "rs",
    "reverse-next": "rn",
    "reverse-stepi": "rsi",
    "reverse-nexti": "rni",
    "reverse-finish": "rfinish",
    "reverse-continue": "rc",
}


def without_dash(line: str) -> str:
    """A command under the name that its method has."""
    name, _, rest = line.strip().partition(" ")
    return f"{_ALIASES[name]} {rest}" if name in _ALIASES else line


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
    try:
        step = 0
        if at_failure:
            failure = console.past.failure()
            step = console.steps - 1 if failure is None else failure[0]
            how = "how it failed is not in its last part" if failure is None else failure[1].short(200)
            console.message(f"{path}: {how}")
        console.begin(step)
    except (OSError, ValueError) as error:
        print(f"debugop: {error}", file=sys.stderr)
        return 1
    return 0
