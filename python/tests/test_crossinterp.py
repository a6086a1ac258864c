"""Functions and code that a traced program sends to other interpreters: the same comes back as without debugop."""

import re
import sys
import textwrap

import pytest

SUMMARY = r"[\d,]+ instructions, [^\n]*\n"
needs_3_13 = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="3.12 and older send nothing but text to an interpreter"
)
needs_3_14 = pytest.mark.skipif(sys.version_info < (3, 14), reason="3.13 sends nothing but scripts to an interpreter")

# What all versions from 3.13 on do: run the code of a function, or a code object.
SCRIPTS = """
    import _interpreters, os, sys

    def write(): import os; os.write(1, b"from a function\\n")
    def fails(): raise LookupError("inside")
    def loops():
        import os
        total = 0
        for number in [1, 2, 3]:
            def nested(x): return [y * x for y in range(x)]
            total += sum(nested(number))
        os.write(1, b"%d\\n" % total)
    def takes(x): pass
    def outer():
        x = 1
        def inner(): x
        return inner
    def default(*, x=1): pass

    sent = [write, fails, loops, takes, outer(), default, write.__code__, loops.__code__, lambda: None]
    sent += [compile("import os; os.write(1, b'compiled\\\\n')", "compiled", "exec"), "import os; os.write(1, b'text\\\\n')", 7]
    for again in range(2):
        one = _interpreters.create()
        for name in ("exec", "run_func", "call"):
            for number, what in enumerate(sent):
                try:
                    found = getattr(_interpreters, name)(one, what)
                    if isinstance(found, tuple):
                        found = [getattr(part, "msg", part) for part in found]
                    print(name, number, getattr(found, "msg", found), flush=True)
                except Exception as error:
                    print(name, number, type(error).__name__, str(error).split(" at 0x")[0], flush=True)
        found = _interpreters.exec(id=one, code=write), _interpreters.run_func(one, func=write, shared={})
        print(found, flush=True)
        _interpreters.destroy(one)
        # They run here as ever.
        loops(), write()
"""

STATELESS = """
    import _interpchannels, re
    from concurrent import interpreters
    from concurrent.futures import InterpreterPoolExecutor

    def double(x): return 2 * x
    def pair(f, x): return f(f(x))
    def nested(functions, x):
        for f in functions: x = f(x)
        return x
    def uses_a_global(x): return double(x)
    def with_default(x, y=3): return x + y
    def keyword(*, x): return x
    def raises(x): raise ZeroDivisionError(x)
    def local():
        def inside(x): return [x, x + 1]
        y = 1
        def closed(x): return x + y
        return inside, closed
    def kept(f): return f

    def show(what, *arguments, **keywords):
        try:
            result = what(*arguments, **keywords)
        except BaseException as error:
            words = [type(error).__name__, re.sub(" at 0x[0-9a-f]+", "", str(error))]
            cause = error.__cause__
            words += [type(cause).__name__, re.sub(" at 0x[0-9a-f]+", "", str(cause))]
            return print("raised", *words)
        if callable(result):
            result = result.__name__, result.__code__.co_consts, result.__code__.co_code
        print(result)

    if __name__ == "__main__":
        one = interpreters.create()
        inside, closed = local()
        functions = [double, pair, uses_a_global, with_default, keyword, raises, inside, closed, kept, lambda x: x]
        for f in functions:
            show(one.call, f, 4)
            show(one.call, f, x=4)
            show(one.call, kept, f)
            show(one.call, pair, f, 4)
            show(one.call, nested, (f, double, f), 4)
            show(one.call, nested, ((f,),), 4)
        show(one.call, nested, (inside, [inside]), 4)
        one.call_in_thread(inside, 4).join()
        one.prepare_main(x=3)
        show(one.prepare_main, f=double)
        show(one.prepare_main, f=inside)
        print(flush=True)
        queue = interpreters.create_queue()
        for f in functions:
            show(queue.put, f)
            show(queue.put, (1, (f,)))
        while not queue.empty():
            got = queue.get()
            got = got[1][0] if isinstance(got, tuple) else got
            print(got.__name__, got.__code__.co_consts)
        channel = _interpchannels.create(1)
        _interpchannels.send(channel, inside, blocking=False)
        print(_interpchannels.recv(channel)[0](7))
        one.close()
        with InterpreterPoolExecutor(2) as pool:
            print(list(pool.map(double, range(20))))
            print(pool.submit(inside, 3).result(), pool.submit(pair, inside, [1]).exception() is not None)
            print(sorted(f.result() for f in [pool.submit(uses_a_global, n) for n in range(5)]))
            show(pool.submit(raises, 3).result)
        print(double(2), pair(double, 2), inside(3), closed(3))
"""


def same(programs, source, *options):
    """Runs `source` with and without debugop: what debugop reports."""
    programs.write({"program.py": textwrap.dedent(source)})
    plain = programs.run(["program.py"])
    assert plain.status == 0, plain.stderr
    assert len(plain.stdout.splitlines()) > 20
    traced = programs.debugop("run", "--all", *options, "program.py")
    assert traced.stdout == plain.stdout
    assert traced.status == 0, traced.stderr
    return traced


@needs_3_13
@pytest.mark.parametrize("engine", ["inject", "monitoring", "settrace"])
def test_scripts(programs, engine):
    traced = same(programs, SCRIPTS, "--format", "none", "--engine", engine)
    assert re.fullmatch(SUMMARY, traced.stderr)


@needs_3_13
def test_scripts_of_a_program_whose_functions_nobody_follows(programs):
    # What is not followed is noted down in its code object, which a script must not have.
    same(programs, SCRIPTS, "--format", "none", "--include", "nothing")


@needs_3_14
@pytest.mark.parametrize("engine", ["inject", "monitoring", "settrace"])
def test_stateless_functions(programs, engine):
    traced = same(programs, STATELESS, "--format", "none", "--engine", engine)
    assert re.fullmatch(SUMMARY, traced.stderr)
