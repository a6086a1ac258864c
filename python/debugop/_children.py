"""The console's side of other processes: programs that the debugged one starts, and forks of it, at the same terminal, one prompt at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from debugop import _core, _places, _recordenv, bdb

_Base: Any = Any if TYPE_CHECKING else object

_WHAT = {"exec": ("off", "on", "stop"), "fork": ("parent", "child", "both")}
# What the directories of groups are called, before the number of the first process.
_FOLDER = "debugop-follow-"
# What is there of the commands of a breakpoint (`pdb.Pdb`; the last two until 3.13).
_COMMANDS = ("commands", "commands_doprompt", "commands_silent")


class Group:
    """The processes that are debugged at one terminal.

    They have a directory in common, which goes with the first of them. `PID.json` is what goes along to the programs that a process starts, `PID.alive`
    is locked as long as it lives, `prompt` by who has the prompt, who leaves its number there, and `latest` is the number of the one that has come to a stop
    or begun last: the one that Ctrl-C is meant for. The locks are those of processes (`lockf`): a fork does not inherit them, and they end with their process.
    """

    def __init__(self, directory: str, terminal: str, first: int) -> None:
        self.directory, self.terminal, self.first = directory, terminal, first
        self._process = 0
        self._prompt: int | None = None

    def join(self) -> None:
        """This process, which may be a new one since the last call, is one of them."""
        if self._process == os.getpid():
            return
        self._process, self._prompt = os.getpid(), None
        # Open as long as the process is there.
        _lock(os.open(self._file(f"{self._process}.alive"), os.O_RDWR | os.O_CREAT, 0o600), wait=False)
        self.is_latest()

    def _file(self, name: str) -> str:
        return os.path.join(self.directory, name)

    @property
    def session(self) -> str:
        """The file that says what goes along to the programs that this process starts."""
        return self._file(f"{self._process}.json")

    def announce(self, what: dict[str, Any]) -> None:
        """Write down what goes along; `what` is that without where this is."""
        told = json.dumps({"terminal": self.terminal, "first": self.first, **what})
        # One that is starting reads the one or the other.
        with open(f"{self.session}.new", "w") as file:
            file.write(told)
        os.replace(f"{self.session}.new", self.session)

    def is_latest(self) -> None:
        """This process is the one that has come to a stop last."""
        fd = os.open(self._file("latest"), os.O_RDWR | os.O_CREAT, 0o600)
        _write_number(fd)
        os.close(fd)

    def is_anothers(self) -> bool:
        """Whether an interrupt is meant for another process than this one."""
        try:
            with open(self._file("latest")) as file:
                latest = int(file.read() or 0)
        except OSError:
            return False
        return latest not in (0, os.getpid()) and self._is_alive(latest)

    def _is_alive(self, process: int) -> bool:
        try:
            fd = os.open(self._file(f"{process}.alive"), os.O_RDWR)
        except OSError:
            return False
        try:
            return not _lock(fd, wait=False)
        finally:
            os.close(fd)

    def is_here(self) -> bool:
        """Whether the first of the processes, with which the terminal goes, is still there."""
        return self.first == os.getpid() or self._is_alive(self.first)

    def wait_for_prompt(self) -> int:
        """Waits until no other process has the prompt; returns which had it last, 0 if none had."""
        fd = os.open(self._file("prompt"), os.O_RDWR | os.O_CREAT, 0o600)
        while True:
            # Who is interrupted is the one that has the prompt.
            with contextlib.suppress(KeyboardInterrupt):
                _lock(fd, wait=True)
                break
        self._prompt = fd
        before = int(os.pread(fd, 32, 0) or 0)
        _write_number(fd)
        return before

    def leave_prompt(self) -> None:
        """Another process may have the prompt."""
        if self._prompt is not None:
            with contextlib.suppress(OSError):  # the program may have closed it
                os.close(self._prompt)
            self._prompt = None

    def end(self) -> None:
        """The first process ends, and with it the others' debugging."""
        if self.first == os.getpid():
            shutil.rmtree(self.directory, ignore_errors=True)


