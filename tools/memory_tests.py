"""`make test-memory`: programs under valgrind, with and without debugop.

CPython alone must make no error that this accepts as one of debugop's: a stack of valgrind's with a frame of the extension module in it is an
error of ours, and so is every kind of error that the program does not make without debugop. `PYTHONMALLOC=malloc`, so that valgrind sees each allocation.
"""

import os
import re
import shutil
import subprocess
import time

from environments import ROOT, Failure

FOLDER = ROOT / "target" / "memory"
# What the programs of python/tests/engines do: calls from C, generators, imports, threads, tasks, code made at run time.
PROGRAMS = sorted((ROOT / "python" / "tests" / "engines").glob("*.py"))
# The bytecode of hand-made code objects, and tools of the program's own.
PROGRAMS += [ROOT / "python" / "tests" / "invisible" / "lifetimes.py"]
OURS = re.compile(r"debugop|_core\.(cpython|abi3)")
ERROR = re.compile(
    r"^==\d+== (Invalid \w+|Conditional jump|Use of uninitialised|Syscall param|Invalid free|Mismatched free|Process terminating)"
)


def run_all(minor, here):
    """Run every program under valgrind for one version; Failure if there is an error of ours."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise Failure("valgrind is not installed (Debian: valgrind).")
    FOLDER.mkdir(parents=True, exist_ok=True)
    engines = ["inject", "settrace"] if minor == "3.11" else ["inject", "monitoring", "settrace"]
    found = []
    for program in PROGRAMS:
        began = time.monotonic()
        plain = errors(valgrind, here, minor, program, None)
        for engine in engines:
            made = errors(valgrind, here, minor, program, engine)
            new = [text for kind, text in made if OURS.search(text) or kind not in {known for known, _ in plain}]
            found += ["CPython %s, %s, %s:\n%s" % (minor, program.name, engine, text) for text in new]
        print(
            "CPython %s, %s: %d errors plain, %s of debugop's so far; %.0f s"
            % (minor, program.name, len(plain), len(found), time.monotonic() - began),
            flush=True,
        )
    if found:
        raise Failure("\n\n".join(found[:20]))


def errors(valgrind, here, minor, program, engine):
    """Valgrind's errors, each its kind and the whole text."""
    log = FOLDER / ("%s.%s.%s.log" % (minor, program.stem, engine or "plain"))
    debugop = (
        ["-m", "debugop", "run", "--all", "--format", "jsonl", "-o", os.devnull, "--engine", engine] if engine else []
    )
    command = [valgrind, "--error-limit=no", "--num-callers=30", "--log-file=%s" % log, "--leak-check=no"]
    command += [os.path.realpath(str(here / "python")), *debugop, program]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment.update(PYTHONMALLOC="malloc", PYTHONHASHSEED="0")
    # The interpreter itself, not the link in the environment: valgrind names its functions then.
    environment["PYTHONPATH"] = next(str(path) for path in (here.parent / "lib").glob("python*/site-packages"))
    done = subprocess.run(
        [str(word) for word in command],
        cwd=str(program.parent),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=1800,
    )
    if done.returncode != 0:
        text = "%s ended with status %d: %s" % (
            program.name,
            done.returncode,
            done.stderr.decode(errors="replace")[-2000:],
        )
        return [("status", text)]
    return read(log.read_text(errors="replace"))


def read(text):
    """The errors in a log of valgrind's."""
    found, lines = [], []
    for line in [*text.splitlines(), "==0== "]:
        start = ERROR.match(line)
        if start:
            lines = [line]
        elif lines and re.match(r"^==\d+==\s+\S", line):
            lines.append(line)
        elif lines:
            frames = [re.sub(r".*: (\S+).*", r"\1", one) for one in lines[1:4]]
            found.append((" ".join([lines[0].split("== ")[1], *frames]), "\n".join(lines)))
            lines = []
    return found
