"""The console while it is in the past of a live session, and what both have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from debugop import _core, _past, _past_stops, _places, bdb
from debugop._past_values import Unknown

if TYPE_CHECKING:
    from debugop._history import HistoryConsole


class Kept(_past_stops.Place):
    """What stops in the program only: its number is taken."""


class PastOfSession(_past.PastConsole):
    """The console while it is in the past of a live session."""

    def __init__(self, live: HistoryConsole, present: Any, stands: str) -> None:
        self.live = live
        # Whether it is the present's turn, and whether that is where a way has led.
        self.has_returned = self.has_come_back = False
        self._only_here: list[Any] = []
        self._stands = stands
        super().__init__(live.history.path, present, stdin=live.stdin, stdout=live.stdout, nosigint=True, readrc=False)
        self.use_rawinput = live.use_rawinput
        self.aliases = live.aliases
        for name in ("commands", "commands_silent", "commands_doprompt"):
            if hasattr(live, name):
                setattr(self, name, getattr(live, name))

    def reopen(self, present: Any, stands: str) -> None:
        """Look at what has been recorded since, too."""
        self._stands = stands
        self._open(self.live.history.path, present)

    def _keep_sources(self) -> None:
        # They are files of this process: what `linecache` has is the program's.
        self._sources = {code.co_filename for code in self.codes.values()}

    def _open(self, path: str, present: Any = None) -> None:
        super()._open(path, present)
        # From which step on it is not the past.
        self.present = self.steps
        frames = present[1]
        if self._stands == "before" and self.steps and frames:
            number, _, _, offset = self.past.at(self.steps - 1).frames[-1]
            # What an exception has left the function with, or its handler begins with, is not recorded before the program goes on.
            self.present -= (number, offset) == (frames[-1][0], 2 * frames[-1][1])

    def at_present(self) -> None:
        """Stand where the program does, or where it has failed."""
        step = self.steps - 1
        if self._stands == "over":
            failure = self.past.failure()
            step = step if failure is None else failure[0]
        self._stand(step)

    def visit(self, motion: str) -> None:
        """Go back, and stay until the program is to go on."""
        self.quitting = self.has_returned = self.has_come_back = False
        inside = self.present == self.steps and self._stands != "over"
        # What the program is in the middle of is the step before.
        self._going = self.steps - 1 if inside and motion in ("rsi", "rni", "rfinish") else None
        self._by_instruction = motion in ("rsi", "rni")
        if self._going is None:
            self.onecmd(motion)
        if self._going is None:
            # What was wrong has been said.
            self.has_returned = True
            return
        while True:
            self._go()
            if self.quitting or self.has_returned:
                return
            self._cmdloop()
            if self.quitting:
                return

    def _show(self, step: int, told: tuple[str, ...] = (), *, prints: bool = True) -> None:
        if step >= self.present:
            self.has_returned = self.has_come_back = True
            for line in told:
                self.message(line)
            self.message("--Back in the present--")
            return
        super()._show(step, told, prints=prints)

    def _stand(self, step: int) -> None:
        super()._stand(step)
        self.prompt = f"(debugop: step {self.step}, past) "

    def _at_end(self, backwards: bool) -> None:
        if not backwards:
            self._show(self.steps)
            return
        # What `pdb` executes for a script comes before it.
        search = self.past.search(0, "line", False)
        first = [search.find() for _ in range(3)]
        steps = [0, *(found["step"] for found in first if found is not None)]
        begun = (step for step in steps if self.codes[self.past.at(step).frames[-1][1]].co_filename != "<string>")
        self._show(next(begun, 0), ("--Beginning of the history--",))

    def do_goto(self, arg: str) -> Any:
        """goto step

        Go to a step of the past. Steps are numbered from the oldest one
        that is kept; negative numbers count from the newest. "goto end"
        goes to the present.
        """
        if arg == "end":
            self._going = self.steps
            return 1
        return super().do_goto(arg)

    def _not_here(self, _arg: str) -> None:
        """Not possible: the past can be looked at only."""
        self.error(self._unchangeable)

    do_jump = do_j = do_run = do_restart = do_debug = do_interact = do_exceptions = do_setstack = _not_here

    _unchangeable = 'The past can be looked at only: "goto end" leads back to the present.'
    _beyond = "the history"


# Frames, breakpoints and displays of the one in terms of the other.


def pairs(live: HistoryConsole, past: PastOfSession) -> list[tuple[Any, Any]]:
    """The frames that both know, innermost first."""
    found, rest = [], list(past.stack)
    for frame, _ in reversed(live.stack):
        code = frame.f_code
        for index in range(len(rest) - 1, -1, -1):
            other = rest[index][0].f_code
            if (other.co_filename, other.co_firstlineno, other.co_qualname) == (
                code.co_filename,
                code.co_firstlineno,
                code.co_qualname,
            ):
                found.append((frame, rest[index][0]))
                del rest[index:]
                break
    return found


def to_past(live: HistoryConsole, past: PastOfSession) -> None:
    """What stops in the program stops in its past."""
    there = _past_stops.Breakpoint
    there.next, there.bplist, there.bpbynumber = 1, {}, [None]
    past.breaks.clear()
    names = {live.canonic(code.co_filename): code.co_filename for code in past.codes.values()}
    own = {one.number: one for one in past._only_here}
    for number, one in enumerate(bdb.Breakpoint.bpbynumber):
        if number == 0:
            continue
        if one is None and number in own:
            there.bpbynumber.append(own[number])
        elif one is None:
            there.bpbynumber.append(None)
        else:
            there.next = number
            _counterpart(one, past, names)
        there.next = number + 1
    for frame, other in pairs(live, past):
        shown = live.displaying.get(frame)
        if shown:
            past.displaying.setdefault(other, {}).update(dict.fromkeys(shown, Unshown()))


class Unshown:
    """Stands for what an expression was before it has been shown."""

    def __repr__(self) -> str:
        return "** not shown yet **"


def _counterpart(one: Any, past: PastOfSession, names: dict[str, str]) -> Any:
    made: Any
    if isinstance(one, _places.Instructions):
        at = {
            (code.number, offset)
            for code in past.codes.values()
            if (code.co_filename, code.co_firstlineno, code.co_qualname)
            == (one.code.co_filename, one.code.co_firstlineno, one.code.co_qualname)
            for offset in one.wanted
        }
        made = _past_stops.Instruction(one.what, at, one.cond, temporary=one.temporary)
    elif isinstance(one, _places.Catch):
        made = _past_stops.Catch(one.text, one.cond, uncaught=one.uncaught)
    elif isinstance(one, _places.Watch):
        try:
            past.past.check_place(past.step, past.curframe.index, one.text)
            made = _past_stops.Watch(one.text, past.step, past.curframe.index, one.cond)
        except (ValueError, Unknown):
            made = Kept(one.text, one.cond)
    elif isinstance(one, _places.Place) or getattr(one, "log", None) or one.file not in names:
        made = Kept(f"at {one.file}:{one.line}", one.cond)
    else:
        file = names[one.file]
        made = _past_stops.Breakpoint(file, one.line, one.temporary, one.cond, None)
        past.breaks.setdefault(file, [])
        if one.line not in past.breaks[file]:
            past.breaks[file].append(one.line)
    made.enabled, made.hits = one.enabled, one.hits
    return made


def to_live(live: HistoryConsole, past: PastOfSession) -> None:
    """What has been set or taken away in the past is so in the program, as far as it can be."""
    here, there = bdb.Breakpoint, _past_stops.Breakpoint
    past._only_here = []
    changed = False
    for number, other in enumerate(there.bpbynumber):
        one = here.bpbynumber[number] if number < len(here.bpbynumber) else None
        if number == 0 or (one is None and other is None):
            continue
        if one is not None and other is None:
            live.clear_bpbynumber(number)
        elif one is not None:
            changed |= (one.enabled, one.cond) != (other.enabled, other.cond)
            one.enabled, one.cond = other.enabled, other.cond
        else:
            while here.next < number:
                _take_number(here)
            if isinstance(other, _past_stops.Place):
                past._only_here.append(other)
            else:
                problem = live.set_break(other.file, other.line, other.temporary, other.cond)
                if problem:
                    live.error(problem)
                else:
                    here.bpbynumber[-1].enabled = other.enabled
            if here.next == number:
                _take_number(here)
    while here.next < there.next:
        _take_number(here)
    if changed:
        _core.session_changed(live, True)
    live._agree()
    for frame, other in pairs(live, past):
        shown, there_shown = live.displaying.get(frame, {}), past.displaying.get(other, {})
        for expression in [one for one in shown if one not in there_shown]:
            del shown[expression]
        new = [one for one in there_shown if one not in shown]
        if new:
            live.displaying.setdefault(frame, {}).update(dict.fromkeys(new, Unshown()))


def _take_number(breakpoints: Any) -> None:
    breakpoints.bpbynumber.append(None)
    breakpoints.next += 1
