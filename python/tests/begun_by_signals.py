"""A program whose recordings a signal handler begins and ends, wherever its threads are: `begun_by_signals.py DIRECTORY COUNT SEED` makes so many recordings.

Wherever its code is, `doubled` is twice `number` and `text` says `number`, or one of them has no value yet.

The signal is SIGVTALRM: `regrtest` has `faulthandler` write tracebacks at SIGALRM, and that of 3.13.0 crashes where a frame is being cleared."""

import itertools
import random
import signal
import sys
import threading

import debugop


class Manager:
    def __init__(self, number):
        self.number = number

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.number % 2 == 0


def leaf(number):
    doubled = number * 2
    text = str(number)
    return doubled + len(text)


def loop(limit):
    total = 0
    for number in range(limit):
        doubled = number + number
        text = str(number)
        total += leaf(number) + doubled - len(text)
        del doubled, text
    while total > 5:
        total //= 2
        if total % 3 == 0:
            continue
        total -= 1
    # fmt: off
    while total < 200: total += 1  # noqa: E701
    # fmt: on
    return total


def recursion(depth):
    number = depth
    below = recursion(depth - 1) if depth else 0
    doubled = 2 * number
    for _ in range(2):
        below += doubled
    return below


def generator(limit):
    for number in range(limit):
        doubled = number * 2
        try:
            got = yield doubled
            if got:
                yield got
        finally:
            del doubled
    yield from inner(limit)


def inner(limit):
    number = 0
    while number < limit:
        number += 1
        yield number


def generators(limit):
    first, second = generator(limit), generator(limit)
    total = 0
    for number in first:
        total += number
        try:
            total += second.send(number if number % 3 else None) if number else next(second)
        except StopIteration:
            total -= 1
    second.close()
    return total


def fails(number):
    doubled = 2 * number
    if number % 3 == 0:
        raise KeyError(doubled)
    if number % 3 == 1:
        return [doubled][number + 1]
    return doubled


def exceptions(limit):
    total = 0
    for number in range(limit):
        try:
            total += fails(number)
        except KeyError as error:
            total += error.args[0]
        except IndexError:
            total += 1
        finally:
            total += number
        with Manager(number - number % 2):
            text = str(number)
            total += len(text)
            int(text + "x")
        del text
    return total


def comprehensions(limit):
    squares = [number * number for number in range(limit)]
    table = {number: leaf(number) for number in squares if number % 2}
    return sum(value - number for number, value in table.items()) + len({number % 7 for number in squares})


def closures(limit):
    kept = 0

    def add(number):
        nonlocal kept
        doubled = number + number
        kept += doubled

    for number in range(limit):
        add(number)
    return kept + sum(map(leaf, range(limit)))


def spread(limit):
    total = 0
    for number in range(limit):
        # fmt: off
        total += leaf(
            number,
        ) + max(
            leaf(number + 1), *(
                leaf(other)
                for other in range(3)
            ),
        )
        # fmt: on
    return total


async def waits(limit):
    total = 0
    async for number in asynchronous(limit):
        doubled = number * 2
        total += doubled
        del doubled
    return total


async def asynchronous(limit):
    for number in range(limit):
        yield number


def coroutines(limit):
    try:
        waits(limit).send(None)
    except StopIteration as stop:
        return stop.value


def floats(limit):
    total = 0.0
    for number in range(limit):
        doubled = number * 2.0
        total += doubled * 0.5
        total = total / 1.5
        del doubled
    return round(total, 6)


WORK = [loop, recursion, generators, exceptions, comprehensions, closures, spread, coroutines, floats]
SIZE = 12
EXPECTED = {}


def once():
    for work in WORK:
        result = work(SIZE)
        assert EXPECTED.setdefault(work, result) == result, (work, result)


class Recordings:
    """Begins a recording with one signal and ends it with the next one."""

    def __init__(self, directory, count, seed):
        self.paths = [f"{directory}/{number:04}.debugop" for number in range(count)]
        self.random = random.Random(seed)
        self.current = None
        self.begun = 0

    def arm(self):
        signal.setitimer(signal.ITIMER_VIRTUAL, self.random.uniform(0.0002, 0.002))

    def told(self, *_):
        if self.current is not None:
            self.current.stop()
            self.current = None
        elif not self.is_done():
            self.current = debugop.record(self.paths[self.begun])
            self.begun += 1
            self.current.start()
        self.arm()

    def is_done(self):
        return self.begun == len(self.paths)

    def end(self):
        # First, because the handler arms the timer again, and a signal that comes when the interpreter has put the default back ends the process.
        signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if self.current is not None:
            self.current.stop()


def main(directory, count, seed):
    once()
    recordings = Recordings(directory, int(count), int(seed))
    sys.setswitchinterval(0.0005)
    ends = threading.Event()

    def works():
        while not ends.is_set():
            once()

    threads = [threading.Thread(target=works) for _ in range(2)]
    for thread in threads:
        thread.start()
    signal.signal(signal.SIGVTALRM, recordings.told)
    recordings.arm()
    for number in itertools.count():
        doubled = number * 2
        once()
        text = str(number)
        if recordings.is_done():
            break
        del doubled, text
    recordings.end()
    ends.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
