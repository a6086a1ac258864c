"""What a program sees of its own frames: tracebacks, warnings' locations, inspect, traceback, linecache."""

import inspect
import linecache
import sys
import traceback
import warnings


def fails(x):
    y = x + 1
    return y / (x - 1) + sum(n for n in range(3))


class Manager:
    def __enter__(self):
        return self

    def __exit__(self, *exc):
        frames = traceback.extract_tb(exc[2])
        print([(f.name, f.lineno, f.colno, f.end_lineno, f.end_colno, f.line) for f in frames])
        return False


def generator():
    try:
        yield 1
    finally:
        fails(1)


def nested():
    try:
        fails(1)
    except ZeroDivisionError as error:
        raise KeyError("other") from error


def grouped():
    errors = []
    for function in (nested, lambda: fails(1), lambda: list(generator())):
        try:
            function()
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup("all", errors)


for function in (
    lambda: fails(1),
    nested,
    grouped,
    lambda: [fails(n) for n in range(3)],
    lambda: eval("1 / 0"),
    lambda: exec("def f():\n 1/0\nf()"),
):
    try:
        with Manager():
            function()
    except BaseException as error:
        traceback.print_exception(error, file=sys.stdout)
        sys.__excepthook__(type(error), error, error.__traceback__)
        tb = error.__traceback__
        while tb:
            info = inspect.getframeinfo(tb, context=1)
            print(info.function, info.lineno, info.code_context, info.positions, tb.tb_lineno, tb.tb_frame.f_lineno)
            tb = tb.tb_next
        print([(info.function, info.lineno, info.positions) for info in inspect.getinnerframes(error.__traceback__)])


def where():
    frame = sys._getframe()
    names = []
    while frame:
        names.append(
            (
                frame.f_code.co_name,
                frame.f_lineno,
                sorted(frame.f_locals) if frame.f_code.co_name != "<module>" else None,
            )
        )
        frame = frame.f_back
    print(names)
    print([(info.function, info.lineno) for info in inspect.stack()])
    print([(f.name, f.lineno) for f in traceback.extract_stack()])
    print(len(inspect.stack()), sys._getframe(1).f_code.co_name)


(lambda: [where() for _ in range(1)])()

warnings.simplefilter("always")


def warn(level):
    warnings.warn(f"level {level}", UserWarning, stacklevel=level)


def warns():
    warn(1)
    warn(2)
    warn(3)
    eval("warn(2)")


warns()
exec("assert (1, 'x')")
print(sorted(name for name in globals() if name.startswith("__")))
print(
    linecache.getline(__file__, 3),
    inspect.getsource(fails),
    inspect.signature(fails),
    inspect.getmodule(fails).__name__,
)
print(
    inspect.getsourcelines(Manager)[1],
    sorted(inspect.getclosurevars(where).globals),
    inspect.getgeneratorstate(generator()),
)
print(
    fails.__code__.co_firstlineno,
    fails.__code__.co_varnames,
    fails.__code__.co_names,
    fails.__code__.co_flags,
    fails.__code__.co_argcount,
)
print(*sorted({line for _, _, line in fails.__code__.co_lines() if line}))
