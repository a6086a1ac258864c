"""A recording that cannot be made, or not to its end; how the program ended; what is said of a file that is no recording."""

import json
import os
import re
import signal
import subprocess
import sys
import venv
from pathlib import Path

import debugop
import pytest

resource = pytest.importorskip("resource", reason="this system has no limits")

BUSY = """
def f(n):
    return [n, str(n)]
n = 1
for _ in range(1_200_000):
    n = n * 6364136223846793005 + 1442695040888963407 & (1 << 62) - 1
    made = f(n)
print("ran")
raise SystemExit(5)
"""


# Where files are limited CPython caches parts of compiled modules, which nobody can import later.
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def run(*arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 300, "env": ENVIRONMENT, **options}
    return subprocess.run([sys.executable, "-m", "debugop", *map(str, arguments)], check=False, **options)


def limited(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [0, 20, 1 << 16])
def test_a_program_runs_unrecorded_where_the_file_cannot_be_made(tmp_path, size):
    path = tmp_path / "x.debugop"
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\nprint('ran', __name__, sys.argv)\nif os.fork() == 0:\n    os._exit(0)\nos.wait()\nsys.exit(4)"
    )
    for options in ([], ["--children"], ["--on-exception"]):
        for what in ([program], ["-m", "program"], ["-c", program.read_text()]):
            found = run("record", *options, "-o", path, *what, cwd=tmp_path, preexec_fn=limited(size))
            plain = subprocess.run(
                [sys.executable, *what], cwd=tmp_path, capture_output=True, text=True, check=False, env=ENVIRONMENT
            )
            assert (found.returncode, found.stdout) == (plain.returncode, plain.stdout)
            assert found.stderr == (
                f"debugop: cannot write the recording to '{path}': File too large; the program runs and is not recorded\n"
            )
    assert [one.name for one in tmp_path.iterdir() if "debugop" in one.name] == []


