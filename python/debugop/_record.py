"""`record`: recording a part of a program into a file."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from debugop import _core
from debugop._libraries import library_directories, own_directories

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Record:
    """A recording: a context manager, a decorator, or made by `record` and begun with `start()`.

    `path`: the file. What is called while it is made is recorded: functions of the program's own, unless `include`, `exclude` or `all` say
    otherwise, and of these the ones that `function` names, if it does; and what the frames execute that run already.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        function: Iterable[str] = (),
        all: bool = False,
        redact: Iterable[str] = (),
        items: int = 16,
        length: int = 256,
        bits: int = 4096,
        nesting: int = 1,
        ring: int | None = None,
        limit: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self._options: dict[str, Any] = {
            "include": list(include),
            "exclude": list(exclude),
            "function": list(function),
            "all": all,
            "redact": list(redact),
            "items": items,
            "length": length,
            "bits": bits,
            "nesting": nesting,
            "ring": ring,
            "limit": limit,
        }
        self._recording: _core.Recording | None = None

    def start(self, *, running: bool = True) -> None:
        """Begin, without the frames that run already if not `running`; RuntimeError if a recording is being made already, OSError if the file cannot be written."""
        recording = _core.start_recording(
            self.path, libraries=library_directories(), own=own_directories(), **self._options
        )
        recording.begin_here(running)
        _begun.append(recording)
        self._recording = recording

    def stop(self) -> None:
        """End. Nothing happens if it has ended already. OSError if the file is not complete."""
        recording, self._recording = self._recording, None
        if recording is None:
            return
        if recording in _begun:
            _begun.remove(recording)
        problem = recording.finish()
        if problem is not None:
            raise OSError(f"the recording {self.path} is not complete: {problem}")

    def __call__(self, function: _Function) -> _Function:
        """Decorate a function: each of its outermost calls is recorded."""
        if inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__name__} is an asynchronous generator: record in a `with` block what it is iterated by"
            )
        if inspect.isgeneratorfunction(function):

            @wraps(function)
            def recorded(*args: Any, **kwargs: Any) -> Any:
                with self._begun_unless_recorded():
                    return (yield from function(*args, **kwargs))

        elif inspect.iscoroutinefunction(function):

            @wraps(function)
            async def recorded(*args: Any, **kwargs: Any) -> Any:
                with self._begun_unless_recorded():
                    return await function(*args, **kwargs)

        else:

            @wraps(function)
            def recorded(*args: Any, **kwargs: Any) -> Any:
                with self._begun_unless_recorded():
                    return function(*args, **kwargs)

        return cast(_Function, recorded)

    def _begun_unless_recorded(self) -> AbstractContextManager[Any]:
        """Begun, and until the end of the block; nothing, if a recording is being made."""
        ended = ExitStack()
        with _one_at_a_time:
            if not _core.is_recording():
                self.start()
                ended.callback(self._stop_alone)
        return ended

    def _stop_alone(self) -> None:
        with _one_at_a_time:
            self.stop()

    def __enter__(self) -> Record:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


# Recordings that a forked child must let go of.
_begun: list[_core.Recording] = []

# Threads that call decorated functions at the same time begin and end one recording after the other. A signal's handler may do so, too.
_one_at_a_time = threading.RLock()


def _forked() -> None:
    global _one_at_a_time
    _one_at_a_time = threading.RLock()
    while _begun:
        _begun.pop().detach()


def _forking() -> None:
    for recording in _begun:
        recording.flush()


os.register_at_fork(before=_forking, after_in_child=_forked)


@overload
def record(path: _Function, /) -> _Function: ...
@overload
def record(path: str | os.PathLike[str], /, **options: Any) -> Record: ...
def record(path: Any, /, **options: Any) -> Any:
    """Record into a file what is called, from now until the end of a `with` block, or in a function.

        with debugop.record("run.debugop"):
            handle(request)

        @debugop.record
        def handle(request): ...

        @debugop.record("requests.debugop", items=100)
        def handle(request): ...

    A decorated function records each of its outermost calls, into `NAME.debugop` in the working directory or the file that is named, where the last one stays; a generator from
    its first item to its end, a coroutine while it is awaited. Called while a recording is being made it is just called, and is in that one. The options are those of `Record`.
    """
    if callable(path):
        return Record(f"{path.__name__}.debugop", **options)(path)
    return Record(path, **options)
