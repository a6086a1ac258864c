"""Objects that change while no instruction of the program names them: what is recorded of them is right, or said not to be certain."""

# ruff: noqa: B007, B010, B015, B018, B905, F841, RUF012, RUF059

import array
import collections
import contextlib
import functools
import gc
import heapq
import io
import itertools
import operator
import re
import sys
import threading
import weakref


class Plain:
    def __init__(self):
        self.a = 0


class Slotted:
    __slots__ = ("a",)

    def __init__(self):
        self.a = 0


def through_memoryview():
    buffer = bytearray(b"abcdef")
    view = memoryview(buffer)
    view[1:3] = b"XY"
    x = len(buffer)
    view[0] = 90
    y = x + 1
    part = view[2:]
    part[0] = 33
    z = y + 1
    view.release()
    return buffer, z


def through_ctypes():
    try:
        import ctypes
    except ImportError:
        return None
    buffer = bytearray(b"abcdef")
    there = (ctypes.c_char * 6).from_buffer(buffer)
    there[0] = b"Z"
    x = 1
    there.value = b"hey"
    y = x + 1
    ctypes.memset(ctypes.addressof(there), 65, 3)
    z = y + 1
    return buffer, z


def through_bytes_io():
    inner = io.BytesIO(b"abcdef")
    view = inner.getbuffer()
    view[0] = 65
    target = bytearray(4)
    x = inner.readinto(target)
    source = io.BytesIO(b"12345678")
    into = memoryview(target)
    y = source.readinto(into)
    z = y + x
    reader = source.readinto
    reader(into)
    del into, view
    return target, z


def through_partial():
    items = []
    append = functools.partial(items.append)
    append(1)
    x = 1
    append(2)
    bound = items.append
    bound(3)
    y = x + 1
    functools.partial(operator.setitem, items, 0)(5)
    z = y + 1
    functools.partial(list.append, items)(7)
    return items, z


def through_dict():
    one, other = Plain(), Plain()
    one.__dict__["a"] = 1
    x = 1
    vars(other).update(b=2)
    y = x + 1
    space = one.__dict__
    space["c"] = 3
    z = y + 1
    space.update(d=4)
    w = z + 1
    del space["a"]
    setattr(other, "e", w)
    put = other.__setattr__
    put("f", 1)
    q = 1
    other.__dict__ = {"new": 1}
    r = q + 1
    object.__setattr__(other, "g", r)
    slotted = Slotted()
    Slotted.a.__set__(slotted, 9)
    s = r
    put = Slotted.a.__set__
    put(slotted, 10)
    t = s
    clear = space.clear
    clear()
    u = t
    return one, other, slotted, u


def through_globals():
    spaces = globals()
    spaces["added"] = 1
    x = 1
    exec("more = [1, 2]", spaces)
    y = x + 1
    exec("more.append(3)", spaces)
    held = more  # noqa: F821
    exec("more.append(4)", spaces)
    z = y + 1
    eval("more.append(5)", spaces)
    w = z + 1
    return held, w


def through_key_functions():
    seen = []
    known = seen
    data = [3, 1, 2]
    data.sort(key=seen.append and (lambda item: seen.append(item) or item))
    x = 1
    log = []
    logged = log
    list(map(log.append, [1, 2, 3]))
    y = x + 1
    put = map(log.append, [4, 5])
    next(put)
    z = y + 1
    for _ in put:
        z += 1
    sorted([3, 2], key=lambda item: (log.append(item), item)[1])
    w = z + 1
    max([1, 2], key=log.append and (lambda item: log.append(item) or 0))
    v = w + 1
    return known, data, logged, v


def through_heap():
    heap = []
    holders = [heap]
    heapq.heappush(holders[0], 3)
    x = 1
    heapq.heappush(holders[0], 1)
    push = functools.partial(heapq.heappush, heap)
    push(0)
    y = x + 1
    holders[0].append(9)
    z = y
    pop = functools.partial(heapq.heappop, heap)
    pop()
    return heap, z


def through_itertools():
    items = [1, 2, 3]
    cycle = itertools.cycle(items)
    next(cycle)
    pile = []
    known = pile
    counting = itertools.accumulate([1, 2, 3], lambda a, b: pile.append(b) or a + b)
    x = next(counting)
    x = next(counting)
    y = x + 1
    calls = itertools.starmap(pile.append, [(1,), (2,)])
    next(calls)
    z = y + 1
    collections.deque(calls, maxlen=0)
    w = z + 1
    grown = itertools.filterfalse(pile.append, [5])
    next(grown)
    v = w + 1
    pairs = zip(map(pile.append, [6, 7]), [1, 2])
    next(pairs)
    u = v + 1
    a, b = map(pile.append, [8, 9])
    t = u + 1
    (*c,) = map(pile.append, [8, 9])
    t = t + 1
    sum(1 for _ in map(pile.append, [10]))
    s = t + 1
    list(itertools.chain(map(pile.append, [11])))
    r = s
    [*map(pile.append, [12])]
    r = s + 1
    {None: 0, **dict.fromkeys(map(pile.append, [13]))}
    r = s + 1
    return items, known, r


