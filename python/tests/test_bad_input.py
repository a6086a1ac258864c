"""Programs, code objects and surroundings that nobody expects: defined, and harmless."""

import os
import re
import sys
import textwrap
from pathlib import Path

import debugop
import pytest

HERE = Path(__file__).resolve().parent / "bad_input"
ENGINES = ["inject", "settrace"] if sys.version_info < (3, 12) else ["inject", "monitoring", "settrace"]
ALL = ["run", "--all", "--format", "none"]
SUMMARY = r"^[\d,]+ instructions?, [\d,]+ frames?, [\d,]+ functions?(, [\d,]+ threads)?, [\d.]+ s\n"


def same(programs, program, *arguments, command=(*ALL,), flags=(), name="program.py", **options):
    """Run a program plain and under debugop: same output and status; returns what debugop said on stderr."""
    files = program if isinstance(program, dict) else {name: textwrap.dedent(program)}
    programs.write(files)
    plain = programs.run([*flags, name, *arguments], **options)
    assert plain.status == 0, plain.stderr
    programs.write(files)
    traced = programs.debugop(*command, name, *arguments, flags=flags, **options)
    assert (traced.stdout, traced.status) == (plain.stdout, plain.status), traced.stderr
    assert plain.stderr in traced.stderr
    return traced.stderr.replace(plain.stderr, "", 1) if plain.stderr else traced.stderr


LEFT_OUT = {
    "undefined_opcode",
    "zeros",
    "jump_out",
    "underflow",
    "dangling_prefix",
    "long_prefix",
    "depths",
    "depths_too",
    *(f"exceptions_{number}" for number in range(4)),
    *(f"lines_{number}" for number in range(5)),
    "large",
    "broken_inner",
}


class TestHandMadeCode:
    """Code objects that debugop cannot analyse are left as they are."""

    @pytest.mark.parametrize("engine", ENGINES)
    def test_they_run_as_they_are_and_are_named_once(self, programs, engine):
        if engine == "settrace" and sys.version_info[:2] == (3, 12):
            pytest.skip(
                "3.12's initialize_lines (Python/instrumentation.c) crashes on such code under any trace function"
            )
        files = {path.name: path.read_text() for path in HERE.glob("*.py")}
        command = [*ALL, "--exclude", "copies", "--exclude", "copies.*", "--engine", engine]
        # CPython itself writes out of bounds when a trace function is set and code has such tables (`initialize_lines` in
        # `Python/instrumentation.c`, 3.13; 3.14 while it looks for handlers), so they are for the other engines.
        tables = ["--tables"] if engine != "settrace" else []
        said = same(programs, files, *tables, command=command, name="hand_made.py")
        named = re.findall(r"^debugop: not traced: (\w+) in \S+: .+$", said, re.MULTILINE)
        assert len(named) == len(set(named))
        left_out = {name for name in LEFT_OUT if tables or not name.startswith(("exceptions", "lines"))}
        assert set(named) - {"function"} == left_out

    def test_a_main_program_that_cannot_be_traced(self, programs):
        program = """\
            import marshal, importlib.util, sys
            code = compile("print('it runs', [x for x in 'ab'])", "made.py", "exec").replace(co_linetable=b"")
            with open("made.pyc", "wb") as file:
                file.write(importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code))
        """
        programs.write({"make.py": textwrap.dedent(program)})
        assert programs.run(["make.py"]).status == 0
        done = programs.debugop(*ALL, "made.pyc")
        assert (done.stdout, done.status) == ("it runs ['a', 'b']\n", 0)
        assert "debugop: not traced: <module> in made.py: the location table covers 0 code units" in done.stderr

    def test_only_so_many_are_named(self, programs):
        program = """\
            import types
            def f(): pass
            for n in range(100):
                g = types.FunctionType(f.__code__.replace(co_linetable=b"", co_qualname=f"f{n}"), {})
                g()
        """
        said = same(programs, program)
        assert len(re.findall("^debugop: not traced", said, re.MULTILINE)) == 20

    def test_tracing_from_python_warns_once_at_its_end(self):
        def f():
            pass

        code = f.__code__
        debugop.start(include="*")
        try:
            made = [
                type(f)(code.replace(co_linetable=b"", co_qualname=name, co_name=name), globals())
                for name in ("one", "two")
            ]
            for g in made:
                g()
        finally:
            with pytest.warns(RuntimeWarning) as caught:
                debugop.stop()
        (warning,) = caught
        lines = str(warning.message).splitlines()
        assert lines[0] == "debugop has not traced"
        assert [line.split()[0] for line in lines[1:]] == ["one", "two"]

    def test_code_that_is_replaced_in_part_fits_together(self, programs):
        program = """\
            import types
            def f(x):
                try:
                    return [x, 123.5, "a"]
                finally:
                    x = None
            c = f.__code__
            def run(code):
                return types.FunctionType(code, globals())(1)
            print(run(c.replace(co_name="g")))
            print(run(c.replace(co_consts=tuple("b" if one == "a" else one for one in c.co_consts))))
            print(run(c.replace(co_code=c.co_code)), run(c.replace(co_code=c.co_code, co_consts=c.co_consts)))
            print(len(c.replace(co_consts=()).co_consts))
        """
        same(programs, program)


