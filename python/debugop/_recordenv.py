"""`DEBUGOP_RECORD` and `--children`: Pythons that one does not start oneself record or trace themselves.

`debugop record --install` puts a line into the site-packages of this Python by which every process of it asks here, when `site` is imported, whether
it is to be recorded, or whether it is a child of a process with `--children`. A process that is becomes `debugop record`, or what its parent is,
with the same program: it begins anew, before anything of the program has run.
"""

import os
import sys

from debugop import _core

PATH, OPTIONS = "DEBUGOP_RECORD", "DEBUGOP_RECORD_OPTIONS"
# What a child process is to do, for one that is not started from Python itself. It is not in `os.environ`.
CHILD = "DEBUGOP_CHILD"
NAME = "debugop-record.pth"
# `site` executes lines that begin with `import`.
LINE = f"import os; ({PATH!r} in os.environ or {CHILD!r} in os.environ) and __import__('debugop._recordenv')._recordenv.begin()\n"


def begin() -> None:
    """Become what the environment asks for, if this process runs a program and not that already."""
    child = os.environ.pop(CHILD, None)
    command = begin_as_child(child) if child else begin_recording(os.environ.get(PATH, ""))
    if command is not None:
        os.execve(sys.executable, command, environment())
    if child:
        os.putenv(CHILD, child)


def environment() -> dict[str, str]:
    """The variables with which this process has started: without the locale that Python has chosen itself (PEP 538).

    With that it would not know any more, the second time, that it had been started in the C locale (PEP 540).
    """
    variables = dict(os.environ)
    is_c = not variables.get("LC_ALL") and variables.get("LANG", "") in ("", "C", "POSIX")
    if is_c and sys.flags.utf8_mode and variables.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        del variables["LC_CTYPE"]
    return variables


def begin_recording(path: str) -> list[str] | None:
    """The command line by which this process becomes `debugop record`."""
    if not path or not sys.executable:
        return None
    options = os.environ.get(OPTIONS, "").split()
    parsed = _core.parse_command_line(["debugop", "record", *options, "-c", ""], False)
    if not isinstance(parsed, _core.RecordRequest):
        reason = parsed[0].splitlines()[0] if isinstance(parsed, tuple) else "not options of debugop record"
        print(f"debugop: nothing is recorded: {OPTIONS}: {reason}", file=sys.stderr)
        return None
    return _core.record_command(sys.orig_argv, package_directory(), path, options)


def begin_as_child(words: str) -> list[str] | None:
    """The command line by which this process becomes what its parent is."""
    if not sys.executable:
        return None
    ours = [word.replace("%n", "\n").replace("%p", "%") for word in words.split("\n")]
    # The last -o counts.
    at = max((at for at, word in enumerate(ours[:-1]) if word == "-o"), default=None)
    if at is not None and os.path.exists(ours[at + 1].replace("{pid}", str(os.getpid()))):
        # A forked process of this number has become the program that has become this one.
        ours[at + 1] += ".exec"
    return _core.child_command(sys.orig_argv, package_directory(), ours)


def announce(report: "_core.Run | _core.Recording") -> str | None:
    """Let the Pythons follow that programs start which this process starts; the name of their variable. None: nothing is installed."""
    if not any(os.path.exists(os.path.join(path, NAME)) for path in sys.path):
        return None
    os.putenv(CHILD, report.child_variable())
    return CHILD


def package_directory() -> str:
    """Where the package `debugop` is."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def file() -> str:
    """The file that `install` writes."""
    import sysconfig

    return os.path.join(sysconfig.get_path("purelib"), NAME)


def install() -> tuple[str, bool, int]:
    """Let the processes of this Python ask; returns what is to be said, whether that is an error, and the exit status."""
    try:
        with open(file(), "w") as line:
            line.write(LINE)
    except OSError as error:
        return f"debugop: cannot write {error.filename}: {error.strerror}\n", True, 1
    said = f"""\
wrote {file()}
Every {sys.executable} that is started with {PATH} set now records itself, for example:
  {PATH}=runs/{{pid}}.debugop make test
--children of debugop run and debugop record now follows those that are started by a shell or another program, too.
Options of debugop record may stand in {OPTIONS}. Undo it with: debugop record --uninstall
"""
    return said, False, 0


def uninstall() -> tuple[str, bool, int]:
    """Undo `install`; returns the same."""
    try:
        os.remove(file())
    except FileNotFoundError:
        return f"{file()} is not there: nothing to undo\n", False, 0
    except OSError as error:
        return f"debugop: cannot remove {error.filename}: {error.strerror}\n", True, 1
    return f"removed {file()}\n", False, 0
