"""Where the console over a recording stops: breakpoints, watchpoints, catchpoints, numbered in one row."""

from __future__ import annotations

import ast
import builtins
from typing import Any

from debugop import _standard
from debugop._past_values import Evaluator, Unknown, truth
from debugop._stops import AT_OFFSET, AT_OPCODE

# Modules of its own: breakpoints in a recording are not those of a program that is debugged at the same time.
bdb: Any = _standard.load("bdb")
module: Any = _standard.load("pdb", bdb=bdb)
Breakpoint: Any = bdb.Breakpoint


class Place(Breakpoint):  # type: ignore[misc]
    """A breakpoint that does not stand at a line."""

    def __init__(self, text: str, condition: str | None = None, *, temporary: bool = False) -> None:
        self.text = text
        self.file, self.line, self.funcname, self.func_first_executable_line = "", 0, None, None
        self.temporary, self.cond, self.enabled, self.ignore, self.hits = temporary, condition, True, 0, 0
        self.number = Breakpoint.next
        Breakpoint.next += 1
        Breakpoint.bpbynumber.append(self)

    def deleteMe(self) -> None:
        Breakpoint.bpbynumber[self.number] = None

    def bpformat(self) -> str:
        kind = type(self).__name__.lower()
        text = f"{self.number:<4}{kind:<12} {'del ' if self.temporary else 'keep'} {'yes' if self.enabled else 'no ':<4} {self.text}"
        if self.cond:
            text += f"\n\tstop only if {self.cond}"
        if self.ignore:
            text += f"\n\tignore next {self.ignore} hits"
        return text

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()}point {self.number}: {self.text}"


class Watch(Place):
    """Stops where a place is bound or changes."""

    def __init__(self, text: str, step: int, frame: int, condition: str | None) -> None:
        super().__init__(text, condition)
        self.seen_from = (step, frame, text)


class Catch(Place):
    """Stops where an exception is raised, or one that nothing handles."""

    def __init__(self, text: str, condition: str | None, *, uncaught: bool = False) -> None:
        super().__init__(("uncaught " if uncaught else "") + (text or "any exception"), condition)
        self.uncaught = uncaught
        self.names = [name.strip() for name in text.strip("()").split(",") if name.strip()]

    def catches(self, exception: Any) -> bool:
        """Whether it is one of the classes, as far as that can be told by names: bases of the program's classes are not recorded."""
        raised = exception.type_name
        if not self.names:
            return True
        for name in self.names:
            if raised == name or raised.endswith("." + name):
                return True
            one, base = getattr(builtins, raised, None), getattr(builtins, name, None)
            if isinstance(one, type) and isinstance(base, type) and issubclass(one, base):
                return True
        return False


class Instruction(Place):
    """Stops before instructions, by the numbers of their code objects and their offsets."""

    def __init__(self, text: str, at: set[tuple[int, int]], condition: str | None, *, temporary: bool) -> None:
        super().__init__(text, condition, temporary=temporary)
        self.at = at

    def __str__(self) -> str:
        return f"breakpoint {self.number} at {self.text}"