class TestSubInterpreters:
    PROGRAM = """\
        {create}
        result = run(open("inside.py").read())
        assert result is None, result
        print("end")
    """
    INSIDE = """\
        import json, threading, sys
        class A:
            def f(self):
                return [x for x in range(3)]
        def g(): pass
        g.__code__ = A.f.__code__
        print(A().f(), json.dumps(1), eval("1 + 1"), flush=True)
        exec("def h(): return 7\\nprint(h(), flush=True)")
    """
    IMPORT = """\
        try:
            import debugop
        except ImportError as error:
            print(error, flush=True)
    """
    SHARED = (
        "import _xxsubinterpreters as i; run = lambda text: i.run_string(i.create(isolated=False), text)"
        if sys.version_info < (3, 13)
        else "import _interpreters as i; run = lambda text: i.run_string(i.create('legacy'), text)"
    )
    OWN = (
        "import _xxsubinterpreters as i; run = lambda text: i.run_string(i.create(), text)"
        if sys.version_info < (3, 13)
        else "import _interpreters as i; run = lambda text: i.run_string(i.create(), text)"
    )

    @pytest.mark.parametrize("create", [SHARED, OWN], ids=["shared GIL", "own GIL"])
    @pytest.mark.parametrize("engine", ENGINES)
    def test_they_run_as_they_are(self, programs, create, engine):
        same(programs, self.files(create, self.INSIDE), command=[*ALL, "--engine", engine])

    @pytest.mark.parametrize("create", [SHARED, OWN], ids=["shared GIL", "own GIL"])
    def test_debugop_says_that_it_does_not_work_there(self, programs, create):
        programs.write(self.files(create, self.IMPORT))
        for done in (programs.run(["program.py"]), programs.debugop(*ALL, "program.py")):
            assert done.status == 0, done.stderr
            assert re.search("sub-?interpreter", done.stdout), done.stdout + done.stderr
            assert done.stdout.endswith("end\n")

    def files(self, create, inside):
        program = textwrap.dedent(self.PROGRAM).format(create=create)
        return {"program.py": program, "inside.py": textwrap.dedent(inside)}

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no interpreters with a GIL of their own")
    def test_many_at_once(self, programs):
        program = """\
            import threading
            try:
                import _interpreters as i
            except ImportError:
                import _xxsubinterpreters as i
            text = '''
            import json
            for n in range(2000):
                def f(): return json.dumps([n])
                def g(): pass
                g.__code__ = f.__code__.replace(co_name="g")
                exec("x = 1")
            '''.replace("\\n            ", "\\n")
            def work():
                one = i.create()
                i.run_string(one, text)
                i.destroy(one)
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            print("end")
        """
        same(programs, program)


class TestTwoDebugops:
    def test_a_command_in_a_command(self, programs):
        programs.write({"x.py": "print('hello', [x for x in range(3)])"})
        outer = ["run", "--all", "-o", "outer.txt", "-m", "debugop"]
        done = programs.debugop(*outer, "run", "--format", "jsonl", "-o", "inner.jsonl", "x.py")
        assert (done.stdout, done.stderr, done.status) == ("hello [0, 1, 2]\n", "", 0)
        inner = (programs.directory / "inner.jsonl").read_text()
        alone = programs.debugop("run", "--format", "jsonl", "-o", "alone.jsonl", "x.py")
        assert alone.status == 0
        assert inner.count('"kind":"step"') == (programs.directory / "alone.jsonl").read_text().count('"kind":"step"')
        assert "x.py" in (programs.directory / "outer.txt").read_text()

    def test_imported_twice(self, programs):
        program = """\
            import sys
            import debugop
            def f(): return 1
            for name in [name for name in sys.modules if name.partition(".")[0] == "debugop"]:
                del sys.modules[name]
            import debugop as again
            assert again is not debugop
            with debugop.trace(f) as one, again.trace(f) as two:
                f()
            print(len(one) == len(two) > 0)
            debugop.start(); f(); debugop.stop()
        """
        same(programs, program)


