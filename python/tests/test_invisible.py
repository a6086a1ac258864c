"""What a program can see of itself is the same with and without debugop: docs/visible.md lists the rest."""

import re
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).resolve().parent / "invisible").glob("*.py"))
ENGINES = ["inject", "settrace"] if sys.version_info < (3, 12) else ["inject", "monitoring", "settrace"]
RUN = ["run", "--all", "--format", "none"]
SUMMARY = r"[\d,]+ instructions, [^\n]*\n"


def both(programs, source, *options):
    programs.write({"program.py": textwrap.dedent(source)})
    plain = programs.run(["program.py"])
    assert plain.status == 0, plain.stderr
    # Once more, so that a program that differs from itself is not taken for a difference.
    again = programs.run(["program.py"])
    assert (again.stdout, again.stderr) == (plain.stdout, plain.stderr)
    traced = programs.debugop(*RUN, *options, "program.py")
    return plain, traced


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_says_the_same(programs, program, engine):
    if program.stem == "marshalled" and engine != "inject":
        pytest.skip("the other engines keep references to what they report, which marshal tells of: docs/engines.md")
    if program.stem == "c_trace_functions" and engine == "settrace" and sys.version_info[:2] == (3, 12):
        pytest.skip(
            "3.12.1 calls NULL for an opcode event in a thread without a trace function (sys_trace_instruction_func)"
        )
    plain, traced = both(programs, program.read_text(), "--engine", engine)
    assert len(plain.stdout.splitlines()) > 5
    assert traced.stdout == plain.stdout
    assert traced.status == 0
    assert traced.stderr.startswith(plain.stderr)
    assert re.fullmatch(SUMMARY, traced.stderr[len(plain.stderr) :])


SPECIALISED = """
    import sys
    if sys.version_info >= (3, 12):
        sys._getframe().f_trace_opcodes = True
    def numbers(n):
        yield from range(n)
    def first(n):
        for x in numbers(n): return x
    text = "def long(n):\\n    values = ["
    text += ", ".join(f"'{i}'" if i % 2 else f"{i}.5" for i in range(300))
    text += "]\\n    for x in numbers(n):\\n        " + "\\n        ".join(f"values.append({i}.25)" for i in range(80))
    text += "\\n    return len(values)\\n"
    exec(text)
    def trace(frame, event, argument):
        frame.f_trace_opcodes = opcodes
        if frame.f_code.co_name in ("first", "numbers", "long"):
            print(frame.f_code.co_name, event, frame.f_lasti, frame.f_lineno)
        return trace
    for turn in range(12):
        opcodes = turn > 8
        sys.settrace(trace)
        first(0), first(1), long(3)
        sys.settrace(None)
"""


def test_loops_with_which_no_line_begins(programs):
    """One is not jumped to, and one has a prefix there: FOR_ITER is specialised while a trace function is set, which 3.13 tells that of."""
    plain, traced = both(programs, SPECIALISED)
    assert traced.stdout == plain.stdout
    if sys.version_info[:2] == (3, 13):
        assert plain.stdout.count("first exception") > 2
        assert plain.stdout.count("long exception") > 2


SET_BEFORE = """
    import sys
    def work(x):
        for y in [x]:
            x += y
        return x
    def trace(frame, event, argument):
        frame.f_trace_opcodes = True
        if frame.f_code is code:
            told.append((event, frame.f_lasti, frame.f_lineno))
        return trace
    code, told = work.__code__, []
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    work(1)
    plain, told = told, []
    import debugop
    with debugop.trace(work):
        work(1)
    sys.settrace(None)
    print(len(plain) > 10, told == plain)
"""


def test_a_trace_function_that_was_there_before_debugop(programs):
    programs.write({"program.py": textwrap.dedent(SET_BEFORE)})
    done = programs.run(["program.py"])
    assert (done.stdout, done.stderr) == ("True True\n", "")


