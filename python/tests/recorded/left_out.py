"""Code that calculates with numbers and comes to be recorded by its whole plan, at a moment of which it is told by number: in the middle of a loop, in another thread, in a
generator, where somebody is told of its lines and instructions."""

import sys
import threading

moment = int(sys.argv[1]) if len(sys.argv) > 1 else 7


class Strange:
    """No number, and where it is calculated with the code runs once more."""

    def __mul__(self, other):
        return calculate([1, 2.5])[0]

    __rmul__ = __mul__


def calculate(values):
    total, last = 0, 1.5
    for index, value in enumerate(values):
        a = value * 2 + index
        b = (a + 1) * (a - 1) + last * 0.5
        last = b / (index + 2) - a * 3
        if a > 10:
            total = total + a
            last = last - 1
        else:
            total = total - b * 2
    return total, last


def suspended(values):
    total = 0
    for value in values:
        a = value * 3 + 1
        sent = yield a * 2 - total
        total = total + a * (1 if sent is None else sent)
    return total * 2


def called(count, call, total=1):
    for index in range(count):
        a = total * 3 % 101 + index * 2
        call(index)
        b = a * a - total
        total = (b + a * 2) % 1009
    return total


def numbers(count, strange=None):
    return [strange if number == moment and strange is not None else number * 1.5 for number in range(count)]


def in_a_loop():
    return calculate(numbers(12)), calculate(numbers(12, Strange())), calculate(numbers(5))


def in_generators():
    one, other = suspended(numbers(12)), suspended(numbers(12, True))
    found = [next(one), next(other)]
    for index in range(11):
        found.append(one.send(index * 2))
        found.append(other.send(index))
    return found, list(one), list(other)


def in_another_thread():
    """Each iteration of one thread comes behind one of the other's."""
    turns = [threading.Lock(), threading.Lock()]
    turns[1].acquire()
    results = {}

    def take_turns(which):
        def call(index):
            turns[which].acquire()
            if which and index == moment:
                goes_over()
                calculate([1, Strange(), 2])
            turns[1 - which].release()

        results[which] = called(10, call), calculate(numbers(8))

    threads = [threading.Thread(target=take_turns, args=[which]) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results.items())


def goes_over():
    """A bool is no number."""
    called(1, [].append, True)


def when_told(opcodes):
    told = 0

    def trace(frame, event, _):
        nonlocal told
        if frame.f_code is not called.__code__:
            return None
        frame.f_trace_opcodes = opcodes
        if event in ("line", "opcode"):
            told += 1
            if told == moment:
                goes_over()
        return trace

    def call(index):
        if index == 3:
            frame = sys._getframe(1)
            sys.settrace(trace)
            frame.f_trace = trace
            frame.f_trace_opcodes = opcodes
        elif index == 6:
            sys.settrace(None)

    return called(9, call), told


def by_a_tool():
    """As that, by callbacks for lines, instructions and jumps."""
    if sys.version_info < (3, 12):
        return None
    monitoring = sys.monitoring
    events = monitoring.events
    told = []

    def tell(code, *rest):
        if code is called.__code__:
            told.append(rest)
            if len(told) == moment:
                goes_over()

    def call(index):
        if index == 2:
            monitoring.use_tool_id(2, "left out")
            for event in (events.LINE, events.INSTRUCTION, events.JUMP):
                monitoring.register_callback(2, event, tell)
            monitoring.set_local_events(2, called.__code__, events.LINE | events.INSTRUCTION | events.JUMP)
        elif index == 5:
            monitoring.set_local_events(2, called.__code__, 0)
            monitoring.free_tool_id(2)

    return called(8, call), told


which = {
    "loop": in_a_loop,
    "generators": in_generators,
    "threads": in_another_thread,
    "tool": by_a_tool,
    "opcodes": lambda: when_told(True),
    "lines": lambda: when_told(False),
}
for name in sys.argv[2:] or which:
    print(which[name]())
    print(calculate(numbers(6)), called(4, lambda index: None))
