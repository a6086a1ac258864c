"""`None`, `True`, `False`, `""` and `-1` wherever they come to: 3.15 loads them by `LOAD_COMMON_CONSTANT`."""

import contextlib


def nothing():
    pass


def truth(x):
    return True if x else False  # noqa: SIM210


def last(items, value):
    items[-1] = value
    t = -1
    for i in range(5):
        t = t * -1 + i
        value = (value, -1, None, True, "")
    return items[-1], t


def resumed():
    got = yield None
    while True:
        got = yield (-1 if got is None else True)
        if got == 3:
            return False


class Equal:
    x = None
    y = -1

    def __init__(self):
        self.a = None
        self.b = True
        self.c = -1
        self.d = False

    def __eq__(self, other):
        return False

    def __hash__(self):
        return -1

    def __bool__(self):
        return False


def pending(n):
    """Constants on the stack below what raises."""
    try:
        several(-1, None, True, 1 // n, "")
    except ZeroDivisionError:
        return None
    except TypeError:
        return -1
    finally:
        n = True
    return n


def several(a=None, b=-1, *c, d=True):
    return a, b, c, d, -1


@contextlib.contextmanager
def within():
    yield -1


for i in range(40):
    nothing()
    truth(i % 3)
    last([1, 2, 3], i)
    pending(i % 2)
    several(None, d=False)
    left = resumed()
    next(left)
    left.send(None)
    left.send(1)
    try:
        left.send(3)
    except StopIteration as end:
        ended = end.value
    with within() as inside:
        other = None if Equal() == inside else -1
    found = [None, True, -1][-1]
    keys = {None: -1, True: False}
    keys[-1] = None
    del keys[-1]
    power = -(1**2) + -1 * i
    empty = "" or None
