"""Generators and coroutines that only hand on what another one yields: driven in every way, thrown into, closed, shared, interrupted between two of them."""

import asyncio
import contextlib
import gc
import heapq
import signal
import types


def chain(depth, values):
    """So many hand on; what is sent comes to the innermost one, which yields it back."""
    if depth:
        return (yield from chain(depth - 1, values)) + 1
    total = 0
    for value in values:
        sent = yield value
        if sent is not None:
            total += sent
            yield sent, total
    return total


def hands_on(other):
    return (yield from other)


def tree(depth):
    """Before, between and behind two delegations something else is yielded."""
    if depth:
        yield -depth
        yield from tree(depth - 1)
        yield depth * 10
        yield from tree(depth - 1)
        yield depth * 100


def driven():
    """By a loop, `next`, C code, another frame each time; the end has a value."""
    total = sum(tree(5)) + len(list(chain(6, "abc")))
    one = chain(4, range(9))
    for depth in range(7):
        total += from_depth(depth, one)
    try:
        while True:
            total += next(one)
    except StopIteration as end:
        total += end.value
    return total + sum(hands_on(hands_on(chain(2, range(5)))))


def from_depth(depth, one):
    return from_depth(depth - 1, one) if depth else next(one)


def sent():
    """Values of all kinds: told as None, short, long, known and new ones."""
    found, one = [], chain(3, range(9))
    found.append(next(one))
    for value in (None, 1, 2**70, -0.5, True, None, 3):
        found.append(one.send(value))
        if value is not None:
            found.append(next(one))
    return found


class Iterator:
    """No generator."""

    def __init__(self, count):
        self.count = count

    def __iter__(self):
        return self

    def __next__(self):
        self.count -= 1
        if self.count < 0:
            raise StopIteration(self.count)
        return self.count


class Derived(Iterator):
    def send(self, value):
        return value

    def throw(self, *error):
        self.count = 0
        return "thrown"


def other_delegates():
    """The same site hands on for a generator of its own code, of another, of none that is recorded, for lists and for what is no generator."""
    found = []
    for turn in range(4):
        others = [
            chain(turn, range(3)),
            iter([1, 2, 3]),
            range(3),
            Iterator(3),
            Derived(3),
            heapq.merge([1, 4], chain(turn, [2, 3])),
            (value * turn for value in range(3)),
            zip(chain(1, "ab"), chain(turn, "cd"), strict=True),
        ]
        for other in others:
            found.append(list(hands_on(hands_on(other))))
    one = hands_on(hands_on(Derived(5)))
    found += [next(one), one.send("sent"), one.throw(KeyError("derived")), list(one)]
    return found


def catches(other):
    """It goes on behind what has been thrown, by another delegation."""
    while True:
        try:
            return (yield from other)
        except KeyError as error:
            yield "caught", error.args[0]
            other = chain(2, range(2))
        except GeneratorExit:
            raise


def thrown():
    """The outer ones neither go on nor yield then."""
    found = []
    for outside in range(3):
        for inside in range(3):
            one = catches(chain(inside, range(4)))
            for _ in range(outside):
                one = hands_on(one)
            found += [next(one), next(one), one.throw(KeyError(inside)), next(one), one.throw(KeyError("again"))]
            found += list(one)
            one = hands_on(catches(chain(inside, range(4))))
            found.append(next(one))
            try:
                one.throw(ValueError("through all"))
            except ValueError as error:
                found.append(error.args)
            found.append(next(one, "ended"))
    return found


def yields_when_thrown():
    """The innermost one yields in its handler: what it yields goes up through C code, or what executes that."""
    for turn in range(3):
        try:
            yield turn
        except KeyError:
            got = yield "handled"
            yield got, turn


def thrown_and_yielded():
    found = []
    for depth in range(4):
        one = yields_when_thrown()
        for _ in range(depth):
            one = hands_on(one)
        found += [next(one), one.throw(KeyError), one.send(depth), next(one), one.throw(KeyError), next(one), list(one)]
    return found


def stubborn():
    try:
        yield 1
    finally:
        yield 2


def closed():
    found = []
    for depth in range(4):
        one, other = chain(depth, range(3)), stubborn()
        for _ in range(depth):
            other = hands_on(other)
        found += [next(one), one.close(), next(one, "closed"), next(other)]
        try:
            other.close()
        except RuntimeError as error:
            found.append(error.args)
        try:
            found.append(next(other, "ended"))
        except GeneratorExit as error:
            found.append(error.args)
    return found


