"""A program that runs one feature of debugop thousands of times and prints by how much it grew.

Run with the name of a feature; run as a program of its own because the interpreter's own state is smallest there, so
that what grows is seen, and walks of the heap are short. Prints a JSON object with the least growth over several times
200 rounds, in objects that the garbage collector tracks (`objects`), blocks of Python's allocator (`blocks`) and bytes of the C
library's (`bytes`, Rust's among them; null where it does not say), and whether reference counts of what took part changed
(`references`). Each is a count: what the system makes of it, resident pages, depends on what else it has to do.
"""

import asyncio
import contextlib
import ctypes
import gc
import itertools
import json
import sys

import debugop


def target(x):
    y = [x, x]
    return len(y)


def numbers(x):
    yield x
    yield target(x)


def closure(x):
    return lambda: x


def fails(x):
    raise KeyError(x)


class Class:
    def __init__(self, x):
        self.x = x


def collecting(x):
    with debugop.trace(target) as trace:
        target(x)
    list(trace)
    trace.filter(debugop.opcode("CALL*"))


def calling_back(x):
    def callback(step):
        step.stack.copy()
        step.frame  # noqa: B018
        step.instruction.argval  # noqa: B018
        step.instruction.argrepr  # noqa: B018
        step.depth  # noqa: B018
        step.record()

    debugop.trace(target, callback)(x)


def keeping_steps(x):
    kept = []
    debugop.trace(target, lambda step: kept.append((step, step.stack, step.instruction)))(x)


def raising(x):
    def callback(step):
        if step.number == 4:
            raise ValueError(step)

    with contextlib.suppress(ValueError):
        debugop.trace(target, callback)(x)


FOLLOW = debugop.Follow(include="json", depth=3)


def following(x):
    def outer():
        return target(x), Class(x), closure(x)()

    debugop.trace(outer, follow=FOLLOW)()


def generators(x):
    with debugop.trace(numbers, follow=True):
        list(numbers(x))
        abandoned = numbers(x)
        next(abandoned)
    next(abandoned)


def closures(x):
    with debugop.trace(closure):
        made = closure(x)
    made()


def exceptions(x):
    with contextlib.suppress(KeyError):
        debugop.trace(fails)(x)


def decorators(x):
    @debugop.trace(where=debugop.line(1, 10_000) & ~debugop.depth(3))
    def decorated():
        return target(x)

    decorated()
    decorated.trace.records.clear()


def code_objects(x):
    debugop.trace(compile("def f(): return x\ny = [f() for _ in range(2)]", "<c>", "exec"))({"x": x})


def cyclic(x):
    def callback(step):
        if step.number == 2:
            trace.stop()

    trace = debugop.trace(target, callback)
    trace.start()
    target(x)


def coroutines(x):
    @debugop.trace()
    async def coroutine():
        return x

    with contextlib.suppress(StopIteration):
        coroutine().send(None)


def nested(x):
    with debugop.trace(target), debugop.trace(target, limit=2), debugop.trace(target, lambda step: target(x)):
        target(x)


def writing(x):
    def callback(step):
        if step.instruction.opname == "BUILD_LIST":
            step.stack[0] = "written"

    debugop.trace(target, callback)(x)


async def work(x):
    await asyncio.sleep(0)
    return target(x)


async def main(x):
    return await asyncio.gather(*(work(x) for _ in range(3)))


LOOP = asyncio.new_event_loop()


def under_asyncio(x):
    with debugop.trace(main, follow=True):
        LOOP.run_until_complete(main(x))


FEATURES = [collecting, calling_back, keeping_steps, raising, following, generators, closures, exceptions, decorators]
FEATURES += [code_objects, cyclic, coroutines, nested, writing, under_asyncio]

WATCHED = [target, numbers, closure, fails, work, main, Class]
WATCHED += [function.__code__ for function in WATCHED[:-1]]


class MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc's malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


MALLINFO = getattr(ctypes.CDLL(None), "mallinfo2", None)  # glibc 2.33
if MALLINFO is not None:
    MALLINFO.restype = MallInfo


def allocated():
    """Bytes that are allocated by `malloc` now; None where there is no way to know."""
    if MALLINFO is None:
        return None
    info = MALLINFO()
    return info.uordblks + info.hblkhd


def measure(argument):
    gc.collect()
    gc.collect()
    references = [sys.getrefcount(one) for one in [argument, *WATCHED]]
    return {
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "bytes": allocated(),
        "references": references,
    }


def growth(feature, rounds=200, times=12):
    """The least of several times: the interpreter's caches and free lists grow too, less and less."""
    argument = object()
    measured = []
    for _ in range(times):
        for _ in range(rounds):
            feature(argument)
        measured.append(measure(argument))
    pairs = list(itertools.pairwise(measured))
    least = {
        name: None if measured[0][name] is None else min(after[name] - before[name] for before, after in pairs)
        for name in ("objects", "blocks", "bytes")
    }
    return least | {"references": any(one["references"] != measured[0]["references"] for one in measured)}


if __name__ == "__main__":
    print(json.dumps(growth(next(feature for feature in FEATURES if feature.__name__ == sys.argv[1]))))
    LOOP.close()
