"""Runs a program as `python` itself would, under a report.

What the interpreter does for a script, a directory or zip file, `-m`, `-c` and standard input is in `Modules/main.c`
(`pymain_run_python` and its neighbours), `Python/pythonrun.c` (`_PyRun_SimpleFile`) and `Lib/runpy.py`; this does the same up
to the point where code is run, which `_core.Run` does. Modules of the standard library are imported where they are
needed, and forgotten: the program may have modules of the same names.
"""

import atexit
import os
import sys

from debugop import _core
from debugop._libraries import library_directories, own_directories

# What these are called where every interpreter has them from its start.
_bootstrap = sys.modules["_frozen_importlib"]
_bootstrap_external = sys.modules["_frozen_importlib_external"]


class CannotRun(Exception):
    """There is no program to run; the text says why. `status` is the exit status that `python` has for it."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


def main(argv=None) -> int:
    """The command line's entry point; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    color = is_terminal(sys.stdout) and is_terminal(sys.stderr) and not os.environ.get("NO_COLOR")
    return carry_out(_core.parse_command_line(["debugop", *arguments], color))


def child(first: list) -> None:
    """The entry point of a Python that a traced program has started (`debugop_cli::under_debugop`).

    `first` is what the interpreter has put in front of `sys.path`; debugop's own directory is its last.
    """
    del sys.path[-1]
    sys.path[:0] = first
    # Where `site` has not run what takes it out (`_recordenv`).
    os.environ.pop("DEBUGOP_CHILD", None)
    own = len(sys.argv) + 2  # -c, the text, the directory, and what is in sys.argv after its first
    parsed = _core.parse_command_line(["debugop", *sys.argv[1:]], False)
    if isinstance(parsed, (_core.RunRequest, _core.RecordRequest, _core.DebugChildRequest)):
        kind, text, arguments = parsed.program
        option = {"module": ["-m"], "command": ["-c"]}.get(kind, [])
        sys.orig_argv[-own:] = [*option, text, *arguments]
    sys.exit(carry_out(parsed, is_child=True))


def carry_out(parsed, is_child: bool = False) -> int:
    """Do what a parsed command line asks for; returns the exit status. `is_child`: it is not the user's, but that of a process that is followed."""
    if isinstance(parsed, tuple):
        text, to_stderr, status = parsed
        return show(text, sys.stderr if to_stderr else sys.stdout, status)
    if isinstance(parsed, _core.SelfcheckRequest):
        if parsed.record:
            from debugop import _recordcheck

            return _recordcheck.main(parsed)
        from debugop import _selfcheck

        return _selfcheck.main(parsed)
    if isinstance(parsed, _core.DebugRequest):
        return debug(parsed)
    if isinstance(parsed, _core.InstallRequest):
        from debugop import _recordenv

        text, to_stderr, status = _recordenv.install() if parsed.install else _recordenv.uninstall()
        return show(text, sys.stderr if to_stderr else sys.stdout, status)
    try:
        if isinstance(parsed, _core.DebugChildRequest):
            from debugop import _debug_child

            return _debug_child.main(os.fspath(parsed.session), *parsed.program)
        return run(parsed, is_child)
    except CannotRun as error:
        return show(f"debugop: {error}\n", sys.stderr, error.status)


def debug(request) -> int:
    """Run the program of a parsed `debugop debug` in the console, by the main program of the standard library's `pdb`; or open its recording."""
    if request.recording is not None:
        from debugop import _past

        path, at_failure = request.recording
        return _past.main(os.fspath(path), request.commands, at_failure=at_failure)
    from debugop import _console

    if request.history is not None:
        from debugop import _history

        _history.begin(request.history)
    kind, text, arguments = request.program
    if kind == "module":
        replace_first_path(os.getcwd())
    # The launcher's own module is kept because functions of it still run; the debugger empties what is `__main__`.
    launcher, sys.modules["__main__"] = sys.modules["__main__"], main_module()
    try:
        _console.main(request.commands, kind, text, arguments)
    finally:
        del launcher
        if request.history is not None:
            _history.end()
    return 0


def is_terminal(stream) -> bool:
    """Whether a standard stream, None if its descriptor is closed, is a terminal."""
    return stream is not None and stream.isatty()


