"""Child processes: each traced into a report of its own with `--children`, and left alone without."""

import json
import os
import re
import textwrap

import pytest

RUN = ["run", "--all", "--format", "jsonl", "-o", "report.jsonl"]

FORK = """\
    import os
    def in_child(): return 3
    def in_parent(): return 4
    def before(): return 5
    before()
    pid = os.fork()
    if pid == 0:
        raise SystemExit(in_child())
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), in_parent())
"""

OS_EXIT = """\
    import os
    def in_child(): return 3
    pid = os.fork()
    if pid == 0:
        os._exit(in_child())
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

FORK_IN_THREAD = """\
    import os, threading
    def in_child(): return 3
    def work():
        pid = os.fork()
        if pid == 0:
            os._exit(in_child())
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
"""

SUBPROCESS = """\
    import os, subprocess, sys
    from pathlib import Path
    for words in (["-c", "def in_child(): print(__name__)\\nin_child()"], ["other.py", "-c", "x"], ["-O", "-m", "other"], [Path("other.py")],
                  ["-I", "other.py"], ["-Wignore", "-X", "utf8", "-m", "other", "1"]):
        command = [sys.executable, *words]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "A": "b"})
        print(done.stdout, re.sub("[0-9]+", "N", done.stderr) if (re := __import__("re")) else 0, done.returncode)
"""

OTHER = """\
    import os, sys
    def in_child():
        print(sys.argv, sys.flags, sys.orig_argv[1:], sys.path[0], __name__, __debug__, sorted(os.environ) == sorted(os.environ))
        print([name for name in os.environ if "DEBUGOP" in name.upper()], [path for path in sys.path if "debugop" in path])
    in_child()
    sys.exit(7)
"""

EXEC = """\
    import os, sys
    def in_parent(): return 3
    in_parent()
    os.execv(sys.executable, [sys.executable, "other.py", "a"])
"""

SPAWN = """\
    import os, sys
    pid = os.posix_spawn(sys.executable, [sys.executable, "other.py", "a"], os.environ)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

POOL = """\
    import multiprocessing, sys
    def in_child(x):
        return x * x
    def work(queue):
        queue.put(in_child(3))
    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        queue = context.Queue()
        process = context.Process(target=work, args=(queue,))
        process.start()
        print(queue.get())
        process.join()
        print(process.exitcode)
        with context.Pool(2) as pool:
            print(pool.map(in_child, range(5)))
"""


def reports(programs, pattern=r"report\.jsonl\.\d+"):
    """The functions that are named in each child's report, and whether it is complete."""
    found = []
    for path in sorted(programs.directory.iterdir()):
        if re.fullmatch(pattern, path.name):
            found.append(read(path))
    return found