class Stops:
    """Commands that set and keep them, and the way to the next one."""

    past: Any
    step: int
    steps: int
    codes: dict[int, Any]
    curframe: Any
    stack: list[Any]
    message: Any
    error: Any
    breaks: dict[str, list[int]]
    moment: Any
    commands: dict[int, list[str]]
    cmdqueue: list[str]
    lookupmodule: Any
    function: Any
    frame_at: Any
    _instructions: Any
    _show: Any
    _by_instruction: bool
    _value_of: Any
    # What the recording's uncaught exceptions are, once they have been asked for.
    _uncaught: tuple[Any, frozenset[int]] = (None, frozenset())

    # Setting them.

    def _is_expression(self, text: str) -> bool:
        try:
            ast.parse(text.strip(), mode="eval")
        except SyntaxError as error:
            self.error(f"Invalid condition {text}: SyntaxError: {error.msg}")
            return False
        return True

    def do_break(self, arg: str, temporary: Any = 0) -> None:
        """b(reak) [ ([filename:]lineno | function | [function]*offset) [, condition] ]
        b(reak) opcode name [in function] [, condition]

        Stop where execution comes to a line, to the first line of a
        function, to the instruction at an offset of a function, or to each
        that has an opcode; of the current function, if none is named. The
        condition is evaluated over the recorded values. Without argument,
        list all.
        """
        if not arg:
            shown = [one for one in Breakpoint.bpbynumber if one]
            if shown:
                self.message("Num Type         Disp Enb   Where")
            for one in shown:
                self.message(one.bpformat())
            return
        where, comma, condition = (part.strip() for part in arg.partition(","))
        if comma and not self._is_expression(condition):
            return
        at_offset, at_opcode = AT_OFFSET.fullmatch(where), AT_OPCODE.fullmatch(where)
        if at_offset is not None:
            self._break_at_offset(at_offset["function"], at_offset["offset"], condition or None, bool(temporary))
            return
        if at_opcode is not None:
            self._break_at_opcode(at_opcode["opcode"], at_opcode["function"], condition or None, bool(temporary))
            return
        found = self._located(where)
        if found is None:
            return
        file, line, _ = found
        if not any(line in code.lines for code in self.codes.values() if code.co_filename == file):
            self.error(f"Nothing that is recorded is at {file}:{line}")
            return
        self.breaks.setdefault(file, [])
        if line not in self.breaks[file]:
            self.breaks[file].append(line)
        one = Breakpoint(file, line, bool(temporary), condition or None, None)
        self.message(f"Breakpoint {one.number} at {one.file}:{one.line}")

    do_b = do_break

    def do_tbreak(self, arg: str) -> None:
        """tbreak [ ([filename:]lineno | function | [function]*offset) [, condition] ]
        tbreak opcode name [in function] [, condition]

        Same arguments as break, but the breakpoint is removed when it is
        first hit.
        """
        self.do_break(arg, 1)

    def _code_of(self, function: str | None) -> Any:
        """The code of a function, or that of the current frame; None, and what is wrong has been said, if there is none."""
        code = self.function(function) if function else self.curframe.f_code
        if code is None:
            self.error(f"The specified object {function!r} is not a function or is not in the recording")
        return code

    def _break_at_opcode(self, opcode: str, function: str | None, condition: str | None, temporary: bool) -> None:
        code = self._code_of(function)
        if code is None:
            return
        offsets = [one[0] for one in self._instructions(code) if one[1] == opcode]
        if not offsets:
            self.error(f"There is no {opcode} in {code.co_qualname}")
            return
        text = f"{code.co_qualname} opcode {opcode} ({len(offsets)} instruction{'s' if len(offsets) > 1 else ''})"
        one = Instruction(text, {(code.number, offset) for offset in offsets}, condition, temporary=temporary)
        self.message(f"{str(one)[0].upper()}{str(one)[1:]}")

    def _break_at_offset(self, function: str, at: str, condition: str | None, temporary: bool) -> None:
        code = self._code_of(function)
        if code is None:
            return
        try:
            offset = int(at)
        except ValueError:
            self.error(f"Bad offset: {at}")
            return
        if offset not in [one[0] for one in self._instructions(code)]:
            self.error(f"No instruction begins at {offset} of {code.co_qualname}")
            return
        one = Instruction(f"{code.co_qualname}*{offset}", {(code.number, offset)}, condition, temporary=temporary)
        self.message(f"{str(one)[0].upper()}{str(one)[1:]}")

    def _located(self, where: str) -> tuple[str, int, str | None] | None:
        """File, line and name of the function that a location names; says what is wrong with it."""
        file, colon, text = where.rpartition(":")
        if colon or text.lstrip("-").isdigit():
            found = self.lookupmodule(file) if colon else self.curframe.f_code.co_filename
            if found is None:
                self.error(f"{file!r} is not in the recording")
                return None
            try:
                return found, int(text), None
            except ValueError:
                self.error(f"Bad lineno: {text}")
                return None
        code = self.function(where)
        if code is None:
            self.error(f"The specified object {where!r} is not a function or is not in the recording")
            return None
        lines = [one[4] for one in self._instructions(code) if one[4] and one[1] != "RESUME"]
        later = [line for line in lines if line > code.co_firstlineno]
        line = min(later, default=code.co_firstlineno) if later else code.co_firstlineno
        return code.co_filename, line, code.co_name

    def checkline(self, filename: str, lineno: int, module_globals: Any = None) -> int:
        return lineno

    def _prune_breaks(self, filename: str, lineno: int) -> None:
        if filename in self.breaks and (filename, lineno) not in Breakpoint.bplist:
            self.breaks[filename].remove(lineno)
            if not self.breaks[filename]:
                del self.breaks[filename]

    def do_watch(self, arg: str) -> None:
        """watch place [, condition]

        Stop where a variable, an attribute (`a.b`) or an item (`d['k']`)
        is bound or changes: forwards right behind the instruction that does
        it, backwards right before it.
        """
        text, comma, condition = (part.strip() for part in arg.partition(","))
        if not text:
            self.error("watch takes a variable, an attribute or an item")
            return
        if comma and not self._is_expression(condition):
            return
        try:
            self.past.check_place(self.step, self.curframe.index, text)
        except ValueError as error:
            self.error(str(error))
            return
        watch = Watch(text, self.step, self.curframe.index, condition or None)
        self.message(f"Watchpoint {watch.number}: {text}")

    def do_unwatch(self, arg: str) -> None:
        """unwatch [number ...]

        Take watchpoints away, all of them without a number.
        """
        shown = [one for one in Breakpoint.bpbynumber if isinstance(one, Watch)]
        known = {str(one.number): one for one in shown}
        for number in arg.split() or known:
            if number in known:
                known[number].deleteMe()
                self.message(f"Deleted {known[number]}")
            else:
                self.error(f"{number} is no watchpoint")

    def do_catch(self, arg: str) -> None:
        """catch [raise | uncaught] [exception [, condition]]

        Stop at instructions that raise an exception, or with "uncaught"
        one that nothing has handled; of one class, a tuple of classes, or
        any.
        """
        how, _, rest = arg.strip().partition(" ")
        rest = rest if how in ("raise", "uncaught") else arg.strip()
        text, condition = _class_and_condition(rest)
        if condition is not None and not self._is_expression(condition):
            return
        catch = Catch(text, condition, uncaught=how == "uncaught")
        self.message(f"Catchpoint {catch.number}: {catch.text}")

    # Going to them.

    def _travel(self, motion: str, backwards: bool, line: int) -> None:
        """Goes to the next stop in a direction and shows it."""
        places = [one for one in Breakpoint.bpbynumber if one and one.enabled]
        watches = [one for one in places if isinstance(one, Watch)]
        catches = [one for one in places if isinstance(one, Catch)]
        search = self.past.search(
            self.step,
            motion,
            backwards,
            line=line,
            lines=[(one.file, one.line) for one in places if not isinstance(one, Place)],
            instructions=[at for one in places if isinstance(one, Instruction) for at in one.at],
            places=[one.seen_from for one in watches],
            exceptions=bool(catches),
        )
        while (found := search.find()) is not None:
            said, hit = self._heeded(found, watches, catches)
            if not hit and not found["reached"]:
                continue
            self._stop_at(found, said, hit)
            return
        self._at_end(backwards)

    def _at_end(self, backwards: bool) -> None:
        """There is no further stop."""
        ends = "--Beginning of the recording--" if backwards else "--End of the recording--"
        self._show(0 if backwards else self.steps - 1, (ends,))

    def _stop_at(self, found: dict[str, Any], said: list[str], hit: Any) -> None:
        if found["reached"] and found["event"] in ("call", "return"):
            said.append(f"--{found['event'].capitalize()}--")
        commands = self.commands.get(hit.number) if hit is not None else None
        self._by_instruction |= isinstance(hit, Instruction)
        silent = commands is not None and getattr(self, "commands_silent", {}).get(hit.number, False)
        self._show(found["step"], tuple(said), prints=not silent)
        if hit is not None and hit.temporary:
            hit.deleteMe()
            self._prune_breaks(hit.file, hit.line)
            self.message(f"Deleted {hit}")
        if commands:
            self._carry_out(commands)

    def _carry_out(self, commands: list[str]) -> None:
        self.cmdqueue.extend(one for one in commands if one != "silent")

    def _heeded(self, found: dict[str, Any], watches: list[Watch], catches: list[Catch]) -> tuple[list[str], Any]:
        """What is to be said of a stop, and the breakpoint, watchpoint or catchpoint that it is for."""
        said: list[str] = []
        hit = None
        step = found["step"]
        if found["breakpoint"]:
            for one in self._standing(step):
                if hit is None and self._holds(one, step):
                    hit = one
        for index, by, how, before, value in found["changes"]:
            watch = watches[index]
            if self._holds(watch, step):
                hit = hit or watch
                said += self._change(watch, by, how, before, value)
        raised = found["raised"]
        for one in catches:
            if raised is None or not one.catches(raised):
                continue
            if (not one.uncaught or step in self.uncaught) and self._holds(one, step):
                hit = hit or one
                said.append(f"Catchpoint {one.number}: {raised.short(200)}")
        return said, hit

    @property
    def uncaught(self) -> frozenset[int]:
        """The steps that have raised what nothing has handled."""
        known, steps = self._uncaught
        if known is not self.past:
            steps = frozenset(self.past.uncaught())
            self._uncaught = self.past, steps
        return steps

    def _standing(self, step: int) -> list[Any]:
        """The breakpoints that stand where the step is."""
        moment = self.past.at(step)
        _, code, line, offset = moment.frames[-1]
        file = self.codes[code].co_filename
        at_line = list(Breakpoint.bplist.get((file, line), []))
        at_instruction = [
            one for one in Breakpoint.bpbynumber if isinstance(one, Instruction) and (code, offset) in one.at
        ]
        return [one for one in at_line + at_instruction if one.enabled]

    def _holds(self, one: Any, step: int) -> bool:
        """Whether a breakpoint's condition holds at a step and it is not to be ignored; one that cannot be evaluated stops."""
        if one.cond:
            try:
                if not self._condition(one.cond, step):
                    return False
            except Unknown as error:
                self.message(f"The condition of breakpoint {one.number} is not known at step {step}: {error}")
            except Exception as error:
                self.message(
                    f"The condition of breakpoint {one.number} fails at step {step}: {type(error).__name__}: {error}"
                )
        one.hits += 1
        if one.ignore > 0:
            one.ignore -= 1
            return False
        return True

    def _condition(self, text: str, step: int) -> bool:
        here, moment = self.step, self.moment
        try:
            self.step, self.moment = step, self.past.at(step)
            frame = self.frame_at(self.moment)
            return truth(Evaluator(lambda name: self._value_of(frame, name)).value(text), text)
        finally:
            self.step, self.moment = here, moment

    def _change(self, watch: Watch, by: int, how: str, before: Any, value: Any) -> list[str]:
        moment = self.past.at(by)
        _, code, line, offset = moment.frames[-1]
        code = self.codes[code]
        opname = next((one[1] for one in self._instructions(code) if one[0] >= offset), "")
        said = [f"Watchpoint {watch.number}: {watch.text}"]
        if before is not None:
            said.append(f"  old value = {before.short(200)}")
        if value is not None:
            said.append(f"  new value = {value.short(200)}")
        said.append(f"  {how} by {code.co_filename}({line}){code.co_qualname}() {offset} {opname}, step {by}")
        return said


def _class_and_condition(text: str) -> tuple[str, str | None]:
    """Splits at the comma that is not in brackets."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            return text[:at].strip(), text[at + 1 :].strip()
    return text.strip(), None
