"""Exceptions, generators, coroutines, context managers: ways in which frames end, are suspended and go on."""

import asyncio
import contextlib


def div(a, b):
    try:
        return a / b
    except ZeroDivisionError as error:
        raise ValueError("bad") from error
    finally:
        str(a)


@contextlib.contextmanager
def swallowing():
    try:
        yield 1
    except ValueError:
        print("swallowed")


def average():
    total = count = 0
    value = yield
    while True:
        try:
            total += value
            count += 1
            value = yield total / count
        except ValueError:
            value = yield "starting again"
            total = count = 0


class Failing(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value

    def __del__(self):
        str(self.value)


def deep(n):
    if n == 0:
        raise Failing(n)
    try:
        deep(n - 1)
    except Failing as error:
        error.value = n
        raise


def bare():
    try:
        try:
            {}["missing"]
        except KeyError:
            raise
    except LookupError as error:
        return repr(error)


async def work(number, done):
    await asyncio.sleep(0)
    async with asyncio.Lock():
        done.append(number)
    try:
        await asyncio.wait_for(asyncio.sleep(0.5), 0.001)
    except TimeoutError:
        done.append(-number)


async def main():
    done = []
    await asyncio.gather(*(work(number, done) for number in range(5)))

    async def numbers():
        for number in range(5):
            yield number

    found = [number async for number in numbers()]
    async for number in numbers():
        if number == 2:
            break
    return sorted(done), found


for number in range(6):
    with swallowing():
        raise ValueError
    with contextlib.suppress(ValueError):
        div(number, number % 3)
means = average()
next(means)
print(means.send(10), means.send(20), means.throw(ValueError("reset")), means.send(5))
means.close()
try:
    deep(5)
except Failing as error:
    print(error.value)
print(bare())
try:
    raise ExceptionGroup("g", [Failing(1), TypeError(2)])
except* Failing as group:
    print(len(group.exceptions))
except* TypeError:
    print("a TypeError")
print(asyncio.run(main()))
print([x * y for x in range(4) for y in range(4) if x != y][:5], dict(zip("abc", (1, 2, 3), strict=False)))
print(sorted((3, 1, 2), key=lambda one: -one), [one + 1 for one in (1, 2)])