def read(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["kind"] == "header"
    steps = [line for line in lines if line["kind"] == "step"]
    assert [step["step"] for step in steps] == list(range(1, len(steps) + 1))
    return {line["name"] for line in lines if line["kind"] == "code"}, lines[-1]["kind"] == "summary", steps


def run(programs, source, *arguments, options=("--children",), files=()):
    """Run it plain and with --children: the same output."""
    files = {"program.py": textwrap.dedent(source), "other.py": textwrap.dedent(OTHER), **dict(files)}
    programs.write(files)
    plain = programs.run(["program.py", *arguments])
    programs.write(files)
    traced = programs.debugop(*RUN, *options, "program.py", *arguments)
    assert traced.stdout == plain.stdout, traced.stderr
    assert (traced.status, re.sub(r"pid=\d+", "", traced.stderr)) == (
        plain.status,
        re.sub(r"pid=\d+", "", plain.stderr),
    )
    return plain


@pytest.mark.parametrize("source", [FORK, OS_EXIT, FORK_IN_THREAD], ids=["fork", "os._exit", "fork in a thread"])
def test_a_forked_child_has_a_report_of_its_own(programs, source):
    run(programs, source)
    ((names, is_complete, steps),) = reports(programs)
    assert names & {"in_child", "before", "in_parent"} == {"in_child"}
    assert is_complete
    parents, is_complete, parents_steps = read(programs.directory / "report.jsonl")
    assert "in_child" not in parents
    assert is_complete
    assert {step["thread"] for step in steps}.isdisjoint({step["thread"] for step in parents_steps})


@pytest.mark.parametrize("source", [FORK, OS_EXIT, FORK_IN_THREAD], ids=["fork", "os._exit", "fork in a thread"])
def test_without_the_option_it_writes_nothing(programs, source):
    run(programs, source, options=[])
    assert reports(programs) == []
    assert "in_child" not in read(programs.directory / "report.jsonl")[0]


def test_pythons_started_by_subprocess(programs):
    run(programs, SUBPROCESS)
    found = reports(programs)
    assert len(found) == 6
    assert all("in_child" in names and is_complete for names, is_complete, _ in found)


def test_a_program_that_becomes_another(programs):
    run(programs, EXEC)
    ((names, is_complete, _),) = reports(programs, r"report\.jsonl\.\d+\.exec")
    assert "in_child" in names
    assert is_complete
    assert "in_parent" in read(programs.directory / "report.jsonl")[0]


def test_posix_spawn(programs):
    run(programs, SPAWN)
    ((names, is_complete, _),) = reports(programs)
    assert "in_child" in names
    assert is_complete


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(programs, method):
    run(programs, POOL, method)
    found = reports(programs)
    workers = [names for names, _, _ in found if "in_child" in names]
    assert len(workers) >= 2
    # Pool.terminate kills its workers by SIGTERM.
    assert any(is_complete for names, is_complete, _ in found if "in_child" in names)


def test_grandchildren(programs):
    program = """\
        import subprocess, sys
        def level(n):
            if n:
                subprocess.run([sys.executable, __file__, str(n - 1)], check=True)
        level(int(sys.argv[1]))
    """
    run(programs, program, "3")
    assert [("level" in names, is_complete) for names, is_complete, _ in reports(programs)] == [(True, True)] * 3


def test_the_place_of_the_number_can_be_chosen(programs):
    programs.write({"program.py": textwrap.dedent(FORK)})
    options = ["run", "--children", "--format", "jsonl", "-o", "a{pid}b.jsonl"]
    assert programs.debugop(*options, "program.py").status == 0
    names = sorted(path.name for path in programs.directory.iterdir() if path.name != "program.py")
    assert len(names) == 2
    assert all(re.fullmatch(r"a\d+b\.jsonl", name) for name in names)


def test_other_forms(programs):
    for form in ("text", "none"):
        programs.write({"program.py": textwrap.dedent(FORK)})
        done = programs.debugop("run", "--children", "--format", form, "-o", "report", "program.py")
        assert (done.status, done.stderr) == (0, "")
        (child,) = [path for path in programs.directory.iterdir() if path.name.startswith("report.")]
        assert re.search(r"^[\d,]+ instructions, ", child.read_text(), re.MULTILINE)


def test_it_needs_a_file(programs):
    programs.write({})
    done = programs.debugop("run", "--children", "program.py")
    assert done.status == 2
    assert "--children needs -o FILE: every process writes a report of its own, FILE.<pid>" in done.stderr


def test_other_programs_and_errors_are_as_without(programs):
    program = """\
        import os, subprocess, sys
        print(subprocess.run(["sh", "-c", "exit 3"]).returncode, os.system("exit 4") >> 8)
        for call in (lambda: os.execv("nowhere", ["nowhere"]), lambda: subprocess.run(["nowhere"]), lambda: os.execv(sys.executable, []),
                     lambda: os.execv(sys.executable, [1]), lambda: os.posix_spawn(sys.executable, 3, {}),
                     lambda: subprocess.run([sys.executable, "a\\0b"])):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
        print(subprocess.run([sys.executable, "-V"], capture_output=True).stdout)
        print(subprocess.run([sys.executable, "-"], input=b"print(1)", capture_output=True).stdout)
        print(subprocess.run([sys.executable], input=b"print(2)", capture_output=True).stdout)
        print(subprocess.run([sys.executable, "nofile.py"], capture_output=True).returncode)
    """
    run(programs, program)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_child_whose_report_cannot_be_written(programs):
    programs.write({"program.py": textwrap.dedent(FORK)})
    (programs.directory / "at").mkdir()
    done = programs.debugop(
        "run",
        "--children",
        "--format",
        "jsonl",
        "-o",
        "at/report",
        "-c",
        textwrap.dedent(
            "import os, shutil\nshutil.rmtree('at')\npid = os.fork()\nif pid == 0: raise SystemExit(3)\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
        ),
    )
    assert (done.stdout, done.status) == ("3\n", 0)
    assert done.stderr == "debugop: the report is not complete: No such file or directory\n"
