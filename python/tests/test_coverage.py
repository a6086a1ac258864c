"""coverage.py in the same process: it measures what it measures alone, by each of its cores and each engine."""

import json
import re
import sys
from pathlib import Path

import pytest
from conftest import Programs

PROGRAM = Path(__file__).resolve().parent / "together" / "branches.py"
ENGINES = ["inject", "settrace"] if sys.version_info < (3, 12) else ["inject", "monitoring", "settrace"]
# coverage.py's names for its ways to measure; its documentation says where it has them.
CORES = ["ctrace", "pytrace"] + (["sysmon"] if sys.version_info >= (3, 12) else [])
# Branches by sys.monitoring need the events of 3.14.
MODES = {core: [[], ["--branch"]] if core != "sysmon" or sys.version_info >= (3, 14) else [[]] for core in CORES}
RUN = ["-m", "debugop", "run", "--all", "--format", "none"]


def measured(programs, command, core):
    """What coverage.py says of the program, and what the program printed."""
    programs.write({"branches.py": PROGRAM.read_text()})
    environment = {"COVERAGE_CORE": core}
    done = programs.run(command, env=environment.items())
    assert done.status == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if not re.match(r"[\d,]+ instructions", line)]
    assert said == []
    report = programs.run(["-m", "coverage", "json", "-o", "report.json"])
    assert report.status == 0, report.stdout + report.stderr
    files = json.loads((programs.directory / "report.json").read_text())["files"]
    assert list(files) == ["branches.py"]
    return files["branches.py"], done.stdout


@pytest.fixture(scope="module", params=[(core, tuple(mode)) for core in CORES for mode in MODES[core]], ids=str)
def alone(request, tmp_path_factory):
    core, mode = request.param
    programs = Programs(tmp_path_factory.mktemp("alone"))
    command = ["-m", "coverage", "run", *mode, "--data-file=.coverage", "--include=branches.py", "branches.py"]
    result = measured(programs, command, core)
    assert len(result[0]["executed_lines"]) > 30
    assert len(result[0]["missing_lines"]) > 1
    return core, command, result


@pytest.mark.parametrize("engine", ENGINES)
def test_it_runs_under_debugop(programs, alone, engine):
    # By settrace too: one trace function a thread is all that CPython has, and coverage.py's replaces debugop's.
    core, command, result = alone
    assert measured(programs, [*RUN, "--engine", engine, *command], core) == result


@pytest.mark.parametrize("engine", ENGINES)
def test_debugop_runs_under_it(programs, alone, engine):
    core, command, result = alone
    around = [*command[:-1], *RUN, "--engine", engine, "branches.py"]
    if engine == "settrace" and core != "sysmon":
        programs.write({"branches.py": PROGRAM.read_text()})
        done = programs.run(around, env={"COVERAGE_CORE": core}.items())
        assert done.status == 2
        (said,) = [line for line in done.stderr.splitlines() if line.startswith("debugop: ")]
        assert re.search(r"one has a trace function already: a (coverage\.CTracer|builtins\.method)$", said), said
        return
    assert measured(programs, around, core) == result