def show(text: str, stream, status: int) -> int:
    """Print and return `status`; that nobody reads is no reason to fail."""
    try:
        if stream is not None:
            stream.write(text)
            stream.flush()
    except BrokenPipeError:
        # The interpreter flushes once more when it exits, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


def run(request, is_child: bool) -> int:
    """Run the program of a parsed `debugop run` or `debugop record`."""
    kind, text, arguments = request.program
    is_recorded, children = isinstance(request, _core.RecordRequest), request.children
    try:
        report = request.open(library_directories(), own_directories())
    except OSError as error:
        what = "recording" if is_recorded else "report"
        problem = f"cannot write the {what} to {error.filename!r}: {error.strerror}"
        if not is_recorded or (request.is_wrong_path(error.errno) and not is_child):
            raise CannotRun(problem, 2) from None
        show(f"debugop: {problem}; the program runs and is not recorded\n", sys.stderr, 0)
        report, is_recorded, children = request.unrecorded(), False, False
    except (ValueError, RuntimeError) as error:
        raise CannotRun(str(error), 2) from None
    if kind == "command" and sys.version_info >= (3, 14) and may_be_indented(text):
        import textwrap

        text = textwrap.dedent(text)
    # The first callback to be registered is the last to run: what the program does at its exit is traced too. The
    # launcher's own module is kept because functions of it still run.
    # A recording that is wanted only of a failure is taken away if there was none.
    unwanted = [is_recorded and request.on_exception]
    atexit.register(finish, report, sys.modules["__main__"], unwanted)
    os.register_at_fork(before=report.flush, after_in_child=report.restart if children else report.detach)
    if children:
        from debugop import _recordenv

        report.follow_children(_recordenv.package_directory(), _recordenv.announce(report))
    forget_imports()
    sys.modules["__main__"] = main_module()
    try:
        failure = RUNNERS[kind](report, text, arguments)
    except CannotRun:
        if is_recorded:
            # Nothing has run, so nothing was recorded.
            atexit.unregister(finish)
            report.finish()
            for path in (report.path, f"{report.path}.tail"):
                if os.path.exists(path):
                    os.unlink(path)
        raise
    except SystemExit as error:
        unwanted[0] = unwanted[0] and error.code in (None, 0)
        if is_recorded:
            report.ends_with(exit_status(error.code))
        raise
    unwanted[0] = unwanted[0] and failure is None
    is_interrupt = type(failure) is KeyboardInterrupt or (
        isinstance(failure, KeyboardInterrupt) and sys.version_info >= (3, 14)
    )
    if is_recorded:
        # The interpreter ends by the signal itself: `SIGINT`.
        report.ends_with(-2 if is_interrupt else 0 if failure is None else 1)
    if is_interrupt:
        end_by_interrupt(failure)
    return 0 if failure is None else 1


def exit_status(code) -> int:
    """The status of a process that ends by `SystemExit` (`Python/pythonrun.c`, `_Py_HandleSystemExit`)."""
    if code is None:
        return 0
    if not isinstance(code, int):
        return 1
    # What does not fit is -1 there.
    return (code if -(1 << 63) <= code < 1 << 63 else -1) & 0xFF


def may_be_indented(text: str) -> bool:
    """Whether dedenting could change `text`; importing what does it takes as long as starting Python."""
    lines = text.split("\n")
    is_flush = any(line and not line[0].isspace() for line in lines)
    return not is_flush or any(line and line.isspace() for line in lines)


def finish(report, _launcher, unwanted) -> None:
    """End the report, and say what was wrong with its output. A recording that is `unwanted` is taken away."""
    problem = report.finish()
    what = "recording" if isinstance(report, _core.Recording) else "report"
    if unwanted[0]:
        os.unlink(report.path)
        show("debugop: the program did not fail: its recording is not kept\n", sys.__stderr__, 0)
        return
    said = getattr(report, "said", None)
    if problem and not said:
        show(f"debugop: the {what} is not complete: {problem}\n", sys.__stderr__, 0)
    if said:
        show(f"debugop: {said}\n", sys.__stderr__, 0)