def through_regular_expression():
    found = []
    known = found
    re.sub("[a-z]", lambda match: found.append(match[0]) or "", "abc")
    x = 1
    substitute = re.compile("[a-z]").sub
    substitute(lambda match: str(found.append(match.span())), "de")
    y = x + 1
    return known, y


def through_holders():
    items = []
    queue = collections.deque([items])
    queue[0].append(1)
    x = 1
    appends = [items.append, items.extend]
    appends[0](2)
    y = x + 1
    for append in appends[:1]:
        append(3)
    z = y + 1
    table = {"put": items.append}
    table["put"](4)
    w = z + 1
    operator.methodcaller("append", 5)(items)
    v = w + 1
    call = operator.methodcaller("extend", [6])
    call(items)
    u = v + 1
    arrays = array.array("B", [1, 2, 3])
    raw = bytearray(3)
    memoryview(raw)[:] = arrays
    t = u + 1
    return items, raw, t


class Descriptor:
    def __init__(self, target):
        self.target = target

    @property
    def grown(self):
        self.target.append(1)
        return 1


class Hidden:
    """Its operators are C functions that change a list."""

    pile = []
    __add__ = pile.append
    __neg__ = staticmethod(functools.partial(pile.append, -1))
    __getitem__ = pile.append
    __contains__ = pile.append
    __iter__ = staticmethod(functools.partial(iter, pile))
    __len__ = pile.__len__
    __eq__ = pile.append
    __hash__ = None
    __call__ = pile.append
    __bool__ = staticmethod(lambda: True)
    __enter__ = staticmethod(functools.partial(pile.append, "enter"))
    __exit__ = lambda self, *rest: self.pile.append(rest[0])  # noqa: E731
    __getattr__ = pile.append
    __setattr__ = staticmethod(functools.partial(operator.setitem, {}))
    prop = property(pile.append)
    __format__ = lambda self, spec: str(self.pile.append(spec))  # noqa: E731
    __str__ = property(lambda self: functools.partial(str, self.pile.append("str")))
    __index__ = property(lambda self: functools.partial(int, len(self.pile) * 0))


def through_operators():
    pile = Hidden.pile
    hidden = Hidden()
    hidden + 1
    x = 1
    -hidden
    x = x + 1
    hidden[2]
    x = x + 1
    3 in hidden
    x = x + 1
    hidden == 4
    x = x + 1
    hidden(5)
    x = x + 1
    hidden.prop
    x = x + 1
    hidden.missing
    x = x + 1
    f"{hidden:q}"
    x = x + 1
    f"{hidden}"
    x = x + 1
    with contextlib.suppress(TypeError):
        hidden < 6
    x = x + 1
    with hidden:
        x = x + 1
    x = x + 1
    hidden != 7
    x = x + 1
    [1, 2][hidden]
    x = x + 1
    if hidden:
        x = x + 1
    return pile, x


class Iterates:
    def __init__(self, pile):
        self.__dict__["__next__"] = None
        self.pile = pile

    def __iter__(self):
        return map(self.pile.append, range(3))


def through_iteration():
    pile = []
    for _ in map(pile.append, range(3)):
        x = 1
    for _ in Iterates(pile):
        x = 2
    a, b, c = Iterates(pile)
    x = 3
    print(*Iterates(pile), file=io.StringIO())
    x = 4
    [*Iterates(pile)]
    x = 5
    {*Iterates(pile)}
    x = 6
    pile2 = []
    calls = iter(functools.partial(pile2.append, 1), 0)
    next(calls)
    x = 7
    for _ in calls:
        if len(pile2) > 3:
            break
    x = 8
    None in zip(map(pile2.append, range(3)))
    x = 9
    return pile, pile2, x


