"""What `debugop run` reports, where to, and what is kept of it when something ends early."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading

import pytest

LOOP = "def f(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total\nprint(f(5))\n"


def reported(programs, *options, source=LOOP, files=None, command=("prog.py",), **others):
    """The lines of the jsonl report of a program, and what the process did."""
    programs.write({"prog.py": source, **(files or {})})
    run = programs.debugop("run", "--format", "jsonl", "-o", str(programs.report), *options, *command, **others)
    return [json.loads(line) for line in programs.report.read_text(encoding="utf-8").split("\n")[:-1]], run


def of_kind(kind, lines):
    return [line for line in lines if line["kind"] == kind]


def functions(lines):
    """The qualified names of the functions that steps are in, in the order of their first steps."""
    names = {line["code"]: line["qualname"] for line in of_kind("code", lines)}
    return list(dict.fromkeys(names[line["code"]] for line in of_kind("step", lines)))


# ------------------------------------------------------------------------------------------------------ where it goes


def test_the_report_goes_to_stderr_and_the_output_stays_the_programs(programs):
    programs.write({"prog.py": LOOP})
    run = programs.debugop("run", "prog.py")
    assert (run.stdout, run.status) == ("10\n", 0)
    assert re.search(r"^│ │ 4  total \+= i$", run.stderr, re.MULTILINE)
    assert re.search(r"^└ <module> returns None$", run.stderr, re.MULTILINE)
    assert re.search(r"^[\d,]+ instructions, 2 frames, 2 functions, [\d.]+ s$", run.stderr.splitlines()[-1])


def test_every_format_counts_the_same(programs):
    counts = set()
    programs.write(
        {
            "prog.py": LOOP + "import threading\nt = threading.Thread(target=f, args=(2,))\nt.start(); t.join()\n"
            "try:\n    f('x')\nexcept TypeError: pass\nsum(i for i in range(3))\n"
        }
    )
    for form in ("none", "text"):
        summary = programs.debugop("run", "--format", form, "prog.py").stderr.splitlines()[-1]
        counts.add(tuple(int(number.replace(",", "")) for number in re.findall(r"([\d,]+) [a-z]+s?", summary)[:4]))
    programs.debugop("run", "--format", "jsonl", "-o", str(programs.report), "prog.py")
    lines = [json.loads(line) for line in programs.report.read_text(encoding="utf-8").split("\n")[:-1]]
    (summary,) = of_kind("summary", lines)
    counts.add(tuple(summary[name] for name in ("steps", "frames", "functions", "threads")))
    steps = of_kind("step", lines)
    counts.add(
        (
            sum(step["event"] == "instruction" for step in steps),
            sum(step.get("frame_event") == "enter" for step in steps),
            len({step["code"] for step in steps}),
            len({step["thread"] for step in steps}),
        )
    )
    assert len(counts) == 1, counts


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("no/such/directory/file", "No such file or directory"),
        (".", "Is a directory"),
        ("prog.py/file", "Not a directory"),
        ("prog.py", "it is the program itself"),
        ("./sub/../prog.py", "it is the program itself"),
    ],
)
def test_an_output_that_cannot_be_opened(programs, output, reason):
    programs.write({"prog.py": LOOP, "sub/x": ""})
    run = programs.debugop("run", "-o", output, "prog.py")
    assert (run.stdout, run.status) == ("", 2)
    assert run.stderr == f"debugop: cannot write the report to {output!r}: {reason}\n"
    assert (programs.directory / "prog.py").read_text() == LOOP


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any file")
def test_an_output_that_is_read_only(programs):
    programs.write({"prog.py": LOOP, "out": ""})
    (programs.directory / "out").chmod(0o400)
    run = programs.debugop("run", "-o", "out", "prog.py")
    assert (run.stdout, run.stderr, run.status) == (
        "",
        "debugop: cannot write the report to 'out': Permission denied\n",
        2,
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("form", ["none", "text", "jsonl"])
def test_a_full_disk_ends_the_report_and_not_the_program(programs, form):
    programs.write({"prog.py": LOOP + "raise SystemExit(3)"})
    run = programs.debugop("run", "--format", form, "-o", "/dev/full", "prog.py")
    assert (run.stdout, run.status) == ("10\n", 3)
    assert run.stderr == "debugop: the report is not complete: No space left on device\n"


def test_a_program_that_cannot_be_run_has_no_report(programs):
    programs.write({"prog.py": "def f(:"})
    for command in (["prog.py"], ["-m", "missing"], ["missing.py"], ["-c", "x = = 1"]):
        run = programs.debugop("run", *command)
        assert run.status in (1, 2)
        assert "instructions" not in run.stderr


def shell(programs, line):
    """Run a line of bash, in which `debugop` is what is tested; gives stdout, stderr and the statuses of the last pipe."""
    name = f'"{sys.executable}" -m debugop'
    line = line.replace("debugop", name) + "\nprintf '%s ' \"${PIPESTATUS[@]}\" >&3"
    reader, writer = os.pipe()
    command = ["bash", "-c", f"exec 3>&{writer} {writer}>&-; {line}"]
    done = subprocess.run(
        command, cwd=programs.directory, capture_output=True, timeout=60, pass_fds=[writer], text=True
    )
    os.close(writer)
    with open(reader) as file:
        statuses = [int(status) for status in file.read().split()]
    return done.stdout, done.stderr, statuses


MANY = "for i in range(20000):\n    print(i)\n"


def test_the_reader_of_the_report_goes_away(programs):
    """The program runs on to its end and nothing is said of the report."""
    programs.write({"prog.py": LOOP + "import sys\nfor i in range(20000): pass\nsys.exit(4)"})
    stdout, stderr, statuses = shell(programs, "debugop run prog.py 2>&1 >out | head -1")
    assert stdout.count("\n") == 1
    assert statuses == [4, 0]
    assert (programs.directory / "out").read_text() == "10\n"
    assert stderr == ""


def test_the_reader_of_the_output_goes_away(programs):
    programs.write({"prog.py": MANY})
    plain = shell(programs, f'"{sys.executable}" prog.py | head -1')
    assert shell(programs, "debugop run --format none -o /dev/null prog.py | head -1") == plain


def test_stderr_is_closed(programs):
    programs.write({"prog.py": LOOP})
    stdout, _stderr, statuses = shell(programs, "debugop run prog.py 2>&-")
    assert (stdout, statuses) == ("10\n", [0])


def test_the_report_is_not_written_into_a_file_that_takes_the_place_of_stderr(programs):
    source = "import os\nos.close(2)\nfd = os.open('data', os.O_CREAT | os.O_RDWR)\nfor i in range(100): pass\nos.write(fd, b'x')\n"
    programs.write({"prog.py": source})
    run = programs.debugop("run", "prog.py")
    assert (programs.directory / "data").read_bytes() == b"x"
    assert "└ <module> returns None" in run.stderr


# ---------------------------------------------------------------------------------------------------- what is kept

ENDINGS = {
    "sys.exit": ("import sys\nsys.exit(3)", 3),
    "exception": ("1/0", 1),
    "interrupt": ("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor i in range(9): pass", -2),
    "os._exit": ("import os\nos._exit(3)", 3),
    "os.abort": ("import os\nos.abort()", -6),
    "terminated": ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nfor i in range(9): pass", -15),
    "killed": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -9),
    "crash": ("import ctypes\nctypes.string_at(0)", -11),
    "exec": ("import os, sys\nos.execv('/bin/true', ['true'])", 0),
    "exec of a library": ("import subprocess, os\nos.execvp('true', ['true'])", 0),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_everything_until_the_end_is_kept(programs, ending, form):
    source, status = ENDINGS[ending]
    programs.write({"prog.py": "def end():\n" + "".join(f"    {line}\n" for line in source.splitlines()) + "end()\n"})
    run = programs.debugop("run", "--format", form, "-o", str(programs.report), "prog.py")
    assert run.status == status
    report = programs.report.read_text()
    assert report.endswith("\n")
    if form == "text":
        assert source.splitlines()[-1] in report or source.splitlines()[1] in report
        return
    lines = [json.loads(line) for line in report.splitlines()]
    last = list(of_kind("step", lines))[-1]
    finished = ending in ("sys.exit", "exception", "interrupt")
    assert (lines[-1]["kind"] == "summary") == finished
    # The call that did not return is the last of it.
    assert last["event"] == ("unwind" if finished else "instruction")
    assert finished or last["opname"].startswith("CALL")


def test_a_program_that_is_killed_while_it_computes_loses_at_most_a_moment(programs):
    source = "import os, threading, signal\nthreading.Timer(.7, os.kill, (os.getpid(), signal.SIGKILL)).start()\nn = 0\nwhile True:\n    n += 1\n"
    _lines, run = [], None
    programs.write({"prog.py": source})
    run = programs.debugop("run", "-o", str(programs.report), "prog.py")
    assert run.status == -9
    report = programs.report.read_text()
    assert report.count("n += 1") > 100


def test_what_was_reported_is_there_while_the_program_waits(programs):
    programs.write({"prog.py": "def f():\n    x = 'waiting'\n    input()\nf()\n"})
    command = [sys.executable, "-m", "debugop", "run", "-o", str(programs.report), "prog.py"]
    process = subprocess.Popen(command, cwd=programs.directory, stdin=subprocess.PIPE)
    seen = threading.Event()

    def look():
        while not (programs.report.exists() and "input()" in programs.report.read_text()):
            if process.poll() is not None:
                return
        seen.set()

    watcher = threading.Thread(target=look)
    watcher.start()
    watcher.join(30)
    process.communicate(b"\n", timeout=30)
    assert seen.is_set()


def test_a_forked_child_repeats_nothing(programs):
    source = "import os\ndef f(): return 1\nf()\npid = os.fork()\nif pid == 0:\n    f()\n    os._exit(0)\nos.waitpid(pid, 0)\nf()\nif os.fork() == 0:\n    raise SystemExit\nos.wait()\n"
    lines, run = reported(programs, source=source, flags=["-Wignore"])
    numbers = [line["step"] for line in of_kind("step", lines)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(of_kind("summary", lines)) == 1
    assert len(of_kind("header", lines)) == 1
    assert run.status == 0


# ------------------------------------------------------------------------------------------------------- the options


def test_limit(programs):
    lines, run = reported(programs, "--limit", "7")
    assert run.stdout == "10\n"
    assert [line["step"] for line in of_kind("step", lines)] == [1, 2, 3, 4, 5, 6, 7]
    assert of_kind("summary", lines)[0]["limit_reached"] is True
    text = programs.debugop("run", "--limit", "7", "prog.py")
    assert re.search(r"^7 instructions, .* \(stopped at the limit\)$", text.stderr.splitlines()[-1])
    assert programs.debugop("run", "--limit", "100000", "prog.py").stderr.splitlines()[-1].endswith(" s")


CALLS = "import textwrap, other\ndef a():\n    return b()\ndef b():\n    return textwrap.dedent(' x') + other.c()\nclass P:\n    def a(self): return 1\na()\nP().a()\n"
OTHER = {"other.py": "def c():\n    return d()\ndef d():\n    return ''\n"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["<module>", "P", "a", "b", "c", "d", "P.a"]),
        (["--depth", "1"], ["<module>"]),
        (["--depth", "2"], ["<module>", "P", "a", "P.a"]),
        (["--depth", "3"], ["<module>", "P", "a", "b", "P.a"]),
        (["--function", "b"], ["b"]),
        (["--function", "a"], ["a", "P.a"]),
        (["-f", "P.*", "-f", "d"], ["d", "P.a"]),
        (["--exclude", "other"], ["<module>", "P", "a", "b", "P.a"]),
        (["--exclude", "other.d"], ["<module>", "P", "a", "b", "c", "P.a"]),
        (["--exclude", "**/other.py"], ["<module>", "P", "a", "b", "P.a"]),
        (["--include", "textwrap", "--exclude", "other"], ["<module>", "TextWrapper", "P", "a", "b", "dedent", "P.a"]),
        (["--include", "textwrap", "--exclude", "other", "--function", "dedent"], ["dedent"]),
    ],
)
def test_what_is_followed(programs, options, expected):
    lines, run = reported(programs, *options, source=CALLS, files=OTHER)
    assert (run.stdout, run.stderr, run.status) == ("", "", 0)
    names = [name for name in functions(lines) if name != "dedent.<locals>.<lambda>" and "<genexpr>" not in name]
    assert names == expected


def test_source_lines_are_those_of_the_start_also_after_a_change_of_directory(programs):
    programs.write({"prog.py": "import os\nos.mkdir('d')\nos.chdir('d')\nfrom other import c\nc()  # here\n", **OTHER})
    run = programs.debugop("run", "prog.py")
    assert "# here" in run.stderr
    assert "return d()" in run.stderr


def test_source_of_a_command_and_of_stdin(programs):
    programs.write({})
    assert "x = 1 + len('a')" in programs.debugop("run", "-c", "x = 1 + len('a')").stderr
    assert "x = 1 + len('é')" in programs.debugop("run", "-", stdin="x = 1 + len('é')".encode()).stderr


# ----------------------------------------------------------------------------------------------------------- looks


def on_a_terminal(programs, *arguments, columns=80, **env):
    """What a terminal of that width gets to see."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")} | env
    command = [sys.executable, "-m", "debugop", *arguments]
    process = subprocess.Popen(
        command,
        cwd=programs.directory,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break  # EIO: the other end is closed
        if not piece:
            break
        seen += piece
    os.close(master)
    assert process.wait(30) == 0
    return seen.decode().replace("\r\n", "\n")


COLOUR = "\x1b["


def test_colour_is_for_terminals(programs):
    programs.write({"prog.py": LOOP})
    assert COLOUR in on_a_terminal(programs, "run", "prog.py")
    assert COLOUR not in on_a_terminal(programs, "run", "prog.py", NO_COLOR="1")
    assert COLOUR in on_a_terminal(programs, "run", "prog.py", NO_COLOR="")
    assert COLOUR not in on_a_terminal(programs, "run", "--color", "never", "prog.py")
    assert COLOUR in on_a_terminal(programs, "run", "--color", "always", "prog.py", NO_COLOR="1")
    assert COLOUR not in programs.debugop("run", "prog.py").stderr
    assert COLOUR in programs.debugop("run", "--color", "always", "prog.py").stderr
    programs.debugop("run", "--color", "always", "-o", str(programs.report), "prog.py")
    assert COLOUR in programs.report.read_text()
    assert COLOUR in on_a_terminal(programs, "run", "--help")
    assert COLOUR not in programs.debugop("run", "--help").stdout


def test_the_width_is_respected(programs):
    programs.write({"prog.py": LOOP + "x = ['abcdefghij' * 20] * 3\nprint(len(x), x[:0])\n"})
    for columns in (50, 80, 200):
        lines = on_a_terminal(programs, "run", "prog.py", columns=columns, NO_COLOR="1").splitlines()
        assert max(map(len, lines)) <= columns
    wide = max(map(len, lines))
    assert wide > 100
    narrow = on_a_terminal(programs, "run", "prog.py", columns=200, COLUMNS="60", NO_COLOR="1").splitlines()
    assert max(map(len, narrow)) <= 60
    assert max(map(len, programs.debugop("run", "prog.py").stderr.splitlines())) <= 100


def test_output_and_report_are_in_order_on_a_terminal(programs):
    programs.write({"prog.py": "print('one', flush=True)\nx = 2\nprint('three', flush=True)\n"})
    seen = on_a_terminal(programs, "run", "prog.py", NO_COLOR="1")
    assert seen.index("\none\n") < seen.index("│ 2  x = 2") < seen.index("\nthree\n")


# ------------------------------------------------------------------------------------------------- the command itself


def test_version_help_and_mistakes(programs):
    programs.write({})
    import debugop

    assert programs.debugop("--version").stdout == f"debugop {debugop.__version__}\n"
    run = programs.debugop("--help")
    assert (run.status, run.stderr) == (0, "")
    assert "debugop run script.py" in run.stdout
    run = programs.debugop()
    assert (run.status, run.stdout) == (2, "")
    assert "Usage: debugop" in run.stderr
    run = programs.debugop("run", "--formt", "text", "x.py")
    assert (run.status, run.stdout) == (2, "")
    assert "'--format'" in run.stderr
    run = programs.debugop("script.py")
    assert run.status == 2
    assert "debugop run script.py" in run.stderr


def test_the_installed_command(programs):
    programs.write({"prog.py": "import sys\nprint(sys.argv, sys.path[0])\n"})
    command = os.path.join(os.path.dirname(sys.executable), "debugop")
    run = subprocess.run(
        [command, "run", "--format", "none", "prog.py", "a"], cwd=programs.directory, capture_output=True, text=True
    )
    assert run.stdout == f"['prog.py', 'a'] {os.path.realpath(programs.directory)}\n"
    interrupted = subprocess.run(
        [command, "run", "-c", "raise KeyboardInterrupt"], cwd=programs.directory, capture_output=True, text=True
    )
    assert interrupted.returncode == -2


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completions(programs, name):
    programs.write({})
    script = programs.debugop("completions", name).stdout
    assert "debugop" in script
    assert "--include" in script or "include" in script
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name} to read its completions")
    subprocess.run([name, "-n"], input=script, text=True, check=True, timeout=30)


def test_completions_are_offered_by_bash(programs):
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    programs.write({})
    script = programs.debugop("completions", "bash").stdout
    ask = script + "\nCOMP_WORDS=(debugop run --in)\nCOMP_CWORD=2\n_debugop debugop --in run\necho ${COMPREPLY[@]}\n"
    done = subprocess.run(["bash"], input=ask, capture_output=True, text=True, timeout=30)
    assert done.stdout == "--include\n"
