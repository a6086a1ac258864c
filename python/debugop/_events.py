"""Trace and profile functions of all threads."""

import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from debugop import _core

Function = Callable[[FrameType, str, Any], Any]


def settrace_all_threads(function: Function | None, /) -> None:
    """Set the trace function of every thread: of those that run now, and of those that `threading` starts from now on.

    None takes it away. Nothing is changed for threads that run when `settrace` is called in them later.
    """
    threading.settrace(None if function is None else _first(_core.settrace, function))
    _core.settrace_running_threads(function)


def setprofile_all_threads(function: Function | None, /) -> None:
    """Set the profile function of every thread, as `settrace_all_threads` does with the trace function."""
    threading.setprofile(None if function is None else _first(_core.setprofile, function))
    _core.setprofile_running_threads(function)


def _first(install: Callable[[Function], None], function: Function) -> Function:
    """What a new thread calls first, for its first event: the function takes its place."""

    def first(frame: FrameType, event: str, argument: Any) -> Any:
        install(function)
        return function(frame, event, argument)

    return first