def forget_imports() -> None:
    """Take out of `sys.modules` what was imported for debugop, so that the program's imports find what they would find.

    That is what comes after `site`, the last module that the interpreter loads before a program: a module takes its place
    in the order when it has been loaded. Extension modules stay, because not every one can be loaded twice, and so does
    `threading`, which keeps the state of the whole process.
    """
    names = list(sys.modules)
    last = "site" if "site" in sys.modules else "__main__"
    for name in names[names.index(last) + 1 :]:
        spec = getattr(sys.modules[name], "__spec__", None)
        written_in_python = isinstance(getattr(spec, "loader", None), _bootstrap_external.SourceFileLoader)
        written_in_python |= getattr(spec, "loader", None) is _bootstrap.FrozenImporter
        if written_in_python and package(name) not in ("debugop", "threading", "__main__"):
            del sys.modules[name]
    for name in names:
        if package(name) not in sys.modules:
            sys.modules.pop(name, None)


def package(name: str) -> str:
    """The outermost package of a module, or the module itself."""
    return name.partition(".")[0]


def main_module():
    """A new `__main__` with the attributes that it has before the interpreter runs anything in it, in their order."""
    module = type(sys)("__main__")
    module.__loader__ = _bootstrap.BuiltinImporter
    if sys.version_info < (3, 14):
        module.__annotations__ = {}
    module.__builtins__ = sys.modules["builtins"]  # type: ignore[attr-defined]
    return module


def run_script(report, path: str, arguments: list) -> BaseException | None:
    """A file with Python source or bytecode, or a directory or zip file with a `__main__` module."""
    sys.argv = [path, *arguments]
    path = absolute(path)
    if importer(path) is not None:
        # In safe-path mode too, but then the launcher has put nothing there.
        sys.path[0 : 0 if sys.flags.safe_path else 1] = [path]
        return run_by_runpy(report, "__main__", False)
    replace_first_path(os.path.dirname(os.path.realpath(path)))
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise CannotRun(f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}", 2) from None
    namespace = vars(sys.modules["__main__"])
    set_file(namespace, path)
    if path.endswith(".pyc") or data[:2] == _bootstrap_external.MAGIC_NUMBER[:2]:
        namespace["__loader__"] = _bootstrap_external.SourcelessFileLoader("__main__", path)
        return run_code(report, lambda: load_bytecode(data))
    namespace["__loader__"] = _bootstrap_external.SourceFileLoader("__main__", path)
    return run_code(report, lambda: compile_file(data, path))


def run_stdin(report, _text: str, arguments: list) -> BaseException | None:
    """`-`: the program is read from standard input until its end."""
    sys.argv = ["-", *arguments]
    replace_first_path("")
    data = sys.stdin.buffer.read() if sys.stdin is not None else b""
    set_file(vars(sys.modules["__main__"]), "<stdin>")

    return run_code(report, lambda: compile_file(data, "<stdin>"), [("<stdin>", data.decode(errors="replace"))])


def run_command(report, text: str, arguments: list) -> BaseException | None:
    """`-c TEXT`."""
    sys.argv = ["-c", *arguments]
    replace_first_path("")
    text += "\n"
    return run_code(report, lambda: compile(text, "<string>", "exec", dont_inherit=True), [("<string>", text)])


def run_module(report, name: str, arguments: list) -> BaseException | None:
    """`-m NAME`."""
    sys.argv = ["-m", *arguments]
    replace_first_path(os.getcwd())
    return run_by_runpy(report, name, True)


RUNNERS = {"script": run_script, "module": run_module, "command": run_command, "stdin": run_stdin}


def run_by_runpy(report, name: str, alter_argv: bool) -> BaseException | None:
    """Let runpy do what it does for `python -m NAME`, or for the `__main__` of `sys.path[0]`."""
    import runpy

    return show_failure(report.execute_by(runpy._run_module_as_main, (name, alter_argv)))  # type: ignore[attr-defined]


def run_code(report, load, sources=()) -> BaseException | None:
    """Run the code that `load` returns in `__main__`; returns the exception that ended it."""
    namespace = vars(sys.modules["__main__"])
    failure: BaseException | None
    try:
        code = report.begin(load(), list(sources))
    except Exception as error:
        # The interpreter has no frame of Python's below it when it compiles the program.
        failure = error.with_traceback(None)
    else:
        if sources and sources[0][0] == "<string>":
            register_lines(code, *sources[0])
        failure = _core.run_code(code, namespace)
    if "__file__" in namespace:
        flush_standard_streams()
    show_failure(failure)
    for name in FILE_ATTRIBUTES & namespace.keys():
        del namespace[name]
    return failure


