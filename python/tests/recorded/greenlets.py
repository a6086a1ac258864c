"""Greenlets: stacks that take turns in one thread, left and gone back to in every way, with exceptions, generators, C code, other threads and trace functions."""

import gc
import sys
import threading

import greenlet


def worker(name, count):
    total = 0
    for turn in range(count):
        got = greenlet.getcurrent().parent.switch((name, turn))
        total += got or 0
    return name, total


def takes_turns():
    found, alive = [], [greenlet.greenlet(worker) for _ in range(5)]
    for number, one in enumerate(alive):
        found.append(one.switch(f"w{number}", number + 2))
    while alive:
        for one in list(alive):
            found.append(one.switch(len(found)))
            if one.dead:
                alive.remove(one)
    return found


def goes_deep(depth, back):
    """Its frames are on several chunks of the data stack."""
    local = [depth]
    if depth == 0:
        local.append(back.switch("bottom"))
    else:
        local.append(goes_deep(depth - 1, back) + 1)
    return local[-1]


def deep():
    me = greenlet.getcurrent()
    all_of_them = [greenlet.greenlet(goes_deep) for _ in range(3)]
    found = [one.switch(300, me) for one in all_of_them]
    return found + [one.switch(100) for one in reversed(all_of_them)]


def catches(back):
    try:
        back.switch("in try")
    except ValueError as error:
        text = str(error)
        try:
            back.switch("in except")
        finally:
            text += "!"
        return text


def thrown_into():
    me, found = greenlet.getcurrent(), []
    one = greenlet.greenlet(catches)
    found += [one.switch(me), one.throw(ValueError("thrown")), one.switch()]
    one = greenlet.greenlet(catches)
    one.switch(me)
    try:
        one.throw(KeyError("not caught"))
    except KeyError as error:
        found.append(repr(error))
    one = greenlet.greenlet(catches)
    one.switch(me)
    # It is killed: `GreenletExit` is thrown into it.
    del one
    return found


def ends_with(number, back):
    if number:
        back.switch(number)
    raise KeyError(number)


def raises():
    me, total = greenlet.getcurrent(), 0
    for number in range(6):
        one = greenlet.greenlet(ends_with)
        try:
            one.switch(number, me)
            one.switch()
        except KeyError as error:
            total += error.args[0]
    return total


def counted(back):
    for number in range(3):
        yield back.switch(number)


def generates():
    """A generator switches; and one is gone on with by three greenlets in turn."""
    me, found = greenlet.getcurrent(), []
    one = greenlet.greenlet(lambda: list(counted(me)))
    got = one.switch()
    while not one.dead:
        got = one.switch(len(found))
        found.append(got)
    shared = (number * 2 for number in range(30))

    def takes():
        mine = []
        for value in shared:
            mine.append(value)
            me.switch()
        return mine

    alive = [greenlet.greenlet(takes) for _ in range(3)]
    while alive:
        for one in list(alive):
            got = one.switch()
            if one.dead:
                alive.remove(one)
                found.append(got)
    return found


class Item:
    def __init__(self, value, back):
        self.value, self.back = value, back

    def __lt__(self, other):
        self.back.switch()
        return self.value < other.value


def sorts():
    """C code has called what switches."""
    me = greenlet.getcurrent()

    def run():
        return [item.value for item in sorted([Item(value, me) for value in (3, 1, 2, 5, 4)])]

    alive, found = [greenlet.greenlet(run) for _ in range(3)], []
    while alive:
        for one in list(alive):
            got = one.switch()
            if one.dead:
                alive.remove(one)
                found.append(got)
    return found


def short(number, back):
    twice = number * 2
    if number % 3 == 0:
        back.switch()
    return twice


def many():
    """They end, and others begin at their places."""
    me, total, kept = greenlet.getcurrent(), 0, []
    for number in range(300):
        one = greenlet.greenlet(short)
        got = one.switch(number, me)
        if one.dead:
            total += got
        else:
            kept.append(one)
        if len(kept) > 20:
            total += kept.pop(0).switch() or 0
    return total


class Mine(greenlet.greenlet):
    @property
    def gr_frame(self):
        raise RuntimeError("nobody asks for it")

    def run(self):
        return sum(self.parent.switch(turn) or 0 for turn in range(20))


def of_a_class():
    all_of_them = [Mine() for _ in range(3)]
    found = [one.switch() for one in all_of_them]
    while not all(one.dead for one in all_of_them):
        found = [one.switch(2) for one in all_of_them if not one.dead]
    return found


def in_cycles():
    """The collector kills them."""
    me, boxes = greenlet.getcurrent(), []

    def waits(box):
        box.append(1)
        try:
            me.switch()
        finally:
            box.append(2)

    for number in range(50):
        box = []
        one = greenlet.greenlet(waits)
        one.itself = one
        one.switch(box)
        boxes.append(box)
        del one
        if number % 10 == 0:
            gc.collect()
    gc.collect()
    return sum(map(sum, boxes))


def one_in_the_other(depth, back):
    if depth == 0:
        return back.switch("from below")
    return greenlet.greenlet(one_in_the_other).switch(depth - 1, back)


def traced():
    """A trace function switches."""
    me, events = greenlet.getcurrent(), []

    def helps():
        while True:
            me.switch([1, 2])

    helper = greenlet.greenlet(helps)
    helper.switch()

    def body():
        total = 0
        for number in range(10):
            total += number
        return total

    def trace(frame, event, _):
        if frame.f_code is body.__code__:
            events.append((event, frame.f_lineno - frame.f_code.co_firstlineno))
            if event == "line" and len(events) % 7 == 0:
                helper.switch()
        return trace

    sys.settrace(trace)
    try:
        body()
    finally:
        sys.settrace(None)
    return len(events)


def in_a_thread(found):
    me = greenlet.getcurrent()

    def works(factor):
        total = 0
        for number in range(200):
            total += number * factor
            if number % 10 == 0:
                me.switch(total)
        return total

    alive = [greenlet.greenlet(works) for _ in range(4)]
    while alive:
        for factor, one in enumerate(list(alive)):
            got = one.switch() if one else one.switch(factor)
            if one.dead:
                alive.remove(one)
                found.append(got)


def threads():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    found = []
    running = [threading.Thread(target=in_a_thread, args=(found,)) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    sys.setswitchinterval(before)
    return sum(found)


print(takes_turns(), deep(), thrown_into(), raises(), sep="\n")
print(generates(), sorts(), many(), of_a_class(), in_cycles(), sep="\n")
print(greenlet.greenlet(one_in_the_other).switch(30, greenlet.getcurrent()))
print(traced(), threads(), sep="\n")
