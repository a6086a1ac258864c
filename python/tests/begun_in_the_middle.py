"""Functions in whose middle a recording begins: each calls `begin` once, and returns something that can be compared."""

import sys
import threading
import types


def twice(number):
    return number * 2


class Manager:
    def __init__(self, swallows=True):
        self.swallows = swallows

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.swallows


@types.coroutine
def pause(value):
    got = yield value
    return got


def loop(begin):
    total = 0
    begin()
    for number in range(6):
        total += twice(number)
        total ^= 3
    while total > 5:
        total //= 2
        if total % 3 == 0:
            continue
        total -= 1
    else:
        total = -total
    return total


def one_line(begin):
    count = 0
    begin()
    # fmt: off
    while count < 5: count += 1  # noqa: E701
    # fmt: on
    return [number + 1 for number in range(count)], count


def spread(begin):
    first = "first"
    # fmt: off
    found = [
        first,
        twice(2),
        begin(),
        twice(
            len(first),
        ),
        {
            "a": twice(3),
            "b": [
                twice(4),
                first + str(
                    twice(5)
                ),
            ],
        },
    ]
    # fmt: on
    found.append(first)
    return found


def deep(begin):
    a, b, c, d = 1, 2, 3, 4
    begin()
    # fmt: off
    total = twice(a) + (
        twice(b) * (
            twice(c) - (
                twice(d) ^ (
                    twice(a + twice(b + twice(c + twice(d))))
                )
            )
        )
    )
    # fmt: on
    return total, [a, [b, [c, [d, [total]]]]]


def traceback_of(error):
    found = []
    one = error.__traceback__
    while one is not None:
        code = one.tb_frame.f_code
        found.append((code.co_name, one.tb_lineno - code.co_firstlineno, one.tb_lasti))
        one = one.tb_next
    return found


def handler(begin):
    found = []
    try:
        raise ValueError(1)
    except ValueError as error:
        begin()
        found.append(str(error))
        found.append(traceback_of(error))
        try:
            raise KeyError(2)
        except KeyError as another:
            found.append(traceback_of(another))
            found.append(another.__context__ is error)
    found.append(sys.exc_info()[0])
    return found


def cleanup(begin):
    found = []
    try:
        try:
            raise KeyError(1)
        finally:
            begin()
            found.append(1)
            found.append(twice(2))
    except KeyError as error:
        found.append(traceback_of(error))
    with Manager():
        found.append(3)
        int("x")
    try:
        with Manager(False):
            found.append(4)
            [][1]
    except IndexError as error:
        found.append(traceback_of(error))
    return found


def raises(begin, number):
    begin()
    kept = [number]
    kept.append(twice(number))
    raise KeyError(kept)


def leaves(begin):
    found = []
    for number in range(2):
        try:
            raises(begin if number == 0 else Manager, number)
        except KeyError as error:
            found.append(error.args)
            found.append(traceback_of(error))
        finally:
            found.append(number)
    return found


def recurses(begin, depth):
    before = [depth]
    if depth == 0:
        begin()
        result = 0
    else:
        result = recurses(begin, depth - 1)
    for number in range(2):
        result += number + twice(depth)
    before.append(result)
    return max(before)


def recursion(begin):
    return recurses(begin, 150)


def counted(limit):
    number = 0
    try:
        while number < limit:
            number += 1
            got = yield number
            if got:
                number += twice(got)
                number -= got
    except KeyError as error:
        yield error.args[0]
    finally:
        number = -1


def generators(begin):
    one, two, three, four = counted(5), counted(5), counted(5), counted(5)
    next(one)
    next(two)
    next(three)
    begin()
    found = [one.send(2)]
    found += one
    found.append(two.throw(KeyError(7)))
    found += two
    three.close()
    found += four
    return found


def yields(begin):
    yield 1
    begin()
    for number in range(3):
        got = yield number
        if got is not None:
            number = got
    total = yield from counted(3)
    return total


def in_a_generator(begin):
    running = yields(begin)
    found = [next(running) for _ in range(3)]
    found.append(running.send(5))
    found += running
    return found


