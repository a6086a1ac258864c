"""`trace`, `Trace` and `Follow`: watching functions, and putting them back."""

from __future__ import annotations

import functools
import inspect
import os
import shutil
import sys
import threading
import types
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Literal, TypeVar, overload

from debugop import _core
from debugop._libraries import library_directories, own_directories

_F = TypeVar("_F", bound=Callable[..., Any])

Engine = Literal["inject", "monitoring", "settrace"]
"""How debugop learns of steps."""

Callback = Callable[[_core.Step], object]
"""What is called with each step; its result is ignored, an exception is raised at the instruction."""


@dataclass(frozen=True, kw_only=True)
class Follow:
    """Which calls of a traced function are followed into the functions that they call.

    By default the program's own code is: not the standard library, not installed packages, never debugop itself.

    `include`: glob patterns for code that is followed besides. A pattern names modules, classes or functions and all
    that is in them (`"json"`, `"json.decoder"`, `"*.encode"`), or files if it has a `/` (`"src/**/*.py"`,
    `"vendored/"`).
    `exclude`: patterns of the same kind for code that is never followed, whatever else says so.
    `depth`: how many calls below the first traced frame; None: any number.
    `all`: libraries too.

    ValueError for an empty or malformed pattern; OverflowError for a depth below 0.
    """

    include: Iterable[str] = ()
    exclude: Iterable[str] = ()
    depth: int | None = None
    all: bool = False
    _core: _core.Follow = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("include", "exclude"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        core = _core.Follow(
            include=list(self.include),
            exclude=list(self.exclude),
            all=self.all,
            depth=self.depth,
            libraries=library_directories(),
            own=own_directories(),
        )
        object.__setattr__(self, "_core", core)


def _follow(follow: bool | Follow | None) -> Follow | None:
    if follow is None or follow is False:
        return None
    if follow is True:
        return Follow()
    if isinstance(follow, Follow):
        return follow
    raise TypeError(f"follow must be None, a bool or a debugop.Follow, not {type(follow).__name__}")


class Trace:
    """Reports every instruction that a target executes: to a callback, or, without one, to `records`.

    Made by `trace`; `start` makes one of the whole program. It is a context manager and has `start()` and `stop()`; calling it runs the target under it. While
    it is active the target's functions run copies of their code with probes in them; at the end every function gets its
    own code back. What is still running then (a suspended generator, another thread) finishes with probes that do
    nothing.

    It is active, for all threads, after `start()` until `stop()`, and inside `with` blocks and calls. Those are counted
    so that they may be nested, repeated and used by several threads: each starts what is not active, and the last one
    ends it. It can be started again; steps are then numbered from 1, the limit counts anew, and records are added to
    those that are there.
    """

    def __init__(
        self,
        target: object,
        callback: Callback | None = None,
        *,
        follow: bool | Follow | None = None,
        where: _core.Predicate | None = None,
        limit: int | None = None,
        engine: Engine = "inject",
        everywhere: Follow | None = None,
    ) -> None:
        if not (target is None or _is_callable(target) or isinstance(target, types.CodeType)):
            raise TypeError(f"cannot trace a {type(target).__name__}: a callable or a code object is needed")
        if callback is not None and not _is_callable(callback):
            raise TypeError(f"the callback must be callable, not {type(callback).__name__}")
        if where is not None and not isinstance(where, _core.Predicate):
            raise TypeError(f"where must be a debugop.Predicate, not {type(where).__name__}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        self.target = target
        self.callback = callback
        self.follow = _follow(follow)
        self.where = where
        self.limit = limit
        self.engine = engine
        self.everywhere = everywhere
        self.records = _core.Records()
        self._lock = threading.RLock()
        self._entered = 0
        self._held = False
        self._core: _core.Tracer | None = None
        self._code: types.CodeType | None = None
        self._earlier = 0
        self._run: Callable[..., Any] | None = None

    @property
    def active(self) -> bool:
        """Whether the target's functions are probed now. A trace that has reached its limit is still active."""
        return self._core is not None

    @property
    def steps(self) -> int:
        """How many steps have been reported, in all the times that the trace was active."""
        with self._lock:
            return self._earlier + (self._core.steps if self._core is not None else 0)

    @property
    def code(self) -> types.CodeType:
        """The copy with probes of a target that is a code object, for `exec`; RuntimeError while not active."""
        if self._code is None:
            raise RuntimeError("there is a probed copy only of a code object, and only while the trace is active")
        return self._code

    def start(self) -> None:
        """Start reporting; nothing if the trace has been started already.

        TypeError when the target runs no Python function, ValueError when its code cannot be probed; nothing is changed
        then.
        """
        with self._lock:
            self._begin()
            self._held = True

    def stop(self) -> None:
        """End reporting and restore every function, also inside `with` blocks; nothing if the trace is not active.

        Can be called from any thread, and from the callback.
        """
        with self._lock:
            self._held = False
            self._end()

    def __enter__(self) -> Trace:
        with self._lock:
            self._begin()
            self._entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._entered -= 1
            if not self._entered and not self._held:
                self._end()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the target under the trace and return its result.

        With a generator function, coroutine function or asynchronous generator function the trace is active from the
        first step of what is returned to its end. A target that is a code object is given to `exec`, with the arguments
        as globals and locals.
        """
        if self._run is None:
            self._run = _execute(self) if isinstance(self.target, types.CodeType) else _wrapper(self, self.target)
        return self._run(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind as a function does, so that `@debugop.trace` works on methods."""
        return self if instance is None else types.MethodType(self, instance)

    def __len__(self) -> int:
        """How many records there are; 0 with a callback."""
        return len(self.records)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[_core.Record]:
        return iter(self.records)

    def filter(self, predicate: _core.Predicate) -> list[_core.Record]:
        """The records for which `predicate` holds."""
        return self.records.filter(predicate)

    def print(self, file: IO[str] | None = None, width: int | None = None) -> None:
        """Print the records as text to `file` (standard output), at most `width` columns wide (the terminal's).

        In colour on a terminal, unless the environment variable NO_COLOR is set.
        """
        file = sys.stdout if file is None else file
        width = shutil.get_terminal_size((100, 0)).columns if width is None else width
        file.write(self.records.text(width, file.isatty() and not os.environ.get("NO_COLOR")))

    def __repr__(self) -> str:
        state = "active" if self.active else "not active"
        target = "the whole program" if self.everywhere is not None else _name(self.target)
        return f"<debugop.Trace of {target}, {state}, {self.steps} steps>"

    def _begin(self) -> None:
        if self._core is not None:
            return
        handler = self.records if self.callback is None else self.callback
        core = _core.Tracer(
            handler,
            wanted=self.where,
            follow=None if self.follow is None else self.follow._core,
            limit=self.limit,
            engine=self.engine,
            everywhere=None if self.everywhere is None else self.everywhere._core,
        )
        self._core = core
        try:
            if self.everywhere is not None:
                core.enter()
                core.attach()
            elif isinstance(self.target, types.CodeType):
                self._code = core.watch(self.target)
            elif not sum(core.watch_callable(one) for one in _callables(self.target)):
                raise TypeError(f"{_name(self.target)} runs no Python function that could be traced")
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        core, self._core = self._core, None
        self._code = None
        if core is not None:
            self._earlier += core.steps
            core.stop()
            _warn_of_left_out(*core.left_out)


def _warn_of_left_out(count: int, named: list[str]) -> None:
    """One warning for all the code that was to be traced and is not, where the trace ends."""
    if count:
        further = f"\n  and {count - len(named)} more" if count > len(named) else ""
        text = "debugop has not traced\n  " + "\n  ".join(named) + further
        warnings.warn(text, RuntimeWarning, stacklevel=4)


def _is_callable(value: object) -> bool:
    return callable(value)


def _name(target: object) -> str:
    if isinstance(target, types.CodeType):
        return target.co_qualname
    name = getattr(target, "__qualname__", None)
    return name if isinstance(name, str) else f"a {type(target).__name__}"


def _callables(target: object) -> Iterator[object]:
    """What has to be watched for `target`: itself, and what a class defines."""
    while isinstance(target, types.FunctionType) and isinstance(inner := target.__dict__.get("trace"), Trace):
        target = inner.target
    if target is None:
        return
    yield target
    if isinstance(target, type):
        for member in type.__dict__["__dict__"].__get__(target).values():
            if isinstance(member, property):
                yield from filter(None, (member.fget, member.fset, member.fdel))
            elif isinstance(member, functools.cached_property | functools.partialmethod):
                yield member.func
            elif isinstance(member, types.FunctionType | staticmethod | classmethod):
                yield member


def _execute(trace: Trace) -> Callable[..., None]:
    def execute(globals: dict[str, Any], locals: Any = None, /) -> None:
        with trace:
            exec(trace.code, globals, locals)

    return execute


def _wrapper(trace: Trace, function: Any) -> Callable[..., Any]:
    """A function like `function` that runs it under `trace`."""
    kind = function
    if not (inspect.isroutine(function) or isinstance(function, functools.partial | type)):
        kind = type(function).__call__
    wrapper: Callable[..., Any]
    if inspect.iscoroutinefunction(kind):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with trace:
                return await function(*args, **kwargs)

    elif inspect.isasyncgenfunction(kind):

        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with trace:
                generator = function(*args, **kwargs)
                advance: Coroutine[Any, Any, Any] = generator.asend(None)
                try:
                    while True:
                        try:
                            value = await advance
                        except StopAsyncIteration:
                            return
                        try:
                            sent = yield value
                        except GeneratorExit:
                            raise
                        except BaseException as thrown:
                            advance = generator.athrow(thrown)
                        else:
                            advance = generator.asend(sent)
                finally:
                    await generator.aclose()

    elif inspect.isgeneratorfunction(kind):

        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with trace:
                return (yield from function(*args, **kwargs))

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with trace:
                return function(*args, **kwargs)

    return functools.update_wrapper(wrapper, function)


@overload
def trace(
    target: None = None,
    callback: Callback | None = None,
    *,
    follow: bool | Follow | None = None,
    where: _core.Predicate | None = None,
    limit: int | None = None,
    engine: Engine = "inject",
) -> Callable[[_F], _F]: ...


@overload
def trace(
    target: object,
    callback: Callback | None = None,
    *,
    follow: bool | Follow | None = None,
    where: _core.Predicate | None = None,
    limit: int | None = None,
    engine: Engine = "inject",
) -> Trace: ...


def trace(
    target: object = None,
    callback: Callback | None = None,
    *,
    follow: bool | Follow | None = None,
    where: _core.Predicate | None = None,
    limit: int | None = None,
    engine: Engine = "inject",
) -> Any:
    """Report every instruction that `target` executes, with its value stack.

    `target`: a function, bound, static or class method, `functools.partial`, any other callable that ends in a Python
    function; a class, that is, its constructors and the methods that it defines itself; or a code object. The code
    nested in it (inner functions, comprehensions, class bodies) is traced too.
    `callback`: called with a `Step` before each instruction; an exception in it is raised in the program, at that
    instruction. What the callback itself runs is not reported to it. Without a callback, `Record`s are collected.
    `follow`: also trace the functions that are called: None or False, none; True, the program's own; or a `Follow`.
    `where`: report only the steps for which this predicate holds.
    `limit`: report no more than so many steps each time that the trace is active.
    `engine`: how debugop learns of steps, which are the same from each: "inject", by DEBUG_OPs in copies of the code;
    "monitoring" (3.12+), by events of `sys.monitoring`; "settrace", by events of a trace function. See docs/engines.md.

    Returns a `Trace`, to be used in one of three ways:

        with debugop.trace(function, callback):
            ...

        result = debugop.trace(function, callback)(*args)

        @debugop.trace(callback=callback)
        def function(...): ...

    In the last, without a target, it returns a decorator, for functions and methods of every kind; the decorated
    function has its `Trace` as attribute `trace`.

    TypeError for a target, callback, follow or where of the wrong type; ValueError for a limit below 1.
    """
    options: dict[str, Any] = {"follow": follow, "where": where, "limit": limit, "engine": engine}
    if target is not None:
        return Trace(target, callback, **options)
    Trace(None, callback, **options)  # a wrong argument is reported here, not when something is decorated

    def decorate(function: Any) -> Any:
        if isinstance(function, staticmethod | classmethod):
            return type(function)(decorate(function.__func__))
        if isinstance(function, type) or not callable(function):
            raise TypeError(
                f"cannot decorate {_name(function)}: decorate functions and methods, under @property and the like"
            )
        its_trace = Trace(function, callback, **options)
        wrapper = _wrapper(its_trace, function)
        wrapper.trace = its_trace  # type: ignore[attr-defined]
        return wrapper

    return decorate