def shared():
    """What one hands on for, another one drives, too, and it has run before it is delegated to."""
    common = chain(2, range(20))
    found = [next(common)]
    one, other = hands_on(hands_on(common)), hands_on(common)
    for turn in range(3):
        found += [next(one), next(common), next(other), next(one) if turn % 2 else next(other)]
    found += [list(common), list(one), list(other)]
    common = chain(1, range(3))
    one = hands_on(hands_on(common))
    found.append(next(one))
    common.close()
    found.append(list(one))
    return found


def itself():
    """It is asked for the next one while it hands on."""

    def asks():
        try:
            yield next(one)
        except ValueError as error:
            yield error.args

    one = hands_on(hands_on(asks()))
    return list(one)


def raising(values):
    for value in values:
        yield 6 // value


def raised():
    found = []
    for depth in range(4):
        one = raising([3, 2, 0, 1])
        for _ in range(depth):
            one = hands_on(one)
        try:
            for value in one:
                found.append(value)
        except ZeroDivisionError as error:
            trace, lines = error.__traceback__, 0
            while trace:
                trace, lines = trace.tb_next, lines + 1
            found.append(lines)
    return found


class Interrupts:
    """Recorded code that runs wherever the interpreter looks for signals."""

    count = 0

    def __call__(self, *_):
        self.count += sum(chain(1, range(2)))


def interrupted():
    """By a signal's handler; and by finalisers of what a level lets go."""
    interrupts = Interrupts()
    before = signal.signal(signal.SIGINT, interrupts)
    try:
        total = 0
        for turn in range(40):
            one = hands_on(hands_on(raises_signals(turn)))
            total += sum(one)
    finally:
        signal.signal(signal.SIGINT, before)
    return total, interrupts.count > 0


def raises_signals(turn):
    for value in range(3):
        signal.raise_signal(signal.SIGINT)
        yield value * turn


class Dying:
    ended = 0

    def __del__(self):
        Dying.ended += sum(chain(2, range(3)))


def collected():
    """Cycles that die while a chain goes on, and chains that die suspended."""
    thresholds = gc.get_threshold()
    gc.set_threshold(5)
    try:
        total = 0
        for turn in range(20):
            cycle = [Dying()]
            cycle.append(cycle)
            one = chain(turn % 5, map(list, [cycle[1:], [1], [2]]))
            del cycle
            total += len(next(one)) + len(next(one))
            if turn % 2:
                total += len(list(one))
    finally:
        gc.set_threshold(*thresholds)
    del one
    gc.collect()
    return total, Dying.ended


@types.coroutine
def hands_over(value):
    return (yield value)


async def awaits(depth, value):
    if depth:
        return await awaits(depth - 1, value) + 1
    return await hands_over(value) + await hands_over(value)


class Awaitable:
    def __init__(self, depth):
        self.depth = depth

    def __await__(self):
        return awaits(self.depth, 1).__await__()


class AwaitedGenerator(Awaitable):
    def __await__(self):
        yield from chain(self.depth, range(2))
        return self.depth


async def awaits_others(depth):
    return await Awaitable(depth) + await AwaitedGenerator(depth)


def by_hand():
    """Coroutines without a loop of events."""
    found = []
    for depth in range(4):
        one = awaits_others(depth)
        try:
            found.append(one.send(None))
            while True:
                found.append(one.send(depth))
        except StopIteration as end:
            found.append(end.value)
        except TypeError as error:
            found.append(str(error))
        other = awaits(depth, 5)
        found.append(other.send(None))
        try:
            other.throw(KeyError("coroutine"))
        except KeyError as error:
            found.append(error.args)
    return found


async def numbers(count):
    for number in range(count):
        await asyncio.sleep(0)
        yield number


async def sums(depth, count):
    if depth:
        return await sums(depth - 1, count) + 1
    total = 0
    async for number in numbers(count):
        total += number
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.sleep, 0)
    return total + sum([number async for number in numbers(2)])


async def waits(depth, future):
    if depth:
        try:
            return await waits(depth - 1, future)
        finally:
            await asyncio.sleep(0)
    return await future


async def cancelled(depth):
    future = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(waits(depth, future))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return future.cancelled()


async def with_a_loop():
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(4)]
    waiting = [asyncio.ensure_future(waits(depth, one)) for depth, one in enumerate(futures)]
    found = await asyncio.gather(*(sums(depth, 4) for depth in range(4)))
    for number, one in enumerate(futures):
        one.set_result(number)
    found += await asyncio.gather(*waiting)
    found += [await cancelled(depth) for depth in range(3)]
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(waits(2, loop.create_future()), 0.001)
    return found


for _ in range(2):
    print(driven(), sent(), other_delegates())
    print(thrown(), thrown_and_yielded(), closed(), shared(), itself(), raised())
    print(interrupted(), collected())
    print(by_hand(), asyncio.run(with_a_loop()))