DEEP_IN_A_THREAD = """
    import sys, threading
    threading.stack_size(256 * 1024)
    sys.setrecursionlimit(2000)
    class Deep:
        def __eq__(self, other): return self == other
        def __repr__(self): return repr([self])
    def by_sort(n): return sorted([1, 2], key=lambda x: by_sort(n + 1))
    def python(n): return python(n + 1)
    results = []
    def work():
        for function in (python, repr) if {small} else (python,):
            try:
                function(Deep()) if function is repr else function(0)
            except RecursionError as error:
                results.append(type(error).__name__)
    for _ in range(3):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    print(results)
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_deep_recursion_in_a_thread_with_a_small_stack(programs, engine):
    """3.14+ knows the end of the C stack, so that recursion through C is safe there; before only Python's own is."""
    plain, traced = both(programs, DEEP_IN_A_THREAD.format(small=sys.version_info >= (3, 14)), "--engine", engine)
    assert (traced.stdout, traced.status) == (plain.stdout, plain.status)


DEPTHS = """
    import sys
    def depth(n=1):
        try:
            return depth(n + 1)
        except RecursionError:
            return n
    class Deep:
        depth = 0
        def __getattr__(self, name):
            Deep.depth += 1
            return getattr(self, name + "x")
    def through_c():
        Deep.depth = 0
        try:
            Deep().a
        except RecursionError:
            return Deep.depth
    print(depth(), through_c())
    sys.setrecursionlimit(5000)
    print(depth())
"""


def test_the_recursion_limit_is_as_far_away_as_without(programs):
    """Not a frame earlier: what a probe executes is no call of Python's. Only the C functions that debugop itself was started by count."""
    plain, traced = both(programs, DEPTHS)
    expected, found = ([int(word) for word in run.stdout.split()] for run in (plain, traced))
    assert min(expected) > 100
    assert (found[0], found[2]) == (expected[0], expected[2])
    assert abs(found[1] - expected[1]) <= 5


@pytest.mark.skipif(sys.version_info < (3, 14), reason="3.13 and older have no _remote_debugging")
def test_a_profiler_finds_the_same_frames(programs):
    """It reads them from the process's memory, down to the frame that 3.15 has below all others."""
    source = """
        import os, threading
        from _remote_debugging import RemoteUnwinder

        def walk(found):
            if isinstance(found, (list, tuple)) and not hasattr(found, "funcname"):
                for one in found: walk(one)
            elif hasattr(found, "funcname"):
                where = found.location if hasattr(found, "location") else found
                print(found.funcname, getattr(where, "lineno", where), os.path.basename(found.filename))
            elif hasattr(found, "__match_args__"):
                for name in found.__match_args__: walk(getattr(found, name))

        def deep(n):
            if n: return deep(n - 1)
            return RemoteUnwinder(os.getpid()).get_stack_trace()

        class Made:
            walk(deep(3))
        walk([deep(number) for number in range(2)])
        thread = threading.Thread(target=lambda: walk(RemoteUnwinder(os.getpid(), only_active_thread=False).get_stack_trace()))
        thread.start(); thread.join()
    """
    programs.write({"program.py": textwrap.dedent(source)})
    plain = programs.run(["program.py"])
    if "PermissionError" in plain.stderr:
        pytest.skip("a process may not read its own memory here")
    assert plain.status == 0, plain.stderr
    assert len(plain.stdout.splitlines()) > 5
    traced = programs.debugop(*RUN, "program.py")
    assert traced.stdout == plain.stdout, traced.stderr


def test_text_is_compiled_once(programs):
    """What the compiler warns of is warned of once, and what `exec` and `eval` refuse is refused as ever."""
    source = r"""
        import warnings
        def show(what, *arguments, **keywords):
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                try:
                    result = what(*arguments, **keywords)
                except Exception as error:
                    result = type(error).__name__, str(error), getattr(error, "text", None)
            print(result, [(one.category.__name__, str(one.message), one.filename, one.lineno) for one in warned])

        for text in ("'\\e'", "'\\e' $", b"'\\e'", "x", " \t1 + 1", "", "1\0", b"\xff", "1 is 1", "assert (1, 2)", "await x", 1, None):
            for run in (exec, eval):
                show(run, text)
                for arguments in ([{}], [{}, {}], [None, {}], [[]], [{}, 3], [{}, {}, {}], [1, 2, 3, 4]):
                    show(run, text, *arguments)
                namespace = {}
                show(run, text, namespace)
                print(list(namespace))
            show(exec, text, closure=None)
            show(exec, text, {}, closure=None)
            show(exec, text, closure=())
        show(exec), show(eval)
    """
    for options in ([], ["--include", "nothing"]):
        plain, traced = both(programs, source, *options)
        assert len(plain.stdout.splitlines()) > 100
        assert traced.stdout == plain.stdout
