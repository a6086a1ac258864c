"""A live session that can go back: what it executes is recorded, and at a stop the commands of the console over a recording go through that."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from typing import Any

from debugop import _console, _core, _past, _past_stops, _places, bdb
from debugop._past_values import Unknown
from debugop._record import Record

# What neither runs anything of the program nor changes anything.
_PURE = frozenset(
    "EOF a args b bt break c cl clear commands cont continue d dis disable down enable exit goto h help ignore l list ll locals longlist n next ni nexti"
    " origin q quit r rc return rfinish rn rni rs rsi s si stack step stepi tasks tbreak threads u unalias undisplay up w watch when where writes"
    " _pdbcmd_print_frame_status _pdbcmd_silence_frame_status reverse-step reverse-next reverse-stepi reverse-nexti reverse-finish reverse-continue".split()
)

_FRAME_STATUS = "_pdbcmd_print_frame_status"


class History:
    """The recording of a session's program: the newest `size` bytes, in a directory of its own, which goes with it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.path = ""
        self._folder = ""
        self._process = 0
        self._record: Record | None = None

    def begin(self) -> None:
        """Begin anew with what is called from now on."""
        import tempfile

        self.end()
        self._folder = tempfile.mkdtemp(prefix="debugop-history-")
        self._process = os.getpid()
        self.path = os.path.join(self._folder, "history.debugop")
        self._record = Record(self.path, ring=self.size)
        self._record.start()
        _core.recording_is_debugged(True)

    @property
    def is_here(self) -> bool:
        """Whether this process is the one that is recorded, and not its child."""
        return self._record is not None and self._process == os.getpid()

    def end(self) -> None:
        """Forget everything."""
        record, self._record = self._record, None
        if record is None or self._process != os.getpid():
            return
        _core.recording_is_debugged(False)
        try:
            record.stop()
        except OSError as error:
            print(f"debugop: {error}", file=sys.stderr)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


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
        super().__init__(
            live.history.path, present, stdin=live.stdin, stdout=live.stdout, nosigint=True, readrc=False
        )
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


