"""Callbacks of JUMP and BRANCH raise, one after the other, where a jump leads into a `try` or out of one; functions that are called afterwards get the places of frames that are gone."""

import sys

if sys.version_info < (3, 12):
    print("sys.monitoring is new in 3.12")
    sys.exit()

M = sys.monitoring


class Refused(Exception):
    pass


def called(n, depth):
    if depth:
        return [n, called(n, depth - 1)]
    return [n]


def inside(n):
    seen = []
    for i in range(n):
        try:
            if i == 1:
                seen.append("one")
            else:
                seen.append("x")
        except Refused:
            seen.append(called(i, 2))
    return seen


def around(n):
    seen = [n]
    try:
        while n:
            n -= 1
            seen.append(n and called(n, 1))
    except Refused:
        seen.append(called(n, 2))
    seen.append(n)
    return seen


def before(n):
    for i in range(n):
        called(i, 0)
    try:
        i = [i, n]
    except Refused:
        i = called(n, 2)
    return i


def ends(n):
    seen = []
    while n:
        n -= 1
        try:
            seen.append(n)
        except Refused:
            seen.append(called(n, 1))
            continue
        finally:
            seen.append(0)
    return seen


def comprehended(n):
    try:
        return [(i, [j for j in range(i) if j]) for i in range(n) if i != 1 or None is not n]
    except Refused:
        return called(n, 3)


def numbers(n):
    for i in range(n):
        try:
            yield i if i else None
        except Refused:
            yield called(i, 1)


def generated(n):
    seen = []
    try:
        for one in numbers(n):
            seen.append(one)
    except Refused:
        seen.append(called(n, 2))
    for one in numbers(n):
        seen.append(one)
    return seen


def nested(n):
    return [n, around(n), called(n, 2)]


def managed(n):
    class Manager:
        def __enter__(self):
            return n

        def __exit__(self, kind, value, traceback):
            return kind is Refused if value else None

    seen = []
    for i in range(n):
        with Manager() as entered:
            if i:
                seen.append(entered)
                continue
            seen.append(called(i, 1))
    return seen


def awaited(n):
    async def items():
        for i in range(n):
            yield i

    async def uses():
        seen = []
        try:
            async for one in items():
                seen.append(one)
        except Refused:
            seen.append(called(n, 2))
        return seen

    try:
        uses().send(None)
    except StopIteration as error:
        return error.value


def chosen(n):
    try:
        match [n, 3]:
            case [1, _]:
                return 1
            case [3, x] if x == 3 and n:
                return called(x, 2)
    except Refused:
        pass
    return called(n, 2)


FUNCTIONS = [inside, around, before, ends, comprehended, generated, nested, managed, awaited, chosen]
NAMES = {one.__name__ for one in FUNCTIONS} | {"called", "numbers", "items", "uses", "__enter__", "__exit__"}
left = 0


def callback(code, *_):
    global left
    if code.co_name in NAMES:
        left -= 1
        if left == 0:
            raise Refused(code.co_name)


def attempt(function):
    try:
        return function(3)
    except Refused as error:
        return [error.args, called(3, 3)]


def main():
    global left
    for name in sys.argv[1:] or ["JUMP", "BRANCH", "BRANCH_LEFT", "BRANCH_RIGHT"]:
        event = getattr(M.events, name, None)
        if event is None:
            continue
        M.use_tool_id(4, "branching")
        M.register_callback(4, event, callback)
        for function in FUNCTIONS:
            for count in range(1, 1000):
                left = count
                M.set_events(4, event)
                outcome = attempt(function)
                M.set_events(4, 0)
                print(name, function.__name__, outcome)
                if left > 0:
                    break
        M.free_tool_id(4)


main()
