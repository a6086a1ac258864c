"""Runs a program as `python` itself would, under a report.

What the interpreter does for a script, a directory or zip file, `-m`, `-c` and standard input is in `Modules/main.c`
(`pymain_run_python` and its neighbours) and `Lib/runpy.py`; this does the same up to the point where the code is run, which
`_core.Run.execute` does.
"""

import atexit
import importlib.machinery
import io
import linecache
import os
import pkgutil
import runpy
import sys
import textwrap
import types
from dataclasses import dataclass, field

from debugop import _core
from debugop._libraries import library_directories


class CannotRun(Exception):
    """There is no program to run; the text says why. `status` is the exit status that `python` has for it."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Program:
    """A program that is ready to run: its code, and what its `__main__` module holds beside the usual."""

    code: types.CodeType
    attributes: dict
    sources: list = field(default_factory=list)


def main(argv=None) -> int:
    """The command line's entry point; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    color = sys.stdout.isatty() and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    parsed = _core.parse_command_line(["debugop", *arguments], color)
    if isinstance(parsed, tuple):
        text, to_stderr, status = parsed
        return show(text, sys.stderr if to_stderr else sys.stdout, status)
    try:
        return run(parsed)
    except CannotRun as error:
        return show(f"debugop: {error}\n", sys.stderr, error.status)


def show(text: str, stream, status: int) -> int:
    """Print and return `status`; a reader that has gone away is no reason to fail."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # The interpreter flushes once more when it exits, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


def run(request) -> int:
    """Run the program of a parsed `debugop run`."""
    kind, text = request.target
    # As under `python`, the old module is replaced, not reused; it is kept, because functions of it still run.
    launcher, module = sys.modules["__main__"], types.ModuleType("__main__")
    module.__builtins__ = __builtins__
    sys.modules["__main__"] = module
    try:
        program = LOADERS[kind](text, request.args)
    except SyntaxError as error:
        _core.report_uncaught(error.with_traceback(None))
        return 1
    vars(module).update(program.attributes)
    try:
        report = request.start(library_directories(), program.sources)
    except OSError as error:
        raise CannotRun(f"cannot write the report to {error.filename!r}: {error.strerror}", 2) from None
    # The first callback to be registered is the last to run: what the program does at its exit is traced too.
    atexit.register(finish, report, launcher)
    os.register_at_fork(before=report.flush, after_in_child=report.detach)
    return outcome(report.execute(program.code, vars(module)))


def outcome(error) -> int:
    """Do with an uncaught exception what the interpreter does; returns the exit status."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        raise error
    _core.report_uncaught(error)
    if isinstance(error, KeyboardInterrupt):
        # The interpreter ends by SIGINT after its usual finalisation if this is what reaches its top level.
        sys.excepthook = lambda *_: None
        raise KeyboardInterrupt
    return 1


def finish(report, _launcher) -> None:
    """End the report, and say what was wrong with its output."""
    problem = report.finish()
    if problem:
        show(f"debugop: the report is not complete: {problem}\n", sys.stderr, 0)


def load_script(path: str, arguments: list) -> Program:
    """A file with Python source or bytecode, or a directory or zip file with a `__main__` module."""
    sys.argv = [path, *arguments]
    if pkgutil.get_importer(path) is not None:
        replace_first_path(path)
        return from_module(path, lambda: runpy._get_main_module_details(runpy._Error))
    try:
        with io.open_code(os.path.abspath(path)) as file:
            data = file.read()
    except OSError as error:
        raise CannotRun(
            f"can't open file {os.path.abspath(path)!r}: [Errno {error.errno}] {error.strerror}", 2
        ) from None
    replace_first_path(os.path.dirname(os.path.realpath(path)))
    bytecode = data[:4] == importlib.util.MAGIC_NUMBER
    if bytecode:
        loader = importlib.machinery.SourcelessFileLoader("__main__", path)
        code = loader.get_code("__main__")
    else:
        loader = importlib.machinery.SourceFileLoader("__main__", path)
        code = compile(data, path, "exec", dont_inherit=True)
    return Program(code, main_attributes(__file__=path, __cached__=None, __loader__=loader))


def load_module(name: str, arguments: list) -> Program:
    """`-m NAME`."""
    sys.argv = ["-m", *arguments]
    replace_first_path(os.getcwd())
    program = from_module(name, lambda: runpy._get_module_details(name, runpy._Error))
    sys.argv[0] = program.attributes["__file__"]
    return program


def from_module(_name: str, find) -> Program:
    """The program that `find`, a function of runpy, finds for the `__main__` of a package, directory or zip file."""
    try:
        _, spec, code = find()
    except runpy._Error as error:
        raise CannotRun(str(error), 1) from None
    return Program(
        code,
        main_attributes(
            __file__=spec.origin,
            __cached__=spec.cached,
            __loader__=spec.loader,
            __package__=spec.parent,
            __spec__=spec,
        ),
    )


def load_command(text: str, arguments: list) -> Program:
    """`-c TEXT`."""
    sys.argv = ["-c", *arguments]
    replace_first_path("")
    if sys.version_info >= (3, 14):
        text = textwrap.dedent(text)
    return from_text(text + "\n", "<string>")


def load_stdin(_text: str, arguments: list) -> Program:
    """`-`: the program is read from standard input until its end."""
    sys.argv = ["-", *arguments]
    replace_first_path("")
    return from_text(sys.stdin.read(), "<stdin>")


def from_text(text: str, filename: str) -> Program:
    """A program that is no file."""
    code = compile(text, filename, "exec", dont_inherit=True)
    # Since 3.13 tracebacks show the lines of such programs.
    if hasattr(linecache, "_register_code"):
        linecache._register_code(code, text, filename)
    return Program(code, main_attributes(__loader__=importlib.machinery.BuiltinImporter), [(filename, text)])


def main_attributes(**given) -> dict:
    """The attributes of `__main__` that this version's interpreter sets, in its order."""
    attributes = {"__package__": None, "__spec__": None, **given}
    if sys.version_info < (3, 14):
        attributes.setdefault("__annotations__", {})
    if sys.version_info >= (3, 15):
        attributes.pop("__cached__", None)
    return attributes


def replace_first_path(path: str) -> None:
    """Put `path` where the interpreter puts the program's directory; not at all in safe-path mode (`-P`, `-I`).

    What stands there now is the directory of the `debugop` script, or the current one for `python -m debugop`.
    """
    if not sys.flags.safe_path:
        sys.path[0:1] = [path]


LOADERS = {"script": load_script, "module": load_module, "command": load_command, "stdin": load_stdin}
