"""What runs on after `stop()`: frames that were entered while they were traced."""

import dis
import gc
import random
import sys
import threading
import time
import types

import debugop
import pytest

MONITORING = getattr(sys, "monitoring", None)


class Switch:
    """Starts and stops reporting from within the program, and collects what is reported in between."""

    def __init__(self, functions, schedule):
        self.names = {function.__name__ for function in functions}
        self.schedule = schedule
        self.told = []
        self.on = False

    def __call__(self, step):
        if step.code.co_name in self.names:
            self.told.append((step.code.co_name, step.instruction.offset, step.event, len(step.stack)))

    def turn(self, on):
        if on != self.on:
            self.on = on
            if on:
                debugop.start(self, include=__name__)
            else:
                debugop.stop()

    def __next__(self):
        """The next moment: a mark in what is told, and on or off by the schedule."""
        self.told.append(moment := sum(isinstance(one, int) for one in self.told))
        self.turn(self.schedule(moment))

    def run(self, program):
        self.turn(True)
        try:
            result = program(self)
        finally:
            self.turn(False)
        return result, self.parts()

    def parts(self):
        """What was told between the moments."""
        parts = [[]]
        for one in self.told:
            if isinstance(one, int):
                parts.append([])
            else:
                parts[-1].append(one)
        return parts


def loop(switch):
    total = 0
    for i in range(40):
        next(switch)
        text = str(i) if i % 3 else "x"
        try:
            total += int(text)
        except ValueError as error:
            total -= len(str(error))
        pair = [total, i]
        pair[0], pair[1] = pair[1], pair[0]
    return total


def numbers(switch):
    for i in range(30):
        next(switch)
        got = yield i * 2
        if got:
            yield from (one + got for one in range(3))


def generators(switch):
    generator = numbers(switch)
    result = [next(generator)]
    for i in range(30):
        try:
            result.append(generator.send(i % 4))
        except StopIteration:
            break
    return result


def many_constants():
    """A function whose sites' constants need an EXTENDED_ARG, and a loop that is longer than a jump of one unit."""
    lines = ["def many(switch):", "    total = 0", "    for i in range(12):", "        next(switch)"]
    lines += [f"        total = total + {number}.5 if total != {number} else i" for number in range(1000, 1090)]
    namespace = {"__name__": __name__}
    exec("\n".join([*lines, "    return total"]), namespace)
    return namespace["many"]


many = many_constants()
PROGRAMS = {"loop": (loop, []), "generators": (generators, [numbers]), "many": (many, [])}


def schedules():
    yield "once", lambda moment: moment != 3
    yield "off at last", lambda moment: moment < 5
    yield "every second", lambda moment: moment % 2 == 0
    for seed in range(6):
        bits = random.Random(seed).getrandbits(64)
        yield f"random {seed}", lambda moment, bits=bits: bool(bits >> moment % 64 & 1)


SCHEDULES = dict(schedules())


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_is_reported_in_between_is_as_if_there_had_been_no_stop(name, schedule):
    program, others = PROGRAMS[name]
    functions = [program, *others]
    expected, whole = Switch(functions, lambda _: True).run(program)
    result, parts = Switch(functions, SCHEDULES[schedule]).run(program)
    assert result == expected
    assert len(parts) == len(whole)
    for moment, (some, all_of_it) in enumerate(zip(parts, whole, strict=True)):
        assert some == (all_of_it if moment == 0 or SCHEDULES[schedule](moment - 1) else []), moment


def ignore(*_):
    """A callback."""


def tools():
    """Functions that begin and end to instrument every code object in another way."""

    def settrace(on):
        def trace(frame, event, arg):
            return trace

        sys.settrace(trace if on else None)
        frame = sys._getframe()
        while frame:
            frame.f_trace = trace if on else None
            frame = frame.f_back

    yield "settrace", settrace
    if MONITORING is None:
        return

    def monitoring(events):
        used = []

        def switch(on):
            if on:
                [number, *_] = [number for number in range(6) if MONITORING.get_tool(number) is None]
                MONITORING.use_tool_id(number, "test")
                used.append(number)
                for event in range(20):
                    if events >> event & 1:
                        MONITORING.register_callback(number, 1 << event, ignore)
                MONITORING.set_events(number, events)
            elif used:
                MONITORING.set_events(used[0], 0)
                MONITORING.free_tool_id(used.pop())

        return switch

    events = MONITORING.events
    yield "lines", monitoring(events.LINE)
    yield "instructions", monitoring(events.INSTRUCTION)
    yield "jumps", monitoring(events.JUMP | events.BRANCH)
    yield "all of them", monitoring(events.LINE | events.INSTRUCTION | events.JUMP | events.BRANCH | events.CALL)


