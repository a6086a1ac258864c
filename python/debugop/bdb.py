"""The standard library's `bdb`, with events from debugop.

Every name that this version's `bdb` has is here, with its meaning; `Bdb` is the base class of debuggers. What stops is decided in
Rust as far as it can be: Python is entered for events that may stop only, and after `set_continue` the lines without breakpoints
cost nothing (3.12+). Subclasses may override what they like; one that replaces `trace_dispatch`, a `dispatch_*` method or one that
decides where to stop is told of every event, as by the standard library's.

`user_call` is called for functions that stop or have a breakpoint in them, not for every function of a file with breakpoints.
"""

import sys
from typing import Any

from debugop import _core, _standard

_module = _standard.load("bdb")
_Bdb: Any = _module.Bdb

Breakpoint: Any = _module.Breakpoint
BdbQuit: Any = _module.BdbQuit
checkfuncname: Any = _module.checkfuncname
set_trace: Any = _module.set_trace
GENERATOR_AND_COROUTINE_FLAGS: int = _module.GENERATOR_AND_COROUTINE_FLAGS
__all__ = list(_module.__all__)

# What decides where to stop, and what that calls.
_DECIDING = (
    "trace_dispatch",
    "dispatch_line",
    "dispatch_call",
    "dispatch_return",
    "dispatch_exception",
    "dispatch_opcode",
    "stop_here",
    "break_here",
    "break_anywhere",
    "is_skipped_module",
    "get_break",
)


def effective(file: str, line: int, frame: Any) -> tuple[Any, bool | None]:
    """The first breakpoint of a line that is in effect, and whether it may be deleted if it is temporary; or (None, None)."""
    return _core.effective(Breakpoint.bplist[file, line], frame)


class Bdb(_Bdb):  # type: ignore[misc]
    """Base class of debuggers, as the standard library's `bdb.Bdb`."""

    _by_instruction: bool = False
    """Whether `_at_instruction` is called for each instruction of frames with `f_trace_opcodes`, in place of `trace_dispatch`."""

    _has_gone_by_instruction: bool = False
    """Whether `_by_instruction` has ever been set."""

    def _at_instruction(self, frame: Any) -> None:
        """An instruction of `frame` is about to be executed, and `_by_instruction` is set."""

    def _start_session(self, dispatch: Any) -> None:
        """Begin to get this thread's events; `dispatch` is the bound `trace_dispatch`."""
        own, cls = vars(self), type(self)
        decides = all(name not in own and getattr(cls, name, None) is getattr(_Bdb, name, None) for name in _DECIDING)
        user_call = cls.user_call
        hears_calls = user_call is not _Bdb.user_call and not getattr(user_call, "only_stops", False)
        _core.start_session(self, dispatch, Breakpoint, decides, hears_calls)

    def _set_stopinfo(self, *arguments: Any, **keywords: Any) -> None:
        super()._set_stopinfo(*arguments, **keywords)
        _core.session_changed(self, False)

    def _add_to_breaks(self, filename: str, lineno: int) -> None:
        super()._add_to_breaks(filename, lineno)
        _core.session_changed(self, True)

    def _prune_breaks(self, filename: str, lineno: int) -> None:
        super()._prune_breaks(filename, lineno)
        _core.session_changed(self, True)

    def clear_all_file_breaks(self, filename: str) -> Any:
        result = super().clear_all_file_breaks(filename)
        _core.session_changed(self, True)
        return result

    def clear_all_breaks(self) -> Any:
        result = super().clear_all_breaks()
        _core.session_changed(self, True)
        return result

    if sys.version_info[:2] == (3, 13):

        def set_continue(self) -> None:
            super().set_continue()
            # It holds the frame, which could not leave its copy then; later versions forget it themselves.
            self.enterframe = None

    if hasattr(_Bdb, "start_trace"):  # 3.14+, where `backend` chooses; both are ours

        def start_trace(self) -> None:
            _module.sys.settrace(self.trace_dispatch)

        def stop_trace(self) -> None:
            _module.sys.settrace(None)


def only_stops(user_call: Any) -> Any:
    """Marks a `user_call` that does nothing where `stop_here` is false: functions need not be told of for their breakpoints' sake."""
    user_call.only_stops = True
    return user_call


# The standard library's own functions use these.
vars(_module).update(Bdb=Bdb, effective=effective)


def __getattr__(name: str) -> Any:
    return getattr(_module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_module)})