class TestSurroundings:
    PROGRAM = """\
        import sys, json, os
        print(sys.flags, __debug__, json.dumps([1]), os.path.basename(__file__), main.__doc__ if "main" in globals() else "")
    """

    @pytest.mark.parametrize("flag", ["-I", "-S", "-O", "-OO", "-E", "-s", "-P", "-B", "-u", "-X dev", "-X utf8"])
    def test_flags(self, programs, flag):
        program = self.PROGRAM
        if flag in ("-S", "-I"):
            # Without site directories debugop itself has to be found.
            flags = [
                *flag.split(),
                "-c",
                f"import sys; sys.path.append({str(Path(debugop.__file__).parent.parent)!r}); ",
            ]
            start = "sys.argv[0] = 'debugop'; from debugop._launch import main; sys.exit(main())"
            programs.write({"program.py": textwrap.dedent(program)})
            plain = programs.run([*flag.split(), "program.py"])
            traced = programs.run([*flags[:-1], flags[-1] + start, *ALL, "program.py"])
            assert (traced.stdout, traced.status) == (plain.stdout, plain.status), traced.stderr
        else:
            same(programs, program, flags=flag.split())

    @pytest.mark.parametrize(
        "name", ["json", "linecache", "atexit", "runpy", "tempfile", "textwrap", "threading", "typing", "dataclasses"]
    )
    def test_modules_of_the_program_named_like_the_librarys(self, programs, name):
        files = {
            f"{name}.py": "print('the program has its own')\nvalue = 42",
            "program.py": f"import sys\nimport {name}\nprint(getattr({name}, 'value', None))",
        }
        if name in ("linecache", "runpy", "threading", "atexit"):
            # docs/visible.md: what debugop itself has imported is the library's. It must not fail.
            programs.write(files)
            assert programs.debugop(*ALL, "program.py").status == 0
        else:
            same(programs, files)

    def test_a_library_of_the_same_name_on_pythonpath(self, programs):
        files = {
            "elsewhere/json.py": "def dumps(x): return 'not json'",
            "program.py": "import json; print(json.dumps(1))",
        }
        same(programs, files, env={"PYTHONPATH": "elsewhere"}.items())

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
    @pytest.mark.parametrize("form", ["text", "jsonl", "none"])
    def test_a_full_disk(self, programs, form):
        program = "import json\nprint(sum(len(json.dumps(x)) for x in range(100)))"
        said = same(programs, program, command=["run", "--all", "--format", form, "-o", "/dev/full"])
        assert said == "debugop: the report is not complete: No space left on device\n"


class TestCallbacksThatFork:
    """A child that a callback makes goes on by itself."""

    def test_from_a_callback(self, programs):
        program = """\
            import os, sys, debugop
            seen = []
            def callback(step):
                seen.append(step.instruction.offset)
                if len(seen) == 3:
                    pid = os.fork()
                    if pid == 0:
                        child.append(True)
                    else:
                        status.append(os.waitpid(pid, 0)[1])
            child, status = [], []
            def f(x):
                y = [x]
                return y * 2
            with debugop.trace(f, callback):
                result = f(1)
            if child:
                os._exit(0 if result == [1, 1] and len(seen) > 5 else 9)
            print(result, status, len(seen) > 5)
        """
        programs.write({"program.py": textwrap.dedent(program)})
        done = programs.run(["program.py"])
        assert (done.stdout, done.status) == ("[1, 1] [0] True\n", 0), done.stderr

    def test_with_threads_that_are_traced(self, programs):
        program = """\
            import os, threading, time
            over = threading.Event()
            def work():
                n = 0
                while not over.is_set():
                    n += 1
            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads: thread.start()
            codes = []
            for _ in range(5):
                pid = os.fork()
                if pid == 0:
                    os._exit(sum(x for x in range(4)))
                codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            over.set()
            for thread in threads: thread.join()
            print(codes)
        """
        said = same(programs, program, flags=["-W", "ignore"])
        assert re.search(SUMMARY, said)
