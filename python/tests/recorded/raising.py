"""Trace functions and callbacks of `sys.monitoring` raise at every event that they are told of, one after the other: the instruction is not executed."""

import sys


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


class Trace:
    """Raises when it is told of something for the time that `left` says."""

    def __init__(self, left, events, opcodes):
        self.left, self.events, self.opcodes = left, events, opcodes

    def __call__(self, frame, event, arg):
        if frame.f_code.co_name not in NAMES:
            return None
        frame.f_trace_opcodes = self.opcodes
        if event in self.events:
            self.left -= 1
            if self.left == 0:
                raise Refused(event)
        return self


def attempt(function, arguments):
    try:
        return function(*arguments)
    except (Refused, StopIteration) as error:
        return error.args


def traced(function, arguments, events, opcodes):
    """What comes of it with each event refused."""
    for count in range(1, 1000):
        trace = Trace(count, events, opcodes)
        sys.settrace(trace)
        outcome = attempt(function, arguments)
        sys.settrace(None)
        yield outcome
        if trace.left > 0:
            break


def monitored(function, arguments, name):
    monitoring = sys.monitoring
    event = getattr(monitoring.events, name)
    left = 0

    def callback(code, *_):
        nonlocal left
        if code.co_name in NAMES:
            left -= 1
            if left == 0:
                raise Refused(name)

    monitoring.use_tool_id(4, "raising")
    monitoring.register_callback(4, event, callback)
    for count in range(1, 1000):
        left = count
        monitoring.set_events(4, event)
        outcome = attempt(function, arguments)
        monitoring.set_events(4, 0)
        yield outcome
        if left > 0:
            break
    monitoring.register_callback(4, event, None)
    monitoring.free_tool_id(4)


# What tells of single instructions does so with few of them.
SHORT = [(matching, ("go", "n")), (handling, (2,))]
# A callback is still told of lines when it has raised, of the line of a `with` before the handler there is known to have been come to.
WITHOUT_WITH = [one for one in FUNCTIONS if one[0] is not entering]
EVENTS = ["line", "opcode", "call", "return", "exception"]
# On 3.12 and 3.13.0 what a callback of JUMP raises leaves the frame past all of its handlers; from 3.14 on it is handled where the jump leads to.
BRANCHES = ["BRANCH_LEFT", "BRANCH_RIGHT"] * (sys.version_info >= (3, 14))
TOLD = [
    "LINE",
    "INSTRUCTION",
    "JUMP",
    "BRANCH",
    *BRANCHES,
    "PY_START",
    "PY_RESUME",
    "PY_RETURN",
    "PY_YIELD",
    "CALL",
    "RAISE",
]


def main():
    names = sys.argv[1:] or EVENTS + TOLD
    for name in names:
        functions = {"opcode": SHORT, "INSTRUCTION": SHORT, "LINE": WITHOUT_WITH}.get(name, FUNCTIONS)
        for function, arguments in functions:
            if name in EVENTS:
                outcomes = traced(function, arguments, (name,), name == "opcode")
            elif sys.version_info >= (3, 12):
                outcomes = monitored(function, arguments, name)
            else:
                continue
            for outcome in outcomes:
                print(name, function.__name__, outcome)


main()
