"""Generators that are sent to, thrown into, closed and dropped; exceptions of every shape."""

import contextlib
import sys


def inner():
    while True:
        try:
            print((yield))
        except ValueError as error:
            print("value", error)
            yield "caught"
        finally:
            print("finally")


def middle():
    try:
        return (yield from inner())
    except KeyError:
        return 5


def outer():
    return (yield from middle())


one = outer()
next(one)
one.send(1)
print(one.throw(ValueError("x")))
try:
    one.throw(KeyError("k"))
except StopIteration as stop:
    print(stop.value)
two = outer()
next(two)
two.close()
three = inner()
next(three)
del three


def stops():
    raise StopIteration


def wrong():
    stops()
    yield


try:
    next(wrong())
except RuntimeError as error:
    print(repr(error))
expression = (i for i in [1])
next(expression)
try:
    expression.throw(OSError("thrown"))
except OSError as error:
    print(error)
unstarted = inner()
try:
    unstarted.throw(OSError("unstarted"))
except OSError as error:
    print(error)


@contextlib.contextmanager
def manager():
    try:
        yield 1
    except ZeroDivisionError:
        print("division")


with manager():
    1 / 0  # noqa: B018
try:
    with manager(), manager():
        raise TypeError("t")
except TypeError:
    pass


def nested(n):
    try:
        return nested(n - 1) if n else 1 / 0
    finally:
        n  # noqa: B018


with contextlib.suppress(ZeroDivisionError):
    nested(5)
try:
    try:
        raise ExceptionGroup("group", [ValueError(1), TypeError(2)])
    except* ValueError:
        print("a value error")
except ExceptionGroup as error:
    print(error)


class Dies:
    def __del__(self):
        print("died")


def drops():
    kept = Dies()
    raise LookupError(type(kept))


with contextlib.suppress(LookupError):
    drops()


def reraises():
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        try:  # noqa: SIM105
            {}["a"]
        except KeyError:
            pass
        raise


with contextlib.suppress(ZeroDivisionError):
    reraises()


def endless():
    return endless()


sys.setrecursionlimit(200)
try:
    endless()
except RecursionError:
    print("too deep")
