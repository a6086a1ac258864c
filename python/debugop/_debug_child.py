"""`debugop debug-child`: runs a program that a debugged one has started, as `python` would, in the console at the same terminal."""

from __future__ import annotations

import atexit
import inspect
import json
import linecache
import os
import signal
import sys
from types import CodeType
from typing import Any

from debugop import _console, _core
from debugop import _launch as _untyped
from debugop._children import Children, Group

_launch: Any = _untyped


class Target:
    """What `pdb.Pdb._run` runs."""

    def __init__(self, filename: str, code: CodeType, namespace: dict[str, Any]) -> None:
        # `_run` empties the namespace of `__main__` first.
        self.filename, self.code, self.namespace = filename, code, dict(namespace)


def main(session: str, kind: str, text: str, arguments: list[str]) -> int:
    """Run a program of a kind that `_launch.RUNNERS` knows; `session` is what the process that has started this one says. Returns the exit status."""
    launcher, sys.modules["__main__"] = sys.modules["__main__"], _launch.main_module()
    try:
        target = _TARGETS[kind](text, arguments)
    except (ImportError, SyntaxError) as error:
        _core.report_uncaught(error.with_traceback(None))
        return 1
    try:
        with open(session) as file:
            told = json.load(file)
    except FileNotFoundError:
        # The debugger has ended meanwhile.
        return _run_alone(target)
    Children._group = group = Group(os.path.dirname(session), told["terminal"], told["first"])
    _console.Console._terminal = told["terminal"]
    _console.Console._shows_instructions = _console.Console._opens_terminal = Children._is_child = True
    try:
        group.join()
        # It may be the first one, as another program.
        atexit.register(group.end)
        console = _made()
    except OSError:
        return _run_alone(target)
    console._goes_on = told["follows"]["exec"] != "stop"
    console._take_over(told)
    del launcher
    return _run(console, target)


def _made() -> Any:
    wanted = {"readrc": False, "mode": "cli", "backend": "monitoring"}
    known = inspect.signature(_console._Pdb.__init__).parameters
    # A process group in the background may ask the terminal what it can do (3.15).
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        return _console.module.Pdb(**{name: value for name, value in wanted.items() if name in known})
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(console: Any, target: Target) -> int:
    try:
        console._run(target)
    except _console.module.Restart:
        return 1
    except SystemExit:
        raise
    except BaseException as error:
        # Without the debugger's own frames.
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_code is not target.code:
            traceback = traceback.tb_next
        _core.report_uncaught(error.with_traceback(traceback))
        if traceback is not None:
            console.message("Uncaught exception. Entering post mortem debugging")
            console.interaction(None, error if "tb_or_exc" in _parameters(console) else traceback)
        return 1
    return 1 if console._user_requested_quit else 0


def _parameters(console: Any) -> Any:
    return inspect.signature(_console._Pdb.interaction).parameters


def _run_alone(target: Target) -> int:
    failure = _core.run_code(target.code, vars(sys.modules["__main__"]))
    _launch.show_failure(failure)
    return 0 if failure is None else 1


def _namespace(**more: Any) -> dict[str, Any]:
    namespace = vars(sys.modules["__main__"])
    namespace.update(more)
    return namespace


def _script(path: str, arguments: list[str]) -> Target:
    sys.argv = [path, *arguments]
    path = _launch.absolute(path)
    if _launch.importer(path) is not None:
        import runpy

        sys.path[0 : 0 if sys.flags.safe_path else 1] = [path]
        return _of_module(vars(runpy)["_get_main_module_details"]())
    _launch.replace_first_path(os.path.dirname(os.path.realpath(path)))
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise _launch.CannotRun(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}", 2) from None
    is_compiled = path.endswith(".pyc")
    code = _launch.load_bytecode(data) if is_compiled else _launch.compile_file(data, path)
    return Target(path, code, _namespace(__file__=path))


def _module(name: str, arguments: list[str]) -> Target:
    import runpy

    sys.argv = ["-m", *arguments]
    _launch.replace_first_path(os.getcwd())
    target = _of_module(vars(runpy)["_get_module_details"](name))
    sys.argv[0] = target.filename
    return target


def _of_module(details: Any) -> Target:
    _, spec, code = details
    about = {"__file__": code.co_filename, "__package__": spec.parent, "__loader__": spec.loader, "__spec__": spec}
    return Target(code.co_filename, code, _namespace(**about))


def _command(text: str, arguments: list[str]) -> Target:
    sys.argv = ["-c", *arguments]
    _launch.replace_first_path("")
    return _of_text(text + "\n", "<string>")


def _stdin(_text: str, arguments: list[str]) -> Target:
    sys.argv = ["-", *arguments]
    _launch.replace_first_path("")
    return _of_text(sys.stdin.read() if sys.stdin is not None else "", "<stdin>")


def _of_text(text: str, filename: str) -> Target:
    code = compile(text, filename, "exec", dont_inherit=True)
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    return Target(filename, code, _namespace())


_TARGETS = {"script": _script, "module": _module, "command": _command, "stdin": _stdin}
