"""The console's commands for what else runs in the process: threads, and tasks of asyncio."""

import os
import re
import sys
import threading
import types
from types import FrameType
from typing import TYPE_CHECKING, Any

from debugop import _core

# They go on in the thread that has stopped.
_STOPPED_THREAD_ONLY = frozenset(
    "s step n next unt until r return si stepi ni nexti j jump setstack watch tbreak".split()
)

_Base: Any = Any if TYPE_CHECKING else object


class Threads(_Base):  # type: ignore[misc]
    """What a console is made of, before `pdb.Pdb`."""

    stack: Any

    # Whichever thread comes to a stop is the one that is debugged from then on (3.12+; on 3.11 others do not stop).
    _follows_threads = True
    # The one that has stopped last.
    _last_thread: int | None = None

    # The number of the thread that is inspected, if it is not the one that has stopped.
    _inspected: int | None = None
    # The stack of the one that has stopped meanwhile.
    _stopped_stack: Any = None

    def _threads(self) -> list[tuple[int, str]]:
        """Every thread that runs Python: its identifier and name, the main thread first; the numbers are the places in this list, from 1 on."""
        frames = _core.current_frames()
        known = {one.ident: one.name for one in threading.enumerate() if one.ident in frames}
        main = threading.main_thread().ident
        others = [(ident, known.get(ident, "")) for ident in frames if ident != main and ident is not None]
        order = list(known)
        others.sort(key=lambda one: (one[0] not in known, order.index(one[0]) if one[0] in known else one[0]))
        return [(ident, known.get(ident, "")) for ident in (main,) if ident in frames] + others

    def do_threads(self, arg: str) -> None:
        """threads

        List the threads of the program, and where each is; "*" marks the
        one that is inspected. One is stopped; others that have come to a
        stop wait there for their turn, and the rest go on meanwhile.
        """
        if arg:
            self._print_invalid_arg_or(arg)
            return
        frames, own, waiting = _core.current_frames(), threading.get_ident(), _core.threads_waiting_to_stop()
        for number, (ident, name) in enumerate(self._threads(), 1):
            shown = self._inspected == number if self._inspected else ident == own
            stack = self._stopped_stack or self.stack
            frame = stack[-1][0] if ident == own else frames.get(ident)
            state = " (stopped)" if ident == own else " (waits to stop)" if ident in waiting else ""
            self.message(f"{'*' if shown else ' '} {number:<3} {name or hex(ident):<24} {_place(frame)}{state}")

    def do_thread(self, arg: str) -> None:
        """thread [number]

        Inspect another thread: `where`, `up`, `down`, `list` and `p` are
        about its frames then, as they are at this moment. Without a
        number, the thread that has stopped.
        """
        all_threads = self._threads()
        own = next(number for number, (ident, _) in enumerate(all_threads, 1) if ident == threading.get_ident())
        try:
            number = int(arg) if arg else own
        except ValueError:
            number = 0
        if not 0 < number <= len(all_threads):
            self.error(f"There is no thread {arg}; `threads` lists them")
            return
        if self._stopped_stack is None:
            self._stopped_stack = self.stack
        if number == own:
            self.stack, self._stopped_stack, self._inspected = self._stopped_stack, None, None
            self._select_frame(len(self.stack) - 1)
            return
        frame = _core.current_frames().get(all_threads[number - 1][0])
        if frame is None:
            self.error(f"Thread {number} has ended")
            return
        self._inspected = number
        self.stack, index = self.get_stack(frame, None)
        self._select_frame(index)

    def set_trace(self, frame: Any = None, **keywords: Any) -> Any:
        """Stops in `frame`, or its caller's, as soon as no other thread is stopped."""
        _core.take_turn()
        return super().set_trace(frame or sys._getframe(1), **keywords)

    def _tell_thread(self) -> None:
        """Says so, if another thread than last time has stopped."""
        own = threading.get_ident()
        last, self._last_thread = self._last_thread, own
        if own == (last or threading.main_thread().ident):
            return
        for number, (ident, name) in enumerate(self._threads(), 1):
            if ident == own:
                self.message(f"[Switching to thread {number} ({name or hex(ident)})]")

    def _forget_threads(self) -> None:
        self._inspected = self._stopped_stack = None

    def onecmd(self, line: str) -> Any:
        if self._inspected is not None and not self.commands_defining:
            command = re.match(r"\s*(\w+)(?!\w|\s*=[^=])", line)
            if command and command[1] in _STOPPED_THREAD_ONLY:
                self.error(f"Thread {self._inspected} goes on; `thread` leads back to the one that has stopped")
                return None
        return super().onecmd(line)

    def do_tasks(self, arg: str) -> None:
        """tasks

        List the tasks of this thread's event loop, and where each waits;
        "*" marks the one that runs.
        """
        asyncio = sys.modules.get("asyncio")
        loop = asyncio and asyncio._get_running_loop()
        if asyncio is None or loop is None:
            self.error("No event loop of asyncio runs here")
            return
        running = asyncio.current_task(loop)
        tasks = sorted(
            asyncio.all_tasks(loop),
            key=lambda task: [int(one) if one.isdigit() else one for one in re.split(r"(\d+)", task.get_name())],
        )
        for task in tasks:
            waiting = _innermost(task.get_coro())
            self.message(f"{'*' if task is running else ' '} {task.get_name():<24} {waiting}")


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "(ends)"
    code = frame.f_code
    return f"{code.co_qualname}() at {os.path.basename(code.co_filename)}:{frame.f_lineno}"


def _innermost(coroutine: Any) -> str:
    """Where a coroutine waits: the frame of the innermost one that it awaits."""
    frame = None
    while True:
        if type(coroutine) is types.CoroutineType:
            frame, inner = coroutine.cr_frame or frame, coroutine.cr_await
        elif type(coroutine) is types.GeneratorType:
            frame, inner = coroutine.gi_frame or frame, coroutine.gi_yieldfrom
        else:
            return _place(frame)
        coroutine = inner
