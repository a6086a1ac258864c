"""`DEBUGOP_RECORD`: Pythons that one does not start oneself record themselves.

`debugop record --install` puts a line into the site-packages of this Python by which every process of it asks here, when `site` is imported, whether
it is to be recorded. A process that is becomes `debugop record` with the same program: it begins anew, before anything of the program has run.
"""

import os
import sys
import sysconfig

from debugop import _core

PATH, OPTIONS = "DEBUGOP_RECORD", "DEBUGOP_RECORD_OPTIONS"
# `site` executes lines that begin with `import`.
LINE = f"import os; {PATH!r} in os.environ and __import__('debugop._recordenv')._recordenv.begin()\n"


def begin() -> None:
    """Become `debugop record`, if this process runs a program and not that already."""
    path = os.environ[PATH]
    if not path or not sys.executable:
        return
    options = os.environ.get(OPTIONS, "").split()
    parsed = _core.parse_command_line(["debugop", "record", *options, "-c", ""], False)
    if not isinstance(parsed, _core.RecordRequest):
        reason = parsed[0].splitlines()[0] if isinstance(parsed, tuple) else "not options of debugop record"
        print(f"debugop: nothing is recorded: {OPTIONS}: {reason}", file=sys.stderr)
        return
    directory = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = _core.record_command(sys.orig_argv, directory, path, options)
    if command is not None:
        os.execv(sys.executable, command)


def file() -> str:
    """The file that `install` writes."""
    return os.path.join(sysconfig.get_path("purelib"), "debugop-record.pth")


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