def test_a_path_that_cannot_be_meant_is_an_error_before_the_program_starts(tmp_path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("")
    for name, why in (
        ("no/x", "No such file or directory"),
        ("directory", "Is a directory"),
        ("file/x", "Not a directory"),
        ("x" * 300, "File name too long"),
    ):
        found = run("record", "-o", tmp_path / name, "-c", "print(1)")
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr == f"debugop: cannot write the recording to '{tmp_path / name}': {why}\n"
        with pytest.raises(OSError, match=why), debugop.record(tmp_path / name):
            pass
    assert sorted(one.name for one in tmp_path.iterdir()) == ["directory", "file"]


def test_children_that_cannot_be_recorded_run(tmp_path):
    """Their directory is gone when they begin."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, shutil, subprocess, sys\n"
        "shutil.rmtree(sys.argv[1])\n"
        "if os.fork() == 0:\n    print('forked', flush=True)\n    os._exit(0)\n"
        "os.wait()\n"
        "subprocess.run([sys.executable, '-c', 'print(\"started\")'], check=True)\n"
    )
    (tmp_path / "gone").mkdir()
    found = run("record", "--children", "-o", tmp_path / "gone" / "x.debugop", program, tmp_path / "gone")
    assert (found.returncode, found.stdout) == (0, "forked\nstarted\n")
    forked, started, own = found.stderr.splitlines()
    assert "the child process is not recorded" in forked
    assert started.endswith("No such file or directory; the program runs and is not recorded")
    assert "the recording is not complete: cannot find the recording" in own
    assert not (tmp_path / "gone").exists()


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


@pytest.mark.parametrize("how", ["no directory", "limit", "no permission"])
def test_what_the_environment_asks_for_and_cannot_be_made(environment, tmp_path, how):
    if how == "no permission" and os.geteuid() == 0:
        path = Path("/proc/x")  # nobody may, as which the system says that there is nothing
    else:
        (tmp_path / "closed").mkdir(mode=0o500)
        path = {"no directory": tmp_path / "no" / "x", "limit": tmp_path / "x", "no permission": tmp_path / "closed/x"}[
            how
        ]
    found = subprocess.run(
        [environment, "-c", "import sys; print(1); sys.exit(3)"],
        env={**os.environ, "DEBUGOP_RECORD": os.fspath(path)},
        preexec_fn=limited(1 << 20) if how == "limit" else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (3, "1\n")
    assert re.fullmatch(
        r"debugop: cannot write the recording to '.*': [\w ]+; the program runs and is not recorded\n", found.stderr
    )
    assert not [one for one in tmp_path.rglob("*") if one.name.startswith("x")]


@pytest.mark.skipif(sys.platform != "linux", reason="the system says by a number why, and these are Linux's")
def test_what_is_kept_of_a_recording_that_could_not_be_written_to_its_end(tmp_path):
    path = tmp_path / "x.debugop"
    found = run("record", "-o", path, "-c", BUSY, preexec_fn=limited(9 << 20))
    assert (found.returncode, found.stdout) == (5, "ran\n")
    said = re.fullmatch(
        r"debugop: the recording is not complete: cannot write the recording: File too large \(os error 27\); it stopped (\S+) s into the (\S+) s of the program, "
        rf"and {re.escape(os.fspath(path))} \((\S+) bytes\) holds, with {re.escape(os.fspath(path))}\.tail, about (\S+) steps\n",
        found.stderr,
    )
    assert said is not None, found.stderr
    stopped, all_of_it, size, steps = (float(text.replace(",", "")) for text in said.groups())
    replay = debugop.open(path)
    assert size == path.stat().st_size
    assert steps == pytest.approx(len(replay), rel=0.05)
    assert 0 < stopped < all_of_it
    assert stopped == pytest.approx(replay.at(-1).time / 1e9, abs=0.01)


def test_the_exit_status_is_there(tmp_path):
    path = tmp_path / "x.debugop"
    for code, status, told in (
        ("pass", 0, ", exit status 0"),
        ("raise SystemExit(3)", 3, ", exit status 3"),
        ("raise SystemExit", 0, ", exit status 0"),
        ("raise SystemExit('why')", 1, ", exit status 1"),
        ("raise SystemExit(True)", 1, ", exit status 1"),
        ("raise SystemExit(-1)", 255, ", exit status 255"),
        ("1 / 0", 1, ", exit status 1"),
        ("raise KeyboardInterrupt", -signal.SIGINT, ", by signal 2"),
    ):
        assert run("record", "-o", path, "-c", code).returncode == status
        assert debugop.open(path).exit_status == status, code
        text = run("info", path).stdout
        assert re.search(rf"^ended .*{told}$", text, re.MULTILINE), text
        assert json.loads(run("info", "--json", path).stdout)["summary"]["exit_status"] == status
    run("record", "--children", "-o", path, "-c", "import os; os._exit(7)")
    assert debugop.open(path).exit_status == 7
    with debugop.record(path):
        str(1)
    assert debugop.open(path).exit_status is None


def test_what_is_wrong_with_a_file_is_said_by_type_and_offset(tmp_path):
    path, whole = tmp_path / "x.debugop", tmp_path / "whole.debugop"
    assert run("record", "-o", whole, "-c", "x = [1]").returncode == 0
    contents = whole.read_bytes()

    def refused(data, kind):
        path.write_bytes(data)
        with pytest.raises(kind) as raised:
            len(debugop.open(path))
        assert type(raised.value) is kind
        assert isinstance(raised.value, debugop.RecordingError)
        assert isinstance(raised.value, ValueError)
        if raised.value.chunk is None:
            assert f"byte {raised.value.offset}" in str(raised.value)
        found = run("info", path)
        assert (found.returncode, found.stdout) == (1, "")
        assert f"byte {raised.value.offset}" in found.stderr
        return raised.value.offset

    assert refused(b"", debugop.NotARecording) == 0
    assert refused(contents[:3], debugop.NotARecording) == 3
    assert refused(b"import os\n", debugop.NotARecording) == 0
    assert refused(contents[:4] + b"x" + contents[5:], debugop.NotARecording) == 4
    assert refused(contents[:8] + b"\xe7\x03" + contents[10:], debugop.WrongVersion) == 8
    assert refused(contents[:20] + b"\0" + contents[21:], debugop.DamagedRecording) == 0
    assert refused(contents[:30], debugop.IncompleteRecording) == 30
    assert refused(contents[:-20], debugop.IncompleteRecording) > 100
    with pytest.raises(FileNotFoundError):
        debugop.open(tmp_path / "no")


@pytest.mark.parametrize("how", ["command", "module", "block"])
def test_only_named_functions_are_recorded(tmp_path, how):
    path, program = tmp_path / "x.debugop", tmp_path / "program.py"
    program.write_text(
        "class Parser:\n    def parse(self, x):\n        return [self.step(x), self.step(x)]\n    def step(self, x):\n        return x + 1\n"
        "def late(n):\n    return list(map(Parser().step, range(n)))\ndef main():\n    return Parser().parse(1), late(3)\nmain()\n"
    )
    found = {}
    for names in (["parse"], ["*.step", "main"], ["Parser.*"], ["<module>"], ["no"]):
        if how == "block":
            code = f"import debugop, runpy\nwith debugop.record({os.fspath(path)!r}, function={names!r}):\n    runpy.run_path({os.fspath(program)!r}, run_name='program')"
            done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        else:
            options = [word for name in names for word in ("-f", name)]
            what = ["-m", "program"] if how == "module" else [program]
            done = run("record", "-o", path, *options, *what, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found[names[0]] = {step.function for step in debugop.open(path)}
    assert found["parse"] == {"Parser.parse"}
    assert found["*.step"] == {"Parser.step", "main"}
    assert found["Parser.*"] == {"Parser.parse", "Parser.step"}
    assert found["<module>"] == {"<module>"}
    assert found["no"] == set()


def test_nesting_has_a_name_of_its_own(tmp_path):
    path = tmp_path / "x.debugop"
    kept = []
    for options in ([], ["--nesting", "2"], ["--depth", "2"]):
        assert run("record", *options, "-o", path, "-c", "x = [[[[1]]]]\ny = x").returncode == 0
        kept.append(json.loads(run("info", "--json", path).stdout)["header"]["limits"]["depth"])
    # That is how deep calls are recorded, as it is of `run`.
    assert kept == [1, 2, 1]


def test_of_a_program_that_is_not_there_nothing_is_left(tmp_path):
    for options in ([], ["--ring", "1M"], ["--on-exception"]):
        found = run("record", *options, "nowhere.py", cwd=tmp_path)
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr.startswith("debugop: can't open file")
        assert found.stderr.count("\n") == 1
        assert os.listdir(tmp_path) == []
