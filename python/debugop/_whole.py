"""`start` and `stop`: tracing a program from the middle of it."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from debugop import _core
from debugop._trace import Callback, Engine, Follow, Trace

_lock = threading.Lock()
_started: Trace | None = None


def start(
    callback: Callback | None = None,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    all: bool = False,
    where: _core.Predicate | None = None,
    limit: int | None = None,
    engine: Engine = "inject",
) -> Trace:
    """Trace the whole program from now on, until `stop()`.

    What is running is traced from its next instruction on: the frames on the stacks of all threads, suspended
    generators and coroutines, and everything that will be called, whoever calls it.

    `callback`: called with a `Step` before each instruction, as for `trace`. Without one, `Record`s are collected.
    `include`, `exclude`, `all`: which code, as for `Follow`; by default the program's own.
    `where`, `limit`, `engine`: as for `trace`.

    Returns the `Trace`. RuntimeError if `start` was called before and `stop` was not, or if another tool is in the way.

        debugop.start()
        handle(request)
        debugop.stop().print()
    """
    global _started
    everywhere = Follow(include=include, exclude=exclude, all=all)
    trace = Trace(None, callback, where=where, limit=limit, engine=engine, everywhere=everywhere)
    with _lock:
        if _started is not None and _started.active:
            raise RuntimeError("debugop.start() has been called already: call debugop.stop() first")
        _started = trace
    trace.start()
    return trace


def stop() -> Trace:
    """End what `start()` began, and return its `Trace`; RuntimeError if there is nothing to end.

    Every function has its own code again, and nothing that is called from then on is slower than before. Frames that were
    entered meanwhile go on in their own code from their next loop on, as fast as before.
    """
    global _started
    with _lock:
        trace, _started = _started, None
    if trace is None:
        raise RuntimeError("there is nothing to stop: debugop.start() has not been called")
    trace.stop()
    return trace