class HistoryConsole(_console.Console):
    """The console of a live session that can go back."""

    history: History
    _past: PastOfSession | None = None
    _standing: Any = None
    _changed = False
    _depth = threading.local()

    # Stops.

    def _run(self, target: Any) -> Any:
        self._past = None
        self.history.begin()
        return super()._run(target)

    def interaction(self, *arguments: Any, **keywords: Any) -> Any:
        with _Held(self, arguments[0] if arguments else None):
            return super().interaction(*arguments, **keywords)

    def bp_commands(self, frame: Any) -> Any:
        with _Held(self, frame):
            return super().bp_commands(frame)

    def onecmd(self, line: str) -> Any:
        name = line.strip().partition(" ")[0].partition(";")[0]
        self._changed |= bool(name) and name not in _PURE
        return super().onecmd(line)

    def _show_display(self) -> None:
        self._changed |= bool(self.displaying.get(self.curframe))
        super()._show_display()

    # Going back.

    def _opened(self) -> PastOfSession | None:
        """The past up to here; says so if there is none."""
        if getattr(self._depth, "held", 0) != 1 or not self.history.is_here:
            self.error("There is no history here.")
            return None
        if self._standing is None:
            self.error("Nothing of this thread has been recorded yet.")
            return None
        thread, frames, stands = self._standing
        if self._past is not None and self._past.has_returned:
            return self._past
        _core.describe_recording()
        try:
            if self._past is None:
                self._past = PastOfSession(self, (thread, frames), stands)
            else:
                self._past.reopen((thread, frames), stands)
        except (OSError, ValueError) as error:
            self.error(str(error))
            return None
        self._past.has_returned = True
        return self._past

    def _go_back(self, arg: str, motion: str) -> Any:
        past = self._opened()
        if past is None:
            return None
        if not past.steps:
            self.error("Nothing has been recorded yet.")
            return None
        queue = self.cmdqueue
        status = [line for line in queue if line == _FRAME_STATUS]
        self.cmdqueue, past.cmdqueue = status, [line for line in queue if line != _FRAME_STATUS]
        try:
            past.at_present()
            _to_past(self, past)
            past.visit(f"{motion} {arg}".strip())
        except (OSError, ValueError) as error:
            past.has_returned = True
            self.error(str(error))
        _to_live(self, past)
        self.cmdqueue = [*past.cmdqueue, *status]
        self.lastcmd = past.lastcmd or self.lastcmd
        if past.quitting:
            return self.do_quit("")
        if past.has_come_back and not status and self.stack:
            self.print_stack_entry(self.stack[self.curindex])
        return None

    def _ask(self, command: str) -> None:
        past = self._opened()
        if past is not None:
            past.at_present()
            pairs = {id(live): there for live, there in _pairs(self, past)}
            frame = pairs.get(id(self.curframe))
            if frame is not None:
                past.curindex, past.curframe = frame.index, frame
            past.onecmd(command)

    def do_rs(self, arg: str) -> Any:
        """rs | reverse-step

        Go back to the line before, also of a function that was called. What
        goes forwards from there leads through the past to the present, and
        then the program goes on.
        """
        return self._go_back(arg, "rs")

    def do_rn(self, arg: str) -> Any:
        """rn | reverse-next

        Go back to the line before of this function; at its beginning to
        the line that called it.
        """
        return self._go_back(arg, "rn")

    def do_rsi(self, arg: str) -> Any:
        """rsi | reverse-stepi

        Go back one instruction.
        """
        return self._go_back(arg, "rsi")

    def do_rni(self, arg: str) -> Any:
        """rni | reverse-nexti

        Go back one instruction of this function, over what it called.
        """
        return self._go_back(arg, "rni")

    def do_rfinish(self, arg: str) -> Any:
        """rfinish | reverse-finish

        Go back to the call of the current function.
        """
        return self._go_back(arg, "rfinish")

    def do_rc(self, arg: str) -> Any:
        """rc | reverse-continue

        Go back to the previous breakpoint, watchpoint or catchpoint, or to
        the beginning of what is kept.
        """
        return self._go_back(arg, "rc")

    def do_goto(self, arg: str) -> Any:
        """goto step

        Go to a step of the past. Steps are numbered from the oldest one
        that is kept; negative numbers count from the newest. "goto start"
        goes to the oldest one.
        """
        return self._go_back(arg, "goto")

    def do_when(self, arg: str) -> None:
        """when

        Say how many steps are kept, and how far this thread has come.
        """
        self._ask(f"when {arg}")

    def do_writes(self, arg: str) -> None:
        """writes place

        List what has bound a variable, an attribute (`a.b`) or an item
        (`d['k']`) until now. "goto" with the step goes there.
        """
        self._ask(f"writes {arg}")

    def do_origin(self, arg: str) -> None:
        """origin variable

        Say where the value of a local variable comes from, hop by hop, from
        the instruction that made it.
        """
        self._ask(f"origin {arg}")

    def complete_goto(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        return [word for word in ("end", "start") if word.startswith(text)]

    def complete_writes(self, text: str, line: str, begidx: int, endidx: int) -> Any:
        return self._complete_expression(text, line, begidx, endidx)

    complete_origin = complete_writes

    def parseline(self, line: str) -> Any:
        return super().parseline(_past.without_dash(line))


HistoryConsole.__name__ = HistoryConsole.__qualname__ = "Pdb"


class _Held:
    """A stop: what runs in this thread is not the program."""

    def __init__(self, console: HistoryConsole, frame: Any) -> None:
        self.console, self.frame = console, frame

    def __enter__(self) -> None:
        console, depth = self.console, HistoryConsole._depth
        depth.held = getattr(depth, "held", 0) + 1
        if depth.held > 1 or not console.history.is_here:
            return
        standing = _core.hold_recording(self.frame, console._event == "line")
        if standing is not None:
            thread, frames, is_last = standing
            stands = "over" if self.frame is None else "before" if is_last else "inside"
            standing = thread, frames, stands
        console._standing = standing
        console._changed = False
        if console._past is not None:
            console._past.has_returned = False

    def __exit__(self, *_: Any) -> None:
        depth = HistoryConsole._depth
        depth.held -= 1
        if not depth.held and self.console.history.is_here:
            _core.release_recording(self.console._changed)


# Frames, breakpoints and displays of the one in terms of the other.


def _pairs(live: HistoryConsole, past: PastOfSession) -> list[tuple[Any, Any]]:
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


def _to_past(live: HistoryConsole, past: PastOfSession) -> None:
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
    for frame, other in _pairs(live, past):
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


def _to_live(live: HistoryConsole, past: PastOfSession) -> None:
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
    for frame, other in _pairs(live, past):
        shown, there_shown = live.displaying.get(frame, {}), past.displaying.get(other, {})
        for expression in [one for one in shown if one not in there_shown]:
            del shown[expression]
        new = [one for one in there_shown if one not in shown]
        if new:
            live.displaying.setdefault(frame, {}).update(dict.fromkeys(new, Unshown()))


def _take_number(breakpoints: Any) -> None:
    breakpoints.bpbynumber.append(None)
    breakpoints.next += 1


def begin(size: int) -> None:
    """From now on consoles keep history, the newest `size` bytes of it."""
    HistoryConsole.history = History(size)
    _console.module.Pdb = HistoryConsole


def end() -> None:
    """Forget the history, if there is any."""
    history = getattr(HistoryConsole, "history", None)
    if history is not None:
        history.end()