async def waits(begin):
    found = [await pause(1)]
    begin()
    found.append(await pause(2))
    async for number in asynchronous(3):
        found.append(number)
    async with Asynchronous() as value:
        found.append(value)
        int("x")
    found.append([number async for number in asynchronous(2)])
    return found


class Asynchronous:
    async def __aenter__(self):
        return await pause("in")

    async def __aexit__(self, *error):
        await pause("out")
        return True


async def asynchronous(limit):
    for number in range(limit):
        await pause(number)
        yield number


def in_a_coroutine(begin):
    running = waits(begin)
    found = [running.send(None)]
    try:
        while True:
            found.append(running.send(len(found)))
    except StopIteration as stop:
        found.append(stop.value)
    return found


def makes(begin):
    base = 3
    begin()

    def inner(number, *, by=base):
        nonlocal base
        base += number
        return base + by

    class Made:
        kind = inner(1)

        def method(self):
            return __class__.__name__, base

    first, *rest = [inner(2), *(inner(n) for n in range(3))]
    return first, rest, Made.kind, Made().method(), (lambda: base)()


def in_a_class(begin):
    class Made:
        before = 1
        begin()
        after = twice(before)
        both = (before, after)
        for number in range(3):
            after += number

    return Made.both, Made.after


SOURCE = """
names = []
begin()
for number in range(4):
    names.append(str(number))
def late(number):
    return twice(number)
total = late(4)
try:
    int("x")
except ValueError as error:
    names.append(type(error).__name__)
del late
"""


def in_a_module(begin):
    names = {"begin": begin, "twice": twice, "__name__": __name__}
    exec(compile(SOURCE, __file__, "exec"), names)
    return names["names"], names["total"]


def large_source():
    lines = ["def large(begin):", "    v0 = 1", "    begin()", "    for i in range(3):"]
    lines += [f"        v{n} = v{n - 1} + {n * 1000}.5" for n in range(1, 400)]
    lines += ["        if v399 < 0:", "            break", "    return v399"]
    return "\n".join(lines) + "\n"


def in_large_code(begin):
    names = {"__name__": __name__}
    exec(compile(large_source(), __file__, "exec"), names)
    return names["large"](begin)


def looks(begin):
    begin()
    frame = sys._getframe()
    found = [frame.f_code is looks.__code__, frame.f_lineno - frame.f_code.co_firstlineno]
    found.append(frame.f_lasti)
    found.append(sorted(frame.f_locals))
    caller = sys._getframe(1)
    found.append(caller.f_code is looks.__code__)
    found.append(frame.f_lineno - frame.f_code.co_firstlineno)
    return found


def held(begin):
    frame = sys._getframe()
    before = frame.f_lasti
    begin()
    found = [frame.f_code is held.__code__, before]
    found.append(frame.f_lasti)
    found.append(frame.f_lineno - frame.f_code.co_firstlineno)
    return found


def matches(begin):
    found = []
    begin()
    for value in (1, "a", [1, 2, 3], {"k": 4}, Manager(), None):
        match value:
            case int(number):
                found.append(number)
            case [first, *rest]:
                found.append((first, rest))
            case {"k": kept}:
                found.append(kept)
            case Manager(swallows=True):
                found.append(True)
            case str() if value == "a":
                found.append(value)
            case _:
                found.append(None)
    assert found
    del value
    return found


def in_threads(begin):
    ready, goes_on = threading.Semaphore(0), threading.Event()
    found = {}

    def waiter(name):
        number = 7
        ready.release()
        goes_on.wait()
        for _ in range(3):
            number += twice(number)
        found[name] = number

    threads = [threading.Thread(target=waiter, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
        ready.acquire()
    begin()
    goes_on.set()
    for thread in threads:
        thread.join()
    return found


SHAPES = [
    loop,
    one_line,
    spread,
    deep,
    handler,
    cleanup,
    leaves,
    recursion,
    generators,
    in_a_generator,
    in_a_coroutine,
    makes,
    in_a_class,
    in_a_module,
    in_large_code,
    looks,
    held,
    matches,
    in_threads,
]
