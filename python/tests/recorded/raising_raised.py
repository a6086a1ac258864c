"""Callbacks of LINE raise, one line after the other, and callbacks of RAISE are told of that: of the same tool, or (`others`) of another."""

import sys

if sys.version_info < (3, 12):
    print("sys.monitoring is new in 3.12")
    sys.exit()


class Refused(Exception):
    pass


def arithmetic(n):
    total, made = n, None
    for i in range(n):
        total = total * 3 + i
        made = [
            total,
            i,
        ]
    return total, made


def handling(n):
    seen = []
    for i in range(n):
        try:
            if i == 1:
                raise KeyError(i)
            seen.append(
                i,
            )
        except KeyError as error:
            seen.append(error)
        except Refused:
            seen = [seen, i]
        finally:
            seen = seen[:]
    return seen


def generated(n):
    last = None
    for i in range(n):
        try:
            last = yield i, last
        except Refused:
            last = i
    return last


def driving(n):
    items = []
    try:
        items.extend(generated(n))
        made = generated(n)
        items.append(next(made))
        items.append(made.send(n))
        made.close()
    except Refused:
        items.append(
            n,
        )
    return items


def entering(n):
    class Manager:
        def __enter__(self):
            return n

        def __exit__(self, kind, value, traceback):
            return kind is Refused

    total = 0
    with Manager() as entered:
        total = entered + total
        total += 1
    return total


def matching(*command):
    match command:
        case ["go", direction] if direction in "nesw":
            return f"go {direction}"
        case ["go", _]:
            return "no go"
    return (
        "x",
        command,
    )


FUNCTIONS = [
    (arithmetic, (3,)),
    (handling, (3,)),
    (driving, (2,)),
    (entering, (2,)),
    (matching, ("go", "n")),
    (matching, ("go", "x")),
    (matching, ("spam",)),
]
NAMES = {"arithmetic", "handling", "generated", "driving", "entering", "matching", "__enter__", "__exit__"}


def attempt(function, arguments):
    try:
        return function(*arguments)
    except (Refused, StopIteration) as error:
        return error.args


told = []


def monitored(function, arguments, others):
    """Of what a callback of LINE raises a callback of RAISE is told, of the same tool or of another."""
    monitoring = sys.monitoring
    line, raised = monitoring.events.LINE, monitoring.events.RAISE
    left = 0

    def callback(code, *_):
        nonlocal left
        if code.co_name in NAMES:
            left -= 1
            if left == 0:
                raise Refused("LINE")

    def note(code, offset, exception):
        if code.co_name in NAMES:
            # Of what comes out of a call, which is __enter__'s here, the offset is the interpreter's unit before that: docs/visible.md.
            told.append((code.co_name, None if code.co_name == "entering" else offset, type(exception).__name__))

    monitoring.use_tool_id(3, "lines")
    monitoring.use_tool_id(4, "raises")
    second = 4 if others else 3
    monitoring.register_callback(3, line, callback)
    monitoring.register_callback(second, raised, note)
    for count in range(1, 1000):
        left = count
        if others:
            monitoring.set_events(4, raised)
        monitoring.set_events(3, line if others else line | raised)
        outcome = attempt(function, arguments)
        monitoring.set_events(3, 0)
        monitoring.set_events(4, 0)
        yield outcome, told
        told.clear()
        if left > 0:
            break
    monitoring.free_tool_id(3)
    monitoring.free_tool_id(4)


def main():
    for function, arguments in FUNCTIONS:
        for outcome in monitored(function, arguments, "others" in sys.argv):
            print(function.__name__, outcome)


main()