def _write_number(fd: int) -> None:
    os.pwrite(fd, b"%-20d" % os.getpid(), 0)


def _lock(fd: int, wait: bool) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (BlockingIOError, PermissionError):
        return False
    return True


def forget_the_dead(directory: str, folder: str) -> None:
    """Deletes what processes have left that were killed: directories whose names are `folder` and the process' number."""
    for name in os.listdir(directory):
        process = name.removeprefix(folder).partition("-")[0]
        if not name.startswith(folder) or not process.isdecimal():
            continue
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
        except (OSError, OverflowError):
            continue  # somebody else's


class Children(_Base):  # type: ignore[misc]
    """What a console is made of, before `pdb.Pdb`."""

    _wait_for_mainpyfile: bool

    # The processes that this one is debugged together with, once `set follow-exec` or `set follow-fork both` has been said.
    _group: Group | None = None
    _follows: ClassVar = {"exec": "off", "fork": "parent"}
    # The numbers of what has been said not to go along.
    _stays: ClassVar[set[int]] = set()
    # Whether this process has been started by a debugged one.
    _is_child = False
    # Whether it goes on by itself when it begins.
    _goes_on = False
    # How many interactions are in one another, and the process group that has the terminal between them, if that is not this process'.
    _within = 0
    _foreground: int | None = None
    # The process in which `_run` has begun.
    _began = 0

    # Commands.

    def do_set(self, arg: str) -> Any:
        """set follow-exec off | on | stop
        set follow-fork parent | child | both

        Which processes are debugged. "follow-exec on": Python programs that
        this one starts, or becomes, come up in the debugger at the same
        terminal, with all breakpoints but watchpoints; with "stop" they
        stop before their first line, too. One process has the prompt, the
        others wait for their turn. "follow-fork" says which process of a
        fork is debugged. What is not debugged goes on without breakpoints.
        """
        words = arg.split()
        what = words[0].removeprefix("follow-") if words and words[0].startswith("follow-") else ""
        if what not in _WHAT:
            return self.default(f"set{arg}" if arg.startswith("(") else f"set {arg}")
        if len(words) == 1:
            self.message(f"follow-{what} is {self._follows[what]}")
        elif len(words) == 2 and words[1] in _WHAT[what]:
            self._follow(what, words[1])
        else:
            self.error(f"set follow-{what} {' | '.join(_WHAT[what])}")
        return None

    def complete_set(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        word = line[:begidx].partition("follow-")[2].strip(" -")
        choices = _WHAT.get(word) or [f"follow-{what}" for what in _WHAT]
        if line[:begidx].endswith("follow-"):  # "-" is a delimiter
            choices = list(_WHAT)
        return [choice for choice in choices if choice.startswith(text)]

    def _follow(self, what: str, value: str) -> None:
        if value in ("on", "stop", "both") and not self._joins():
            return
        before = self._follows
        Children._follows = {**before, what: value}
        try:
            self._tell_followed()
        except RuntimeError as error:
            Children._follows = before
            self.error(str(error))

    def _joins(self) -> bool:
        """Whether there is a terminal for several processes; says so if not."""
        if self._group is None:
            try:
                # What reads at the prompt of 3.15 has no descriptor; it reads from the standard input.
                terminal = self._terminal or os.ttyname(self.stdin.fileno() if hasattr(self.stdin, "fileno") else 0)
            except (AttributeError, OSError, ValueError):
                self.error("Other processes are debugged at a terminal only, and the commands do not come from one")
                return False
            import atexit
            import tempfile

            forget_the_dead(tempfile.gettempdir(), _FOLDER)
            directory = tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-")
            Children._group = group = Group(directory, terminal, os.getpid())
            group.join()
            group.wait_for_prompt()
            atexit.register(group.end)
        return True

    def do_detach(self, arg: str) -> Any:
        """detach

        Leave this process: it goes on without the debugger, and ends when
        the program ends.
        """
        if arg:
            self._print_invalid_arg_or(arg)
            return None
        if not self._is_live():
            return None
        self._detach()
        return 1

    def _detach(self) -> None:
        for breakpoint in bdb.Breakpoint.bpbynumber:
            if breakpoint is not None:
                breakpoint.deleteMe()
        self.clear_all_breaks()
        Children._follows = {"exec": "off", "fork": "parent"}
        self._tell_followed()
        _core.leave_process()
        self._agree()
        self.set_continue()

    def do_run(self, arg: str) -> Any:
        """run [args...]

        Restart the debugged python program. If a string is supplied
        it is split with "shlex", and the result is used as the new
        sys.argv. History, breakpoints, actions and debugger options
        are preserved. "restart" is an alias for "run".
        """
        if self._is_child:
            self.error("This process was started by another one, and only that can do it again")
            return None
        return super().do_run(arg)

    do_restart = do_run

    # What goes along.

    def _tell_followed(self) -> None:
        """Says to whom it concerns what is followed, and to the programs that are started what goes along."""
        executes, forks = self._follows["exec"], self._follows["fork"]
        _core.follow_fork(forks != "child", forks != "parent")
        group = self._group
        follows = executes != "off" and group is not None
        if group is not None and follows:
            group.join()
            group.announce(
                {
                    "follows": self._follows,
                    "breakpoints": [self._described(one) for one in bdb.Breakpoint.bpbynumber if _goes_along(one)],
                    "aliases": self.aliases,
                }
            )
            self._tell_what_stays()
        _core.follow_programs(_recordenv.package_directory(), group.session if group and follows else None)

    def _tell_what_stays(self) -> None:
        for one in bdb.Breakpoint.bpbynumber:
            if one is not None and not _goes_along(one) and one.number not in self._stays:
                self._stays.add(one.number)
                self.message(f"{str(one)[0].upper()}{str(one)[1:]} does not go along to other programs")

    def _described(self, breakpoint: Any) -> dict[str, Any]:
        told = {name: getattr(breakpoint, name, None) for name in _KEPT}
        commands = {name: getattr(self, name, {}).get(breakpoint.number) for name in _COMMANDS}
        return {**told, **commands, "place": _places.told(breakpoint)}

    def _take_over(self, told: dict[str, Any]) -> None:
        """Has what goes along with the programs that a process starts."""
        Children._follows = told["follows"]
        self.aliases.update(told["aliases"])
        numbered = bdb.Breakpoint.bpbynumber
        for one in told["breakpoints"]:
            # They have the same numbers in all processes.
            numbered.extend([None] * (one["number"] - len(numbered)))
            bdb.Breakpoint.next = one["number"]
            temporary = bool(one["temporary"])
            if one["place"] is not None:
                _places.made(one["place"], temporary=temporary, condition=one["cond"])
            elif self.set_break(one["file"], one["line"], temporary, one["cond"], one["funcname"]):
                continue  # a file that is not there any more
            made = numbered[-1]
            made.enabled, made.ignore = one["enabled"], one["ignore"]
            if one["log"] is not None:
                made.log = one["log"]
            for name in _COMMANDS:
                if one[name] is not None:
                    getattr(self, name)[made.number] = one[name]
        _core.session_changed(self, True)
        self._tell_followed()

    # Stops.

    def user_line(self, frame: Any) -> Any:
        if self._goes_on and self._wait_for_mainpyfile and self.canonic(frame.f_code.co_filename) == self.mainpyfile:
            self._goes_on = False
            # No stop does it.
            self._agree()
            if not self.break_here(frame):
                self._wait_for_mainpyfile = False
                self.do_continue("")
                return None
        return super().user_line(frame)

    def interaction(self, *arguments: Any, **keywords: Any) -> Any:
        self._keep_terminal()
        if Children._within == 0 and not self._takes_prompt():
            return self._left_alone()
        Children._within += 1
        try:
            return super().interaction(*arguments, **keywords)
        finally:
            Children._within -= 1
            if Children._within == 0:
                self._gives_prompt()

    def _takes_prompt(self) -> bool:
        """Waits until no other process has the prompt; false if the terminal is not there any more."""
        group = self._group
        if group is None:
            return True
        if signal.getsignal(signal.SIGINT) == self._guarded:
            _set_handler(signal.default_int_handler)
        try:
            before = group.wait_for_prompt()
            if not group.is_here():
                raise FileNotFoundError
            group.join()
        except FileNotFoundError:
            # The process that the terminal belongs to has ended, and whoever waits for it has it now.
            group.leave_prompt()
            return False
        group.is_latest()
        if (before or group.first) != os.getpid():
            program = os.path.basename(sys.argv[0]) if sys.argv else ""
            self.message(f"[Switching to process {os.getpid()} ({program})]")
        self._foreground = _bring_to_foreground(self.stdin)
        return True

    def _gives_prompt(self) -> None:
        group = self._group
        if group is None:
            return
        self._tell_followed()
        _give_back(self.stdin, self._foreground)
        group.leave_prompt()
        # Ctrl-C at the prompt of another process is not to interrupt the program here.
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            _set_handler(self._guarded)

    def _left_alone(self) -> None:
        Children._group = None
        self._detach()

    def _guarded(self, signum: int, frame: Any) -> None:
        if not self._is_anothers_interrupt():
            signal.default_int_handler(signum, frame)

    def _is_anothers_interrupt(self) -> bool:
        return self._group is not None and self._group.is_anothers()

    # Ends.

    def _run(self, target: Any) -> Any:
        self._began = os.getpid()
        try:
            result = super()._run(target)
        except SystemExit as error:
            if not self._is_left():
                raise
            self._ends_left()
            _leave(error.code)
        except BaseException:
            if not self._is_left():
                raise
            sys.excepthook(*sys.exc_info())
            self._ends_left()
            _leave(1)
        if self._is_left():
            self._ends_left()
            _leave(0)
        return result

    def _ends_left(self) -> None:
        """The process ends, which is not debugged any more."""

    def _is_left(self) -> bool:
        """Whether this process ends with its program, which has ended: it is not debugged any more, or a fork of one that is."""
        return _core.is_left() or (self._follows["fork"] == "both" and os.getpid() != self._began)


_KEPT = ("number", "file", "line", "temporary", "cond", "funcname", "enabled", "ignore", "log")


def _goes_along(breakpoint: Any) -> bool:
    return type(breakpoint) is bdb.Breakpoint or _places.told(breakpoint) is not None


def _set_handler(handler: Any) -> None:
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, handler)


def _bring_to_foreground(terminal: Any) -> int | None:
    """A process group of its own may not read from its terminal; returns the one that might."""
    try:
        before = os.tcgetpgrp(terminal.fileno())
    except (AttributeError, OSError, ValueError):
        return None  # no terminal, or that of another session, which anybody may read
    if before == os.getpgrp():
        return None
    _set_foreground(terminal, os.getpgrp())
    return before


def _give_back(terminal: Any, group: int | None) -> None:
    if group is not None:
        _set_foreground(terminal, group)


def _set_foreground(terminal: Any, group: int) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        with contextlib.suppress(OSError):  # a group that is gone
            os.tcsetpgrp(terminal.fileno(), group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave(status: Any) -> None:
    """Ends a process that is not debugged any more, as the program's own end would have."""
    import atexit

    if isinstance(status, str):
        print(status, file=sys.stderr)
        status = 1
    vars(threading)["_shutdown"]()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit((status or 0) & 0xFF if isinstance(status, int) or status is None else 1)


if hasattr(os, "register_at_fork"):
    # Builtin functions, which nobody steps into.
    os.register_at_fork(after_in_child=_core.forked_in_child, after_in_parent=_core.forked_in_parent)
