"""Pythons that are started by a shell or another program: with `--children`, and `debugop record --install`, traced too."""

import json
import os
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import debugop
import pytest

PROGRAM = """\
    import os, subprocess, sys
    python = sys.executable
    def start(*words):
        sys.stdout.flush()
        for number, word in enumerate(words):
            word(number)
    def env(**more):
        return {"PATH": os.environ["PATH"], "HOME": "/", **more}
    def becomes_a_shell(number):
        pid = os.fork()
        if pid == 0:
            os.execve("/bin/sh", ["sh", "-c", f"exec {python} other.py {number}"], env(A="b"))
        os.waitpid(pid, 0)
    def spawned(environment):
        def start(number):
            os.waitpid(os.posix_spawn("script", ["script", str(number)], environment), 0)
        return start
    start(
        lambda n: os.system(f"{python} other.py {n}"),
        lambda n: subprocess.run(f"{python} -I other.py {n}", shell=True),
        lambda n: subprocess.run(f"{python} -E -m other {n}; exit 3", shell=True, env=env()),
        lambda n: subprocess.run(["./script", str(n)], env=env(X="%n", Y="a\\nb")),
        lambda n: print(os.popen(f"{python} -B -c 'import other; other.in_child()' {n}").read(), end=""),
        spawned(os.environ), spawned({b"A": "b"}), becomes_a_shell,
    )
    print(os.system("exit 4") >> 8, [name for name in os.environ if "DEBUGOP" in name])
"""

OTHER = """\
    import os, sys
    def in_child():
        print(sys.argv[1:], sys.orig_argv[1:], sys.flags, sys.path[0], __name__, sorted(os.environ.items() - {("_", os.environ.get("_"))}), flush=True)
    if __name__ == "__main__":
        in_child()
"""

STARTED = 8


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment whose site-packages see this one's, with what `--install` writes."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=False, symlinks=True)
    packages = next(directory.glob("lib/python*/site-packages"))
    (packages / "a.pth").write_text(f"{Path(debugop.__file__).parents[1]}\n")
    python = directory / "bin" / "python"
    subprocess.run([python, "-m", "debugop", "record", "--install"], check=True, stdout=subprocess.DEVNULL)
    return python


def run(python, directory, *arguments):
    files = {"program.py": PROGRAM, "other.py": OTHER, "script": f"#!{python}\n" + textwrap.dedent(OTHER)}
    for name, text in files.items():
        (directory / name).write_text(textwrap.dedent(text))
    (directory / "script").chmod(0o755)
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DEBUGOP"))}
    done = subprocess.run(
        [python, *arguments, "program.py"], cwd=directory, env=variables, capture_output=True, text=True, timeout=60
    )
    return done.stdout, done.returncode, done.stderr


def test_reports(environment, tmp_path):
    plain = run(environment, tmp_path)
    assert plain[0].count("\n") == STARTED + 1, plain
    command = ["-m", "debugop", "run", "--children", "--format", "jsonl", "-o", "report"]
    assert run(environment, tmp_path, *command) == plain
    names = []
    for path in tmp_path.glob("report.*"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        names.append({line["name"] for line in lines if line["kind"] == "code"})
    assert sum("in_child" in found for found in names) == STARTED
    # The forked process that becomes a shell has one of its own.
    assert len(names) == STARTED + 1


def test_recordings(environment, tmp_path):
    plain = run(environment, tmp_path)
    out, status, errors = run(environment, tmp_path, "-m", "debugop", "record", "--children", "-o", "a-{pid}.debugop")
    assert (out, status) == plain[:2]
    # Each process says where it has been recorded, but for the one that becomes a shell.
    assert errors.count("debugop: recorded ") == STARTED + 1
    calls = [
        len(debugop.open(path).calls("in_child"))
        for path in tmp_path.glob("a-*")
        if path.suffix in (".debugop", ".exec")
    ]
    assert calls.count(1) == STARTED


@pytest.mark.parametrize("flags", [["-S"], ["-X", "importtime", "-S"]])
def test_without_site_they_are_left_alone(environment, tmp_path, flags):
    (tmp_path / "program.py").write_text(
        f"import os, sys\nos.system(sys.executable + ' {' '.join(flags)} -c \"print(1)\"')\n"
    )
    (tmp_path / "other.py").write_text("")
    command = [environment, "-m", "debugop", "run", "--children", "-o", "report", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    assert not list(tmp_path.glob("report.*"))


def test_not_installed_nothing_is_in_the_environment(tmp_path):
    command = [sys.executable, "-m", "debugop", "run", "--children", "--format", "none", "-o", "report", "-c"]
    program = "import os; os.system('env')"
    done = subprocess.run([*command, program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "DEBUGOP_CHILD" not in done.stdout
    assert "PATH=" in done.stdout
