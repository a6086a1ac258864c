"""A live session that can go back: what it executes is recorded, and at a stop the commands of the console over a recording go through that."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from typing import Any

from debugop import _console, _core, _past
from debugop._children import forget_the_dead
from debugop._history_past import PastOfSession, pairs, to_live, to_past
from debugop._record import Record

# What neither runs anything of the program nor changes anything.
_PURE = frozenset(
    "EOF a args b bt break c cl clear commands cont continue d dis disable down enable exit goto h help ignore l list ll locals longlist n next ni nexti"
    " origin q quit r rc return rfinish rn rni rs rsi s si stack step stepi tasks tbreak threads u unalias undisplay up w watch when where writes"
    " _pdbcmd_print_frame_status _pdbcmd_silence_frame_status reverse-step reverse-next reverse-stepi reverse-nexti reverse-finish reverse-continue".split()
)

# What the directories of histories are called, before the number of the process.
_FOLDER = "debugop-history-"

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
        self._process = os.getpid()
        forget_the_dead(tempfile.gettempdir(), _FOLDER)
        self._folder = tempfile.mkdtemp(prefix=f"{_FOLDER}{self._process}-")
        self.path = os.path.join(self._folder, "history.debugop")
        self._record = Record(self.path, ring=self.size)
        # The frames below the program's are the debugger's.
        self._record.start(running=False)
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


class HistoryConsole(_console.Console):
    """The console of a live session that can go back."""

    cmdqueue: Any
    lastcmd: Any
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
        if name and name not in _PURE:
            self._may_change()
        return super().onecmd(line)

    def _show_display(self) -> None:
        if self.displaying.get(self.curframe):
            self._may_change()
        super()._show_display()

    def _may_change(self) -> None:
        """What follows may change what the program sees: how it was until now is written down first."""
        if not self._changed and self._standing is not None:
            _core.describe_recording()
        self._changed = True

    def _ends_left(self) -> None:
        self.history.end()

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
            to_past(self, past)
            past.visit(f"{motion} {arg}".strip())
        except (OSError, ValueError) as error:
            past.has_returned = True
            self.error(str(error))
        to_live(self, past)
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
            frame = next((there for live, there in pairs(self, past) if live is self.curframe), None)
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
        standing: Any = _core.hold_recording(self.frame, console._event == "line")
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


def begin(size: int) -> None:
    """From now on consoles keep history, the newest `size` bytes of it."""
    HistoryConsole.history = History(size)
    _console.module.Pdb = HistoryConsole


def end() -> None:
    """Forget the history, if there is any."""
    history = getattr(HistoryConsole, "history", None)
    if history is not None:
        history.end()
