"""`_core.TopOfStack`, which the benchmark takes for what recording costs: that it really reads the values."""

import struct

from debugop import NULL, _core


def work(count):
    total, ratio, names = 0, 0.5, []
    for number in range(count):
        total += number * -3
        ratio /= 2
        names.append(str(number))
    try:
        names[total << 80]
    except IndexError:
        total = 1 << 70
    return total, ratio, names


def traced(handler):
    tracer = _core.Tracer(handler)
    assert tracer.watch_callable(work) == 1
    try:
        work(70)
    finally:
        tracer.stop()
    return tracer.steps


def decoded(records):
    """(instruction, kind, payload) of each record."""
    found = []
    for kind, instruction, payload in struct.iter_unpack("<II8s", records):
        if kind == 5:
            assert payload != bytes(8)
        else:
            form = {2: "<q", 3: "<d", 4: "<Q"}.get(kind)
            found.append((instruction, kind, struct.unpack(form, payload)[0] if form else None))
    return found


def expected(step, instructions):
    """What the record of `step` should say, with None for the address of an object that may be another each time."""
    index = instructions.index(step.instruction.offset)
    if len(step.stack) == 0:
        return index, 0, None
    top = step.stack[-1]
    if top is NULL:
        return index, 1, None
    if type(top) is int and -(1 << 63) <= top < 1 << 63:
        return index, 2, top
    return (index, 3, top) if type(top) is float else (index, 4, None)


def test_every_top_of_stack_is_in_the_ring():
    offsets = [instruction.offset for instruction in _core.instructions(work)]
    wanted = []

    def callback(step):
        if step.event == "instruction":
            wanted.append(expected(step, offsets))

    steps = traced(callback)
    ring = _core.TopOfStack()
    assert traced(ring) == steps
    found = decoded(ring.records())
    assert [(*record[:2], None if record[1] == 4 else record[2]) for record in found] == wanted
    assert ring.written == len(ring.records())
    assert {kind for _, kind, _ in found} >= {0, 2, 3, 4}


def test_a_full_ring_starts_over():
    ring, whole = _core.TopOfStack(64), _core.TopOfStack()
    traced(ring)
    traced(whole)
    assert len(ring.records()) <= 64
    assert ring.written > whole.written > 64
    decoded(ring.records())


def test_without_a_handler_steps_are_counted():
    seen = []
    assert traced(None) == traced(seen.append) == len(seen)
