"""Every feature, thousands of times over: nothing accumulates."""

import asyncio
import contextlib
import gc
import itertools
import sys

import debugop
import pytest

# Thousands of turns; slow machines need more than the default of pyproject.toml.
pytestmark = pytest.mark.timeout(600)


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


def following(x):
    def outer():
        return target(x), Class(x), closure(x)()

    debugop.trace(outer, follow=debugop.Follow(include="json", depth=3))()


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


FEATURES = [collecting, calling_back, keeping_steps, raising, following, generators, closures, exceptions, decorators]
FEATURES += [code_objects, cyclic, coroutines, nested, writing]


def measure(functions):
    gc.collect()
    gc.collect()
    return len(gc.get_objects()), sys.getallocatedblocks(), [sys.getrefcount(one) for one in functions]


def least_growth(run, rounds, watched):
    """By how many objects and blocks `rounds` runs add at the least; reference counts of `watched` must not change.

    The least of several times, because the interpreter's own caches and free lists also grow now and then.
    """
    measured = []
    for _ in range(5):
        for _ in range(rounds):
            run()
        measured.append(measure(watched))
    assert all(references == measured[0][2] for _, _, references in measured)
    pairs = list(itertools.pairwise(measured))
    return min(after[0] - before[0] for before, after in pairs), min(after[1] - before[1] for before, after in pairs)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.__name__)
def test_nothing_accumulates(feature):
    argument = object()
    watched = [argument, target, numbers, closure, fails, target.__code__, numbers.__code__, closure.__code__, Class]
    objects, blocks = least_growth(lambda: feature(argument), 250, watched)
    assert objects < 10
    # On 3.11 up to 25 blocks come and go in the features that raise; a leak would be one or more a round.
    assert blocks < 60


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_native_memory_does_not_grow():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    def everything():
        for feature in FEATURES:
            feature(1)

    for _ in range(100):
        everything()
    before = resident()
    for _ in range(200):
        everything()
    # A leak of one description of one code object a round would be more than this.
    assert resident() - before < 2 << 20


def test_asyncio_under_a_trace_leaves_nothing():
    async def work(x):
        await asyncio.sleep(0)
        return target(x)

    async def main():
        return await asyncio.gather(*(work(i) for i in range(3)))

    def run():
        with debugop.trace(main, follow=True):
            asyncio.run(main())

    objects, blocks = least_growth(run, 30, [target, target.__code__])
    assert objects < 10
    assert blocks < 20