TOOLS = dict(tools())


class Chance:
    """A schedule by chance, by which a tool comes and goes too."""

    def __init__(self, seed, tool):
        self.random = random.Random(seed)
        self.tool = tool
        self.used = False
        self.chosen = []

    def __call__(self, moment):
        self.chosen.append(self.random.random() < 0.5)
        if self.random.random() < 0.4:
            self.used = not self.used
            self.tool(self.used)
        return self.chosen[moment]


@pytest.mark.skipif(MONITORING is None, reason="bytecode is not instrumented before 3.12")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_instrumentation_that_comes_and_goes_meanwhile(name, tool):
    program, others = PROGRAMS[name]
    functions = [program, *others]
    expected, whole = Switch(functions, lambda _: True).run(program)
    for seed in range(2):
        chance = Chance(seed, TOOLS[tool])
        try:
            result, parts = Switch(functions, chance).run(program)
        finally:
            TOOLS[tool](False)
        assert result == expected
        for moment, (some, all_of_it) in enumerate(zip(parts, whole, strict=True)):
            assert some == (all_of_it if moment == 0 or chance.chosen[moment - 1] else []), (seed, moment)


def copy_of(function):
    [copy] = [one for one in gc.get_referents(function) if type(one) is types.CodeType]
    assert copy is not function.__code__
    return copy


def probes(code):
    """How many probes a copy has, those in detours among them, and how many are jumped over or lead to a detour."""
    base, live = code.co_code, code._co_code_adaptive
    names = [dis.opname[opcode] for opcode in base[::2]]
    loads = [
        number for number, name in enumerate(names) if name == "UNARY_INVERT" and names[number - 1] == "LOAD_CONST"
    ]
    jump, prefix = dis.opmap["JUMP_FORWARD"], dis.opmap["EXTENDED_ARG"]
    first = [live[2 * (number - 1) : 2 * number + 2 : 2] for number in loads]
    return len(loads), sum(units[0] == jump or units == bytes([prefix, jump]) for units in first)


def test_no_probe_is_executed_after_stop():
    def work(n):
        total = 0
        for i in range(n):
            total += i
        return total

    debugop.start(lambda step: None)
    copy = copy_of(work)
    for _ in range(20):
        work(3)
    all_probes, jumped = probes(copy)
    assert all_probes > 10
    assert jumped == 0
    debugop.stop()
    assert work.__code__ is not copy
    left, jumped = probes(copy)
    # The handler for exceptions that leave has one too, and so has the detour. That of the addition extends strings, until it sees that
    # there are none; under the JIT it is jumped over at once.
    jit = getattr(sys, "_jit", None)
    stays = 2 if jit and jit.is_enabled() else 3
    assert (left, jumped) == (all_probes, all_probes - stays)
    run = types.FunctionType(copy, {"range": range})
    sys.setprofile(ignore)  # Nobody goes to the detour for ever who cannot leave there.
    try:
        assert run(1000) == 499500
    finally:
        sys.setprofile(None)
    assert probes(copy) == (all_probes, all_probes - 2)
    debugop.start(told := Switch([work], None))
    again = work.__code__
    work(3)
    debugop.stop()
    assert again is work.__code__
    assert len(told.told) > 20


def test_threads_that_are_in_a_loop():
    done = threading.Event()
    counts = [0] * 4

    def spin(number):
        while not done.is_set():
            counts[number] += 1

    steps = []

    def callback(step):
        if step.code.co_name == "spin":
            steps.append(step.instruction.offset)

    debugop.start(callback)
    threads = [threading.Thread(target=spin, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    outcomes = []
    for _ in range(10):
        told = len(steps)
        wait_for(lambda told=told: len(steps) > told)
        debugop.stop()
        told, before = len(steps), sum(counts)
        wait_for(lambda before=before: sum(counts) > before + 1000)
        outcomes.append(len(steps) - told)
        debugop.start(callback)
    debugop.stop()
    done.set()
    for thread in threads:
        thread.join()
    # Each thread may have been in the callback.
    assert max(outcomes) <= len(threads)


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)
