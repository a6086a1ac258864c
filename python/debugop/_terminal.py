"""The console's own terminal: what the program does to its standard streams and signals does not cost the person the prompt."""

import fcntl
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from debugop import _core, bdb
from debugop._children import Children

_Base: Any = Any if TYPE_CHECKING else object


class Terminal(_Base):  # type: ignore[misc]
    """What a console is made of, before `pdb.Pdb`."""

    nosigint: Any
    _is_left: Any
    _is_anothers_interrupt: Any

    # Whether the console opens the terminal for itself.
    _opens_terminal = False
    # Which one, if that is not what the standard streams are; they may be redirected.
    _terminal: str | None = None
    # When a source file was last written to, as of the first stop in it.
    _written: dict[str, float]

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._written = {}
        if self._opens_terminal and self._terminal and not (_is(0, self._terminal) and _is(1, self._terminal)):
            self._open_terminal(self._terminal)
        elif self._opens_terminal and self.use_rawinput and os.isatty(0) and os.isatty(1):
            # The program may close `sys.stdin` and `sys.stdout`. `input` edits lines on these descriptors only, as long as they are the terminal's.
            self._terminal = os.ttyname(0) if _is(1, os.ttyname(0)) else None
            self.stdin = open(0, closefd=False)  # noqa: SIM115
            self.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115

    def _open_terminal(self, terminal: str) -> None:
        # The program may close the descriptors; whose they are then nobody knows, so nobody else closes them.
        self.stdin = open(_opened(terminal, os.O_RDONLY), closefd=False)  # noqa: SIM115
        self.stdout = open(_opened(terminal, os.O_WRONLY), "w", buffering=1, closefd=False)  # noqa: SIM115

    def _keep_terminal(self) -> None:
        """The program may have closed descriptors, and have files of its own in their places."""
        if not (self._opens_terminal and self._terminal and hasattr(self.stdin, "fileno")):
            return  # what reads at the prompt of 3.15 has none
        if not (_is(self.stdin.fileno(), self._terminal) and _is(self.stdout.fileno(), self._terminal)):
            self._open_terminal(self._terminal)
            # It has the descriptors that are gone (3.15).
            self.pyrepl_input = None

    def message(self, *arguments: Any, **keywords: Any) -> None:
        self._keep_terminal()
        super().message(*arguments, **keywords)

    def _run(self, target: Any) -> Any:
        streams = sys.stdin, sys.stdout, sys.stderr
        try:
            return super()._run(target)
        finally:
            if self._opens_terminal and not self._is_left():
                self._put_back(streams)

    def _put_back(self, streams: tuple[Any, Any, Any]) -> None:
        """The program is over: what is said of that, and the program that is begun anew, have the streams that it began with, as far as they still lead there."""
        self._keep_terminal()
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            _flush(getattr(sys, name))
            _flush(stream)
            leads = _leads(stream, self._terminal if name != "stderr" else None)
            setattr(sys, name, stream if leads else self.stdin if name == "stdin" else self.stdout)

    def _cmdloop(self) -> None:
        theirs, own = (sys.stdin, sys.stdout), (self.stdin, self.stdout)
        if not self.use_rawinput or theirs == own:
            super()._cmdloop()
            return
        _flush(theirs[1])
        sys.stdin, sys.stdout = own
        try:
            super()._cmdloop()
        finally:
            # What has been assigned at the prompt stays.
            if sys.stdin is own[0]:
                sys.stdin = theirs[0]
            if sys.stdout is own[1]:
                sys.stdout = theirs[1]

    def _keep_program_handler(self) -> None:
        """A handler that the program has set while it ran is not to be replaced by the one before (`pdb.Pdb.interaction`)."""
        kind = _definer(type(self), "_previous_sigint_handler")
        if kind is not None and kind._previous_sigint_handler and not _is_a_consoles(signal.getsignal(signal.SIGINT)):
            kind._previous_sigint_handler = None

    def sigint_handler(self, signum: int, frame: Any) -> None:
        if self._is_anothers_interrupt():
            return
        if _core.another_thread_has_stopped():
            # Its prompt is what was interrupted; the handler of signals runs in the main thread only.
            self.message("--KeyboardInterrupt--")
            return
        if self.allow_kbdint:
            raise KeyboardInterrupt
        self.message("\nProgram interrupted. (Use 'cont' to resume).")
        # What `set_trace` calls would else be stepped into.
        bdb._module.sys.settrace(None)
        self.set_trace(frame)

    def do_continue(self, arg: str) -> Any:
        """c(ont(inue))

        Continue execution, only stop when a breakpoint is encountered.
        """
        before = self.nosigint
        handler = signal.getsignal(signal.SIGINT)
        # A program that handles interrupts itself goes on doing so.
        theirs = handler not in (signal.SIG_DFL, signal.default_int_handler) and not _is_a_consoles(handler)
        self.nosigint = before or theirs
        try:
            return super().do_continue(arg)
        finally:
            self.nosigint = before

    do_c = do_cont = do_continue

    def do_quit(self, arg: str) -> Any:
        """q(uit) | exit

        Quit from the debugger. The program being executed is aborted.
        """
        self._quit_elsewhere()
        return super().do_quit(arg)

    do_q = do_exit = do_quit

    def do_EOF(self, arg: str) -> Any:
        """EOF

        Handles the receipt of EOF as a command.
        """
        self._quit_elsewhere()
        return super().do_EOF(arg)

    def _quit_elsewhere(self) -> None:
        """Ends the program, if it is not the main thread that has stopped: an exception would end this thread only."""
        if self._opens_terminal and threading.current_thread() is not threading.main_thread():
            for stream in (self.stdout, sys.stdout, sys.stderr):
                _flush(stream)
            os._exit(0)

    def _warn_of_changed_source(self, frame: Any) -> None:
        if frame is None or hasattr(self, "_validate_file_mtime"):  # 3.13+
            return
        file = frame.f_code.co_filename
        try:
            written = os.path.getmtime(file)
        except OSError:
            return
        if self._written.setdefault(file, written) != written:
            self.message(f"*** WARNING: file '{file}' was edited, running stale code until the program is rerun")
            self._written[file] = written


def _is(descriptor: int, terminal: str) -> bool:
    try:
        return os.ttyname(descriptor) == terminal
    except OSError:
        return False


def _leads(stream: Any, terminal: str | None) -> bool:
    """Whether a stream is open, and, if one is named, at a terminal."""
    try:
        descriptor = stream.fileno()
        return os.ttyname(descriptor) == terminal if terminal else bool(os.fstat(descriptor))
    except (AttributeError, OSError, ValueError):
        return False


def _opened(terminal: str, flags: int) -> int:
    """A descriptor of a terminal, which does not become that of this process, and none of the standard streams'."""
    opened = os.open(terminal, flags | os.O_NOCTTY | os.O_CLOEXEC)
    if opened > 2:
        return opened
    try:
        return fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(opened)


def _definer(kind: type, name: str) -> Any:
    return next((one for one in kind.__mro__ if name in vars(one)), None)


def _is_a_consoles(handler: Any) -> bool:
    return getattr(handler, "__func__", None) in (Terminal.sigint_handler, Children._guarded)


def _flush(stream: Any) -> None:
    """What the program has written comes before what the console writes."""
    try:
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return  # closed, or no stream at all
