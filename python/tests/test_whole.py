"""Whole programs: nothing that executes bytecode is missed, from the beginning or from the middle of a program."""

import json
import subprocess
import sys
import threading
import types
from pathlib import Path

import debugop
import pytest

PROGRAMS = sorted((Path(__file__).resolve().parent / "engines").glob("*.py"))
ENGINES = ["inject", "settrace"] if sys.version_info < (3, 12) else ["inject", "monitoring", "settrace"]


def run(*command, **options):
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=100, check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done


def code_objects(code):
    """A code object and all that are nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


def entered(path):
    """The qualified names of the functions in a report, once for each frame."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    codes = {line["code"]: line["qualname"] for line in lines if line["kind"] == "code"}
    frames = {(line["frame"], codes[line["code"]]) for line in lines if line["kind"] == "step"}
    return sorted(name for _, name in frames)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_every_function_of_a_program_is_seen(program, tmp_path):
    report = tmp_path / "report.jsonl"
    run("-m", "debugop", "run", "--format", "jsonl", "-o", report, program)
    code = compile(program.read_text(), str(program), "exec", dont_inherit=True)
    missing = {one.co_qualname for one in code_objects(code)} - set(entered(report))
    # Evaluated by nobody: what annotations are wrapped in from 3.14 on.
    assert {name for name in missing if not name.endswith("__annotate__")} == set()


def test_a_program_with_all_runs_as_without(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import json, re\nprint(json.dumps([1, {'a': 2}]), re.sub('a', 'b', 'aa'))")
    report = tmp_path / "report.jsonl"
    assert (
        run(program).stdout == run("-m", "debugop", "run", "--all", "--format", "jsonl", "-o", report, program).stdout
    )
    names = set(entered(report))
    assert {"dumps", "JSONEncoder.encode", "compile", "sub", "_find_and_load", "SourceLoader.get_code"} <= names


class TestStartAndStop:
    """`debugop.start` and `debugop.stop`, with every engine."""

    @pytest.mark.parametrize("engine", ENGINES)
    def test_the_frames_that_run_are_seen_from_their_next_instruction_on(self, engine):
        def inner():
            debugop.start(engine=engine, include="test_whole", exclude="*.entered_before_and_excluded")
            x = 1
            return x + 1

        def outer():
            y = inner()
            return y * 2

        def entered_before_and_excluded():
            return outer()

        assert entered_before_and_excluded() == 4
        z = len("abc")
        trace = debugop.stop()
        seen = [(record.name, record.instruction.opname) for record in trace]
        names = [name for name, _ in seen]
        assert names[0] == "inner"
        assert [op for name, op in seen if name == "inner"][-1].startswith("RETURN_VALUE")
        assert "RESUME" not in {op for name, op in seen if name in ("inner", "outer")}
        assert next(op for name, op in seen if name == "outer").startswith("STORE_FAST")
        assert "entered_before_and_excluded" not in names
        assert names[-1] == "test_the_frames_that_run_are_seen_from_their_next_instruction_on"
        assert z == 3

    @pytest.mark.parametrize("engine", ENGINES)
    def test_functions_generators_and_threads_are_seen(self, engine):
        def generator():
            for number in range(100):
                yield number * 1

        def function(x):
            return x + 1

        def in_thread():
            started.set()
            while not over.is_set():
                turn.wait()
            ended.append(function(1))

        started, turn, over, ended = threading.Event(), threading.Event(), threading.Event(), []
        suspended, unborn = generator(), generator()
        next(suspended)
        thread = threading.Thread(target=in_thread)
        thread.start()
        started.wait()
        with debugop.start(engine=engine):
            assert next(suspended) == 1
            assert next(unborn) == 0
            assert sorted([2, 1], key=function) == [1, 2]
            over.set()
            turn.set()
            thread.join()
        trace = debugop.stop()
        assert next(suspended) == 2
        assert function(1) == 2
        frames = {}
        for record in trace:
            frames.setdefault((record.name, record.frame), []).append(record)
        by_name = [name for name, _ in frames if not name.startswith("test_")]
        assert sorted(by_name) == ["function"] * 3 + ["generator"] * 2 + ["in_thread"]
        assert ended == [2]

    @pytest.mark.parametrize("engine", ENGINES)
    def test_nothing_is_left_behind(self, engine):
        def function():
            return [number + 1 for number in range(3)]

        def generator():
            yield function()
            yield function()

        code, suspended = function.__code__, generator()
        next(suspended)
        before = sys.gettrace(), sys.getprofile()
        debugop.start(engine=engine)
        function()
        made_meanwhile = eval("lambda: 1")
        trace = debugop.stop()
        steps = trace.steps
        assert function.__code__ is code
        assert made_meanwhile.__code__.co_code == (lambda: 1).__code__.co_code
        assert (sys.gettrace(), sys.getprofile()) == before
        if sys.version_info >= (3, 12):
            assert [sys.monitoring.get_tool(tool) for tool in (3, 4)] == [None, None]
            assert [sys.monitoring.get_local_events(0, one) for one in (code, suspended.gi_code)] == [0, 0]
        next(suspended)
        function()
        made_meanwhile()
        assert trace.steps == steps
        assert trace.records.filter(debugop.function("*function"))

    def test_starting_twice_and_stopping_nothing(self):
        with pytest.raises(RuntimeError, match="there is nothing to stop"):
            debugop.stop()
        debugop.start()
        try:
            with pytest.raises(RuntimeError, match="has been called already"):
                debugop.start()
        finally:
            debugop.stop()
        debugop.start().stop()
        debugop.start()
        debugop.stop()