def through_finalisers():
    pile = []
    # Not in a cell, as `pile` is.
    alias = pile

    class Dying:
        __del__ = staticmethod(functools.partial(pile.append, "dead"))

    class Told:
        pass

    dying = Dying()
    x = 1
    pile.append(1)
    dying = None
    x = 2
    pile.append(2)
    told = Told()
    reference = weakref.ref(told, pile.append)
    x = 3
    pile.append(3)
    told = None
    x = 4
    pile.append(4)
    holder = [Told()]
    reference = weakref.ref(holder[0], pile.append)
    holder.clear()
    x = 5
    pile.append(5)
    looping = Told()
    looping.self = looping
    other = weakref.ref(looping, pile.append)
    looping = None
    x = 6
    pile.append(6)
    gc.collect()
    x = 7
    pile.append(7)
    holder = [Told()]
    third = weakref.ref(holder[0], pile.append)
    holder[0] = None
    x = 8
    pile.append(8)
    holder = Plain()
    holder.it = Told()
    fourth = weakref.ref(holder.it, pile.append)
    holder.it = None
    x = 9
    pile.append(9)
    holder.it = Told()
    fifth = weakref.ref(holder.it, pile.append)
    del holder.it
    x = 10
    pile.append(10)
    holder.it = Told()
    sixth = weakref.ref(holder.it, pile.append)
    holder = None
    x = 11
    pile.append(11)
    Dying()
    x = 12
    pile.append(12)
    (Dying(), 1)[1]
    x = 13
    pile.append(13)
    thing = Dying()
    del thing
    x = 14
    pile.append(14)
    table = {"k": Dying()}
    del table["k"]
    x = 15
    pile.append(15)
    table["k"] = Dying()
    table["k"] = 1
    x = 16
    pile.append(16)

    def inner():
        held = Dying()
        return 1

    inner()
    x = 17
    pile.append(17)
    inner()
    x = inner()
    x = 18
    pile.append(18)
    for item in [Dying() for _ in range(2)]:
        x = 19
    item = None
    x = 20
    pile.append(20)
    return alias, x, dying, reference, other, third, fourth, fifth, sixth


def through_threads():
    pile = []
    put = functools.partial(pile.append, 1)
    for _ in range(3):
        thread = threading.Thread(target=put)
        thread.start()
        thread.join()
        x = len(pile)
    lock = threading.Event()
    done = threading.Event()

    def work():
        lock.wait()
        for item in range(50):
            pile.append(item)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    lock.set()
    x = 0
    while not done.is_set():
        x = x + 1
    thread.join()
    import _thread

    go = _thread.allocate_lock()
    go.acquire()
    _thread.start_new_thread(map, (pile.append, [1]))
    box = map(pile.append, range(5))
    ready = _thread.allocate_lock()
    ready.acquire()
    _thread.start_new_thread(functools.partial(list, map(pile.append, range(100, 105))), ())
    total = 0
    for turn in range(300):
        total = total + turn
        if len(pile) > 60:
            break
    y = total
    return pile, x, box


def through_objects():
    hidden = [1, 2, 3]
    marker = hidden
    for item in gc.get_objects():
        if item is marker:
            item.append(4)
            break
    x = 1
    for referent in gc.get_referents((hidden,)):
        referent.append(5)
    x = 2
    gc.get_referents((hidden,))[0].append(6)
    x = 3
    return hidden, x


def change_caller():
    frame = sys._getframe(1)
    frame.f_locals["items"].append(1)
    frame.f_locals["number"] = 5
    if hasattr(frame.f_locals, "update") and sys.version_info >= (3, 13):
        frame.f_locals.update({"number": 7})
        put = frame.f_locals.__setitem__
        put("number", 8)
        functools.partial(operator.setitem, frame.f_locals, "number", 9)()
        list(map(functools.partial(operator.setitem, frame.f_locals, "number"), [10, 11]))
    return frame.f_locals


def through_frames():
    items = []
    number = 1
    change_caller()
    x = number
    space = change_caller()
    x = number
    space["number"] = 6
    x = number
    functools.partial(operator.setitem, space, "items", [7])()
    x = items
    own = sys._getframe().f_locals
    own["x"] = 8
    y = x
    return items, number, y


def through_cells():
    value = [0]
    count = 1

    def inner():
        nonlocal count
        count += 1
        return value

    cell = inner.__closure__[0]
    x = count
    cell.cell_contents = 5
    y = x
    put = type(cell).cell_contents.__set__
    put(cell, 6)
    z = count
    functools.partial(put, inner.__closure__[1])([1])
    w = value
    setattr(cell, "cell_contents", 9)
    v = count
    list(map(functools.partial(put, cell), [3, 4]))
    u = count
    return value, count, z, w, v, u


def through_generators():
    pile = []

    def produce():
        for item in range(3):
            pile.append(item)
            yield item

    one = produce()
    next(one)
    x = 1
    list(zip(one, [1]))
    x = 2
    put = map(pile.append, produce())
    next(put)
    x = 3
    for _ in put:
        x = 4
    a, *b = produce()
    x = 5
    sent = one.send
    with contextlib.suppress(StopIteration):
        functools.partial(sent, None)()
    x = 6
    return pile, x


def main():
    for name, function in list(globals().items()):
        if name.startswith("through"):
            for _ in range(2):
                try:
                    function()
                except Exception as error:
                    print(name, type(error).__name__, error)
    print("done")


main()
