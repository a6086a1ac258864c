"""When objects die, who refers to them, and what the garbage collector finds."""

import gc
import sys
import weakref

died = []


class Object:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        died.append(self.name)


def local():
    one = Object("one")
    weak = weakref.ref(one, lambda _: died.append("callback"))
    counts = [sys.getrefcount(one)]
    two = one
    counts.append(sys.getrefcount(one))
    three = [one, (one,)]
    counts.append(sys.getrefcount(one))
    del two, three
    counts.append(sys.getrefcount(one))
    del one
    return counts, weak() is None, list(died)


def temporaries():
    seen = []
    seen.append(sys.getrefcount(Object("temporary")))
    seen.append(list(died))
    [Object(n) for n in range(3)]
    seen.append(list(died))
    Object("a").name + Object("b").name
    seen.append(list(died))
    return seen


def cycle():
    gc.collect()
    one = Object("cycle")
    one.self = one
    del one
    return "cycle" in died, gc.collect() > 0, "cycle" in died


def in_exception():
    try:
        keep = Object("in exception")
        raise ValueError
    except ValueError as error:
        inner = weakref.ref(keep)
        traceback = error.__traceback__
        del keep, error
    alive = inner() is None
    del traceback
    return alive, "in exception" in died


def generator():
    one = Object("in generator")
    try:
        yield sys.getrefcount(one)
    finally:
        died.append("closed")


def run_generator():
    it = generator()
    first = next(it)
    del it
    return first, died[-2:]


def frames():
    def inner():
        value = Object("in frame")
        return sys._getframe(), weakref.ref(value)

    frame, weak = inner()
    before = weak() is not None, sorted(frame.f_locals)
    del frame
    return before, weak() is None


def functions():
    def closure():
        return captured  # noqa: F821

    captured = Object("captured")
    weak = weakref.ref(captured)
    code = weakref.ref(closure)
    counts = sys.getrefcount(closure), sys.getrefcount(captured)
    del closure, captured
    return counts, weak() is None, code() is None


def of_constants():
    value = 123456789012345678
    text = "a text that is not interned!"
    return (sys.getrefcount(value) > 100000) == (sys.version_info >= (3, 14)) or True, text


def referrers():
    one = Object("referred to")
    holder = [one]
    found = [type(other).__name__ for other in gc.get_referrers(one)]
    return sorted(found), [type(other).__name__ for other in gc.get_referents(holder)]


for function in (local, temporaries, cycle, in_exception, run_generator, frames, functions, of_constants, referrers):
    for _ in range(3):
        print(function.__name__, function())
    died.clear()

print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks, gc.garbage)
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase))
gc.collect()
gc.callbacks.clear()
print(collections)
print(sum(isinstance(one, Object) for one in gc.get_objects()))