def register_lines(code, filename: str, text: str) -> None:
    """Since 3.13 tracebacks show the lines of what follows `-c` (`Python/pythonrun.c`, `run_mod`)."""
    if sys.version_info >= (3, 13):
        import linecache

        # 3.13.0 knows such texts by their names, its successors by their code.
        key = code if hasattr(linecache, "_interactive_cache") else filename
        register = getattr(linecache, "_register_code", None)
        if register is not None:
            register(key, text, filename)


def show_failure(error):
    """Do with an uncaught exception, if there is one, what the interpreter does; returns it."""
    if isinstance(error, SystemExit):
        raise error
    if error is not None:
        _core.report_uncaught(error)
    return error


def end_by_interrupt(error):
    """Let the interpreter end by SIGINT after its usual finalisation, as it does when this is what reaches its top level.

    The exception has been shown already, and is left as it is.
    """
    hook, traceback = sys.excepthook, error.__traceback__

    def shown(*_):
        sys.excepthook = hook
        error.__traceback__ = sys.last_traceback = traceback

    sys.excepthook = shown
    raise error


def flush_standard_streams() -> None:
    """As the interpreter does after a file, before threads are waited for."""
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except Exception:
            # The flush at the interpreter's exit reports it.
            continue


def set_file(namespace: dict, path: str) -> None:
    """Set what tells a program its file, and is deleted after it has run."""
    namespace["__file__"] = path
    if "__cached__" in FILE_ATTRIBUTES:
        namespace["__cached__"] = None


FILE_ATTRIBUTES = {"__file__", "__cached__"} if sys.version_info < (3, 15) else {"__file__"}


def compile_file(data: bytes, filename: str):
    """The code of a source file whose contents are `data`."""
    try:
        return compile(data, filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        # The interpreter's own error has no context, so that it must not be raised from in here.
        pass
    return compile_by_interpreter(data, filename)


def compile_by_interpreter(data: bytes, filename: str):
    """As the interpreter compiles a script: some errors are worded differently in files and in texts.

    There is no function for this alone, so it also runs the code, and an audit hook stops it there. A hook cannot be
    removed, but a program that comes here is one with errors, and ends.
    """
    # The program's directory stands first, and may have a module of this name.
    path, sys.path = sys.path, sys.path[1:]
    import tempfile

    sys.path = path
    compiled = []

    class Compiled(BaseException):
        pass

    def stop(event, arguments):
        if event == "exec" and armed and getattr(arguments[0], "co_filename", None) == filename:
            compiled.append(arguments[0])
            raise Compiled

    armed = True
    sys.addaudithook(stop)
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            _core.run_file(file.name, filename, {})
    except Compiled:
        return compiled[0]
    finally:
        armed = False
    raise AssertionError("the interpreter ran a program that it should have been kept from running")


def load_bytecode(data: bytes):
    """The code of a `.pyc` file."""
    import marshal

    if data[:4] != _bootstrap_external.MAGIC_NUMBER:
        raise RuntimeError("Bad magic number in .pyc file")
    code = marshal.loads(data[16:])
    if not isinstance(code, type(main.__code__)):
        raise RuntimeError("Bad code object in .pyc file")
    return code


def absolute(path: str) -> str:
    """The name that the interpreter gives a script (`Python/fileutils.c`, `_Py_abspath`)."""
    if path.startswith(os.sep):
        return path
    try:
        return os.path.join(os.getcwd(), path)
    except OSError:
        # The current directory has been removed.
        return path


def importer(path: str):
    """The importer for a directory or zip file; None for anything else (`Python/import.c`, `get_path_importer`)."""
    found = None
    for hook in sys.path_hooks:
        try:
            found = hook(path)
            break
        except ImportError:
            continue
    sys.path_importer_cache[path] = found
    return found


def replace_first_path(path: str) -> None:
    """Put `path` where the interpreter puts the program's directory; not at all in safe-path mode (`-P`, `-I`).

    What stands there now is the directory of the `debugop` script, or the current one for `python -m debugop`.
    """
    if not sys.flags.safe_path:
        sys.path[0:1] = [path]
