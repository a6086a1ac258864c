"""The recordings of a process and of those that it starts belong together."""

import json
import os
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import debugop
import pytest

CHILDREN = """\
    import os, subprocess, sys
    def in_forked():
        return 1
    pid = os.fork()
    if pid == 0:
        in_forked()
        # A grandchild.
        subprocess.run([sys.executable, "other.py"], check=True)
        raise SystemExit(6)
    os.waitpid(pid, 0)
    subprocess.run([sys.executable, "other.py", "again"], check=True)
    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "other.py"], os.environ), 0)
"""

OTHER = """\
    import os, sys
    def in_other():
        return 2
    in_other()
    if sys.argv[1:]:
        pid = os.fork()
        if pid == 0:
            in_other()
            os._exit(7)
        os.waitpid(pid, 0)
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
"""

BY_SHELL = """\
    import os, sys
    python = sys.executable
    pid = os.fork()
    if pid == 0:
        os._exit(os.system(f"{python} other.py") >> 8)
    os.waitpid(pid, 0)
    os.system(f"exec {python} other.py")
"""


def record(directory, source, *arguments, python=sys.executable):
    """The recordings of a program and of its children, by their names."""
    (directory / "program.py").write_text(textwrap.dedent(source))
    (directory / "other.py").write_text(textwrap.dedent(OTHER))
    command = [python, "-m", "debugop", "record", "--children", "-o", "x-{pid}.debugop", "program.py", *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    paths = [path for path in directory.iterdir() if path.suffix in (".debugop", ".exec")]
    return {replay.uuid: replay for replay in map(debugop.open, paths)}


def functions(replay):
    return {name for name in ("in_forked", "in_other", "in_child", "work") if replay.calls(name)}


def tree(recordings, uuid=None):
    """What is called in the recordings, and below each one that of the processes it has started."""
    (root,) = [one for one in recordings.values() if one.parent is None]
    replay = recordings[uuid or root.uuid]
    below = [tree(recordings, child["uuid"]) for child in replay.children]
    for child in replay.children:
        other = recordings[child["uuid"]]
        assert os.path.samefile(child["path"], path_of(other, child["path"]))
        assert other.parent["uuid"] == replay.uuid
        assert debugop.open(other.parent["path"]).uuid == replay.uuid
    return (functions(replay), below)


def path_of(replay, path):
    assert debugop.open(path).uuid == replay.uuid
    return path


def test_forked_and_started_children_and_theirs(tmp_path):
    recordings = record(tmp_path, CHILDREN)
    assert len(recordings) == 6
    other = ({"in_other"}, [])
    assert tree(recordings) == (set(), [({"in_forked"}, [other]), ({"in_other"}, [other]), other])
    statuses = sorted(replay.exit_status for replay in recordings.values())
    assert statuses == [0, 0, 0, 0, 6, 7]


def test_info_shows_them(tmp_path):
    recordings = record(tmp_path, CHILDREN)
    for uuid, replay in recordings.items():
        (path,) = [path for path in tmp_path.glob("*.debugop") if debugop.open(path).uuid == uuid]

        def info(*options, path=path):
            command = [sys.executable, "-m", "debugop", "info", path, *options]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        lines = [line.split(maxsplit=1) for line in info().splitlines()]
        shown = [text for name, text in lines if name == "child"]
        assert shown == [f"process {child['pid']}, {child['path']}" for child in replay.children]
        parents = [text for name, text in lines if name == "parent"]
        parent = replay.parent
        assert parents == ([f"process {parent['pid']}, {parent['path']}"] if parent else [])
        told = json.loads(info("--json"))
        assert told["children"] == replay.children
        assert told["header"]["parent"] == (parent and {"uuid": parent["uuid"], "pid": parent["pid"]})
        if parent:
            # Elsewhere its name is known still.
            (tmp_path / "moved").mkdir(exist_ok=True)
            moved = tmp_path / "moved" / "alone.debugop"
            moved.write_bytes(path.read_bytes())
            assert f"process {parent['pid']}, recording {parent['uuid']}" in info(path=moved)
            assert debugop.open(moved).parent == {**parent, "path": None}
            moved.unlink()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path, method):
    recordings = record(tmp_path, POOL, method)
    (root,) = [one for one in recordings.values() if one.parent is None]
    (child,) = [one for one in recordings.values() if one.calls("work")]
    up = child
    ways = 0
    while up.uuid != root.uuid:
        up = recordings[up.parent["uuid"]]
        ways += 1
    # Between them there is the server.
    assert ways == (2 if method == "forkserver" else 1)
    assert child.exit_status == 0


def test_what_a_shell_starts(tmp_path):
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    packages = next((tmp_path / "env").glob("lib/python*/site-packages"))
    (packages / "a.pth").write_text(f"{Path(debugop.__file__).parents[1]}\n")
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "debugop", "record", "--install"], check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "in").mkdir()
    recordings = record(tmp_path / "in", BY_SHELL, python=python)
    other = ({"in_other"}, [])
    assert tree(recordings) == (set(), [(set(), [other]), other])
