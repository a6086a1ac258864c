"""The console's commands for what stops besides lines: `break *OFFSET`, `break opcode`, `watch`, `catch`, `logpoint`."""

import ast
import dis
import re
from traceback import format_exception_only
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from debugop import _core, _places, bdb
from debugop._places import Catch, Instructions, Local, Place, Watch

AT_OFFSET = re.compile(r"(?P<function>[\w.]*)\s*\*\s*(?P<offset>\w+)")
AT_OPCODE = re.compile(r"opcode\s+(?P<opcode>\w+)(?:\s+in\s+(?P<function>.+))?")
_LOG = re.compile(r"(?P<location>\S+)\s+(?P<template>.*?)(?:,\s*if\s+(?P<condition>.+))?", re.DOTALL)

_Base: Any = Any if TYPE_CHECKING else object


class Stops(_Base):  # type: ignore[misc]
    """What a console is made of, before `pdb.Pdb`."""

    allow_kbdint: bool
    # Whether any console has ever asked for events of instructions, which `bdb` before 3.13 does not know: frames may have some left over.
    _has_gone_by_instruction = False
    _places: tuple[Place, ...] = ()
    # What `_reached_place` has found, and is to be shown: a place, and what it says.
    _found: list[tuple[Place, list[str]]]
    # An exception that has been caught, and its traceback.
    _caught: tuple[BaseException, Any] | None = None
    # Whether places that watchpoints are on cannot be looked at without Python.
    _looks_itself = False
    # Whether the stop is at an instruction, which is shown.
    _at_an_instruction = False

    # What Rust asks.

    def _offsets(self, code: CodeType) -> tuple[set[int], set[int], set[int]] | None:
        if _places.is_own(code):
            return None
        always: set[int] = set()
        changed: set[int] = set()
        stepping: set[int] = set()
        for place in self._places:
            if not isinstance(place, Watch) or place.watched is None:
                always.update(place.offsets(code))
            elif self._looks_itself:
                always.update(place.behind_writers(code))
            else:
                (stepping if place.is_told else changed).update(place.behind_writers(code))
        return (always, changed, stepping) if always or changed or stepping else None

    def _reached_place(self, frame: FrameType) -> bool:
        self._found = []
        offset, writer = frame.f_lasti, _core.changed_by()
        for place in self._places:
            if place.is_deleted:
                continue
            said = place.check(frame, offset, writer)
            if said is None:
                continue
            ends = isinstance(place, Local) and place.ends
            if ends or (self._is_in_effect(place, frame) and not self._logs(place, frame)):
                self._found.append((place, said))
        return bool(self._found)

    def _is_in_effect(self, place: Place, frame: Any) -> bool:
        # An interrupt ends a condition.
        before, self.allow_kbdint = self.allow_kbdint, True
        try:
            return place.is_in_effect(frame)
        finally:
            self.allow_kbdint = before

    def _logs(self, place: Place, frame: Any) -> bool:
        if place.log is None:
            return False
        self.message(_core.log_message(place.log, frame))
        return True

    def _reached_exception(self, frame: FrameType, exception: BaseException, traceback: Any) -> bool:
        self._found = []
        if _places.is_own(frame.f_code):
            return False
        traceback = traceback or BaseException.__dict__["__traceback__"].__get__(exception)
        for place in self._places:
            catches = isinstance(place, Catch) and not place.is_deleted and place.catches(frame, exception, traceback)
            if catches and self._is_in_effect(place, frame):
                self._found.append((place, [f"Catchpoint {place.number} ({place.where()})"]))
        if self._found:
            self._caught = exception, traceback
        return bool(self._found)

    def _at_place(self, frame: FrameType) -> None:
        found, self._found = self._found, []
        caught, self._caught = self._caught, None
        if self.quitting:
            raise bdb.BdbQuit
        if self._wait_for_mainpyfile:
            return
        for place, said in found:
            for line in said:
                self.message(line)
            if place.temporary or (isinstance(place, Local) and place.ends):
                place.deleteMe()
                if not isinstance(place, Watch):
                    self.message(f"Deleted {place}")
            self.currentbp = place.number
        self._agree()
        self._at_an_instruction = True
        try:
            if caught is None:
                self.user_line(frame)
            else:
                uncaught = any(isinstance(place, Catch) and place.uncaught for place, _ in found)
                self._show_caught(frame, *caught, uncaught)
        finally:
            self._at_an_instruction = False
        if self.quitting:
            raise bdb.BdbQuit

    def _show_caught(self, frame: FrameType, exception: BaseException, traceback: Any, uncaught: bool) -> None:
        goes_on = self.bp_commands(frame)
        # From 3.14 on the commands are put into the queue of the interaction.
        if not goes_on and hasattr(self, "commands_doprompt"):
            return
        if not uncaught:
            self.user_exception(frame, (type(exception), exception, traceback))
        else:
            # The frames that it has left are looked at as after the program's end.
            self._event = "exception"
            self.message(format_exception_only(type(exception), exception)[-1].strip())
            self.interaction(None, traceback)

    # Keeping the places.

    def _agree(self) -> None:
        """Tells Rust, if there are other places now."""
        places = _all_places()
        if places == self._places:
            return
        self._places = places
        self._tell()

    def _tell(self) -> None:
        instructions = any(not isinstance(place, Catch) for place in self._places)
        exceptions = any(isinstance(place, Catch) for place in self._places)
        watched = [place.watched for place in self._places if isinstance(place, Watch) and place.watched is not None]
        asks = self._offsets if instructions else None
        # A variable that nobody shares changes in its own function only.
        own = [place.frame.f_code for place in self._places if isinstance(place, Local) and not place.shared]
        codes = own if len(own) == len(self._places) else None
        Stops._has_gone_by_instruction |= instructions
        try:
            self._looks_itself = False
            _core.set_places(self, asks, exceptions, watched, codes)
        except RuntimeError:  # eight others watch dictionaries
            self._looks_itself = True
            _core.set_places(self, asks, exceptions, [])

    def set_continue(self) -> None:
        if self._places and not self.breaks:
            # Without breakpoints, `bdb` ends debugging.
            self._set_stopinfo(self.botframe, None, -1)
        else:
            super().set_continue()

    def _start_session(self, dispatch: Any) -> None:
        # A session begins with a stop, where it is told (`_agree`): what is called from now on is traced. Every console of the process
        # has all places, as it has all breakpoints.
        self._places = ()
        super()._start_session(dispatch)

    def _placed(self, place: Place) -> None:
        """A new place is in force."""
        self._agree()
        self.message(f"{str(place)[0].upper()}{str(place)[1:]}")

    def _after_commands(self) -> None:
        """A stop is over: what has been typed has changed what was meant to change."""
        for place in self._places:
            if isinstance(place, Watch):
                place.look()
        _core.changed_by()
        self._agree()

    def _before_commands(self, frame: FrameType | None) -> None:
        """A stop begins: a step may have ended right where a place has changed, and frames may have been left by an exception."""
        self._agree()
        writer = _core.changed_by()
        for place in self._places:
            if not isinstance(place, Watch) or place.is_deleted:
                continue
            said = Watch.check(place, frame, frame.f_lasti, writer) if frame is not None else None
            if said is not None and self._is_in_effect(place, frame) and not self._logs(place, frame):
                for line in said:
                    self.message(line)
            if isinstance(place, Local) and place.is_over:
                for line in place.over():
                    self.message(line)
                place.deleteMe()

    def _prune_breaks(self, filename: str, lineno: int) -> None:
        if filename == _places.FILE:
            self._agree()
        else:
            super()._prune_breaks(filename, lineno)

    def clear_all_breaks(self) -> Any:
        for place in self._places:
            place.deleteMe()
        answer = super().clear_all_breaks() if self.breaks or not self._places else None
        self._agree()
        return answer

    # Commands.

    def do_break(self, arg: str, temporary: Any = 0) -> Any:
        if not arg and any(isinstance(one, Place) or getattr(one, "log", None) for one in bdb.Breakpoint.bpbynumber):
            self.message("Num Type         Disp Enb  Where")
            for one in bdb.Breakpoint.bpbynumber:
                if one:
                    self.message(one.bpformat())
                    if getattr(one, "log", None):
                        self.message(f"\tlog {one.log}")
            return None
        location, _, condition = arg.partition(",")
        at_offset, at_opcode = AT_OFFSET.fullmatch(location.strip()), AT_OPCODE.fullmatch(location.strip())
        condition = condition.strip()
        if at_offset is None and at_opcode is None:
            if condition and not hasattr(self, "_compile_error_message") and not self._is_expression(condition):
                return None  # an older `pdb` takes anything
            return super().do_break(arg, temporary)
        if condition and not self._is_expression(condition):
            return None
        options = {"temporary": bool(temporary), "condition": condition or None}
        if at_offset is not None:
            self._break_at_offset(at_offset["function"], at_offset["offset"], options)
        elif at_opcode is not None:
            self._break_at_opcode(at_opcode["opcode"], at_opcode["function"], options)
        return None

    do_b = do_break

    def do_tbreak(self, arg: str) -> Any:
        return self.do_break(arg, True)

    def _is_expression(self, text: str) -> bool:
        """Whether it is one; says what is wrong if not."""
        try:
            compile(text, "<stdin>", "eval")
        except (SyntaxError, ValueError) as error:
            self.error(f"Invalid condition {text}: {type(error).__name__}: {error}")
            return False
        return True

    def _code(self, function: str | None) -> CodeType | None:
        """The code of a function, or what is stopped in; says what is wrong if there is none."""
        if not function:
            code: CodeType = self.curframe.f_code
            return code
        try:
            value = self._getval(function)
        except Exception:
            return None  # what was wrong has been printed
        value = getattr(value, "__func__", value)
        value = getattr(value, "__wrapped__", value) if not hasattr(value, "__code__") else value
        code = getattr(value, "__code__", value)
        if not isinstance(code, CodeType):
            self.error(f"This is no Python function or code object: {function}")
            return None
        return code

    def _instructions(self, code: CodeType) -> list[Any]:
        try:
            return list(_core.instructions(code))
        except ValueError as error:
            self.error(str(error))
            return []

    def _break_at_offset(self, function: str, offset: str, options: dict[str, Any]) -> None:
        try:
            wanted = int(offset, 0)
        except ValueError:
            self.error(f"Bad offset: {offset}")
            return
        code = self._code(function)
        if code is None:
            return
        instructions = self._instructions(code)
        found = [one for one in instructions if one.offset == wanted]
        if not found:
            near = [one.offset for one in instructions if one.offset > wanted][:1] or [instructions[-1].offset]
            self.error(f"No instruction begins at {wanted} of {code.co_qualname}; the next one is at {near[0]}")
            return
        if found[0].opname in ("RESUME", "COPY_FREE_VARS", "MAKE_CELL", "RETURN_GENERATOR", "NOT_TAKEN"):
            self.error(f"{found[0].opname} at {wanted} is the interpreter's own beginning: nothing can stop there")
            return
        what = f"{_where(code, found[0].line)}*{wanted} {' '.join(_places.described(found[0]).split())}"
        self._placed(Instructions(code, [wanted], what, **options))

    def _break_at_opcode(self, opcode: str, function: str | None, options: dict[str, Any]) -> None:
        if opcode not in dis.opmap:
            self.error(f"This version of Python has no opcode {opcode}")
            return
        code = self._code(function)
        if code is None:
            return
        found = [one.offset for one in self._instructions(code) if one.opname == opcode]
        if not found:
            self.error(f"There is no {opcode} in {code.co_qualname}")
            return
        count = f"{len(found)} instruction{'s' if len(found) > 1 else ''}"
        self._placed(Instructions(code, found, f"{_where(code, None)} opcode {opcode} ({count})", **options))

    def do_watch(self, arg: str) -> None:
        """watch place [, condition]

        Stop right behind the instruction that changes a variable, an
        attribute (`a.b`), or an item of a dictionary or list (`d['k']`,
        `l[3]`), and say its old and its new value. `a`, `d` and `l` are
        evaluated now: what is watched is this object's. A variable of a
        function is watched until the function is left. `clear` takes a
        watchpoint away by its number.
        """
        if not arg:
            self._print_invalid_arg_or(arg)
            return
        try:
            parsed = ast.parse(arg.strip(), mode="eval").body
        except SyntaxError as error:
            self.error(f"Invalid place {arg}: {error.msg}")
            return
        condition = None
        if isinstance(parsed, ast.Tuple) and len(parsed.elts) == 2:
            condition = ast.get_source_segment(arg.strip(), parsed.elts[1])
            parsed = parsed.elts[0]
        text = ast.get_source_segment(arg.strip(), parsed) or ast.unparse(parsed)
        if condition and not self._is_expression(condition):
            return
        options = {"condition": condition}
        try:
            if isinstance(parsed, ast.Name):
                watch = _places.watch_name(text, self.curframe, **options)
            elif isinstance(parsed, ast.Attribute):
                owner = self._getval(ast.unparse(parsed.value))
                watch = _places.watch_attribute(text, owner, parsed.attr, **options)
            elif isinstance(parsed, ast.Subscript):
                owner, key = self._getval(ast.unparse(parsed.value)), self._getval(ast.unparse(parsed.slice))
                watch = _places.watch_item(text, owner, key, **options)
            else:
                self.error(f"{text} is no variable, attribute or item")
                return
        except ValueError as error:
            self.error(str(error))
            return
        except Exception:
            return  # `_getval` has printed it
        if isinstance(watch, Local) and not self._running(watch.frame):
            watch.deleteMe()
            self.error("The program is not running.")
            return
        self._placed(watch)

    def do_unwatch(self, arg: str) -> None:
        """unwatch [number ...]

        Take watchpoints away, all of them without a number.
        """
        numbers = arg.split() or [str(one.number) for one in self._places if isinstance(one, Watch)]
        for number in numbers:
            try:
                place = self.get_bpbynumber(number)
            except ValueError as error:
                self.error(str(error))
                continue
            if not isinstance(place, Watch):
                self.error(f"{number} is no watchpoint")
                continue
            self.do_clear(number)

    def do_catch(self, arg: str) -> None:
        """catch [raise | uncaught] [exception [, condition]]

        Stop where an exception is raised, or with "uncaught" where it
        leaves the program because nothing has handled it; of one class,
        a tuple of classes, or any. `clear` takes a catchpoint away by its
        number.
        """
        words = arg.split(None, 1)
        uncaught = bool(words) and words[0] == "uncaught"
        text = (words[1] if len(words) > 1 else "") if words and words[0] in ("raise", "uncaught") else arg
        condition = None
        classes: Any = ()
        if text:
            try:
                parsed = ast.parse(text.strip(), mode="eval").body
            except SyntaxError as error:
                self.error(f"Invalid exception {text}: {error.msg}")
                return
            if isinstance(parsed, ast.Tuple) and not text.strip().startswith("(") and len(parsed.elts) == 2:
                condition = ast.get_source_segment(text.strip(), parsed.elts[1])
                text = ast.get_source_segment(text.strip(), parsed.elts[0]) or ""
            try:
                classes = self._getval(text)
            except Exception:
                return  # it has been printed
            classes = classes if isinstance(classes, tuple) else (classes,)
            if not all(isinstance(one, type) and issubclass(one, BaseException) for one in classes):
                self.error(f"This is no class of exceptions: {text}")
                return
        self._placed(Catch(classes, text.strip(), uncaught, condition=condition))

    def do_logpoint(self, arg: str) -> None:
        """logpoint location template [, if condition]

        Print a text whenever execution comes to a location, and go on.
        Expressions in braces are evaluated as in an f-string:

            logpoint 18 width is {width}, {answer=}, if width > 1

        The location is one that `break` takes, without blanks.
        """
        parts = _LOG.fullmatch(arg.strip())
        if parts is None or not parts["template"]:
            self.error("logpoint takes a location and a text")
            return
        template, condition = parts["template"].strip(), parts["condition"]
        try:
            _core.CompiledBreakpoint("<logpoint>", 1, log=template)
        except (SyntaxError, ValueError) as error:
            self.error(f"Invalid text {template}: {type(error).__name__}: {error}")
            return
        before = len(bdb.Breakpoint.bpbynumber)
        self.do_break(f"{parts['location']}, {condition}" if condition else parts["location"])
        for placed in bdb.Breakpoint.bpbynumber[before:]:
            placed.log = template
            _core.session_changed(self, True)

    def complete_watch(self, text: str, line: str, begidx: int, endidx: int) -> Any:
        return self._complete_expression(text, line, begidx, endidx)

    complete_catch = complete_watch

    def complete_logpoint(self, text: str, line: str, begidx: int, endidx: int) -> Any:
        return self._complete_location(text, line, begidx, endidx)

    def complete_unwatch(self, text: str, line: str, begidx: int, endidx: int) -> Any:
        numbers = (str(one.number) for one in self._places if isinstance(one, Watch))
        return [number for number in numbers if number.startswith(text)]

    def complete_break(self, text: str, line: str, begidx: int, endidx: int) -> Any:
        if re.match(r"\s*\S+\s+opcode\s+\w*$", line[:endidx]):
            return [name for name in dis.opmap if name.startswith(text) and dis.opmap[name] < 256]
        return self._complete_location(text, line, begidx, endidx)

    complete_b = complete_tbreak = complete_break


def _all_places() -> tuple[Place, ...]:
    return tuple(place for place in bdb.Breakpoint.bpbynumber if isinstance(place, Place))


def _where(code: CodeType, line: int | None) -> str:
    return f"{code.co_filename}:{line or code.co_firstlineno} {code.co_qualname}"
