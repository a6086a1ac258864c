"""Reads packed chunks by what docs/recording-format.md says of them, and by nothing else."""

from format_reader import (
    BYTEARRAY,
    BYTES,
    DICT,
    ELLIPSIS,
    EXCEPTION,
    INSTANCE,
    ITEMS,
    NONE,
    NOT_IMPLEMENTED,
    NULL,
    REDACTED,
    STR,
    SUBCLASSES,
    shape,
    signed,
    wrapped,
)

MASK = (1 << 32) - 1


def mix(one, other):
    mixed = (one ^ other * 0x85EBCA6B & MASK) * 0x9E3779B1 & MASK
    return mixed ^ mixed >> 15


def mix_long(one, other):
    return mix(mix(one, other & MASK), other >> 32 & MASK)


class Context:
    def __init__(self, hashes, group):
        self.hashes, self.group = hashes, group & 0xFF

    def plus(self, number):
        return Context([mix(found, number) for found in self.hashes], self.group + (number & 0xFF) * 29)

    def at(self, node):
        return Context([(found + node * 0xC2B2AE35) & MASK for found in self.hashes], self.group)


def context(group, one, two, three):
    one = mix(one & MASK, group << 8 | 0x4B)
    two = mix(one, (two + 0x632BE5AB) & MASK)
    three = mix(two, (three + 0x1B56C4E9) & MASK)
    return Context([one, two, three], group)


POINTS = (1, 2, 3, 6, 10, 16, 27, 45, 73, 120, 194, 310, 488, 747, 1101, 1546, 2047, 2549, 2994, 3348, 3607)
POINTS += (3785, 3901, 3975, 4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094)
SQUASH = [
    min(max((POINTS[i >> 7] * (128 - (i & 127)) + POINTS[min((i >> 7) + 1, 32)] * (i & 127) + 64) >> 7, 1), 4095)
    for i in range(4096)
]
STRETCH = [next((i - 2048 for i in range(4096) if SQUASH[i] >= chance), 2047) for chance in range(4096)]
SHARES = [131072 // (2 * told + 3) for told in range(256)]
WEIGHTS = ((24000, 36000, 0), (16000, 28000, 24000), (10000, 20000, 40000), (6000, 12000, 52000))


class Model:
    """Bits and numbers."""

    def __init__(self, data):
        self.data, self.at = data, 0
        self.low, self.high, self.next = 0, MASK, 0
        for _ in range(4):
            self.shift()
        self.chances, self.told = [1 << 21] * (1 << 18), [0] * (1 << 18)
        self.weights = [list(WEIGHTS[index >> 8]) for index in range(1024)]

    def shift(self):
        byte = self.data[self.at] if self.at < len(self.data) else 0
        self.at += 1
        self.next = self.next << 8 & MASK | byte

    def coded(self, chance):
        middle = self.low + ((self.high - self.low) * chance >> 16)
        bit = self.next <= middle
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & MASK
            self.high = self.high << 8 & MASK | 0xFF
            self.shift()
        return int(bit)

    def slots(self, where):
        return [(found * 0x9E3779B1 & MASK) >> 14 for found in where.hashes]

    def bit(self, where):
        return self.at_slots(self.slots(where), where.group)

    def at_slots(self, slots, group):
        told = self.told[slots[2]]
        weights = self.weights[(0 if not told else 1 if told <= 2 else 2 if told <= 15 else 3) << 8 | group]
        inputs = [STRETCH[self.chances[slot] >> 10] for slot in slots]
        total = sum(weight * found for weight, found in zip(weights, inputs, strict=True)) >> 16
        chance = SQUASH[min(max(total, -2047), 2047) + 2048]
        bit = self.coded(chance << 4)
        error = ((bit << 12) - chance) * 10
        for index, found in enumerate(inputs):
            change = (found * error + 0x8000) >> 16
            weights[index] = min(max(weights[index] + change * 4, -(1 << 20)), 1 << 20)
        for slot in slots:
            target = (1 << 22) - 1 if bit else 0
            self.chances[slot] += (target - self.chances[slot]) * SHARES[self.told[slot]] >> 16
            self.told[slot] = min(self.told[slot] + 1, 255)
        return bit

    def symbol(self, where, bits):
        node = 1
        while node < 1 << bits:
            slots, near = self.slots(where.at(node)), 1
            for _ in range(min(4, bits + 1 - node.bit_length())):
                near = near << 1 | self.at_slots([slot ^ near for slot in slots], where.group)
            node = (node << near.bit_length() - 1) + near - (1 << near.bit_length() - 1)
        return node - (1 << bits)

    def number(self, where):
        if self.bit(where):
            return 0
        length = self.symbol(where.plus(7), 6) + 1
        number = 1
        for _ in range(length - 1):
            bit = self.bit(where.at(number << 8 | length | 1 << 31)) if number < 256 else self.coded(1 << 15)
            number = number << 1 | bit
        return number

    def signed(self, where):
        return signed(self.number(where))

    def float(self, where):
        zeros = self.symbol(where.plus(1), 3)
        bits = 0
        for byte in range(7, zeros - 1, -1):
            if byte >= 5:
                value = self.symbol(where.plus(mix_long(byte, bits)), 8)
            else:
                value = 0
                for _ in range(8):
                    value = value << 1 | self.coded(1 << 15)
            bits = bits << 8 | value
        return bits << 8 * zeros

    def bytes(self, group):
        found, before = bytearray(), 0
        for _ in range(self.number(context(group, 0, 0, 0))):
            found.append(self.symbol(context(group, before & 0xFF | 1 << 24, before >> 8 & 0xFF, before >> 16), 8))
            before = before << 8 & MASK | found[-1]
        return bytes(found)


class Ring:
    """The last 256."""

    def __init__(self):
        self.items = [0] * 256

    def push(self, item):
        if self.items[0] != item:
            self.items = [item, *self.items[:255]]


def hashed(value):
    kinds = {"null": 1, "none": 2, "ellipsis": 5, "not implemented": 6}
    if value[0] in kinds:
        return kinds[value[0]]
    if value[0] == "bool":
        return 4 if value[1] else 3
    numbers = {"int": 7, "float": 8, "tagged": 9, "object": 10}
    return mix_long(numbers[value[0]], value[1] % (1 << 64)) if value[0] in numbers else 11


def is_large(value):
    return value[0] in ("big", "huge", "complex")


COMPUTED, AFTER_TWO, AFTER_ONE, NEXT, WRITTEN = range(5)


class Packed:
    """A packed chunk. `computed(record, index)` says what replay computes, `stores[record]` what it knows to have been stored; the rest is in the chunk."""

    def __init__(self, data, counts, computed, stores):
        self.stores, self.stored, self.next_stored = stores, [], 0
        self.model, self.counts = Model(data), counts
        self.firsts = [sum(counts[:site]) for site in range(len(counts))]
        self.others = sum(counts)
        self.last, self.before, self.stride, self.hows = {}, {}, {}, {}
        self.one, self.two, self.content_of = {}, {}, {}
        self.floats, self.seen, self.ints = Ring(), Ring(), Ring()
        self.types, self.last_types, self.known = [], {}, {}
        self.choices = self.rank = self.old = self.far = 0
        self.stacks, self.current, self.stack, self.children = {}, None, [], {}
        self.following, self.following_more, self.shapes = {}, {}, {}
        self.recent = self.reentered = 0
        self.keyframe = self.a_keyframe()
        self.records = []
        while (record := self.record()) is not None:
            (values, places), record = record[-1], record[:-1]
            for index, (place, how) in enumerate(places):
                if how == COMPUTED:
                    values[index] = computed(len(self.records), index)
                self.hows[place] = (self.hows.get(place, 0) << 3 | how) & MASK
                self.captured(place, values[index])
            self.records.append((*record, values))

    # Values

    def places(self, place):
        one = mix(place, hashed(self.last.get(place, NULL)))
        return one >> 17, mix(one, self.before.get(place, 0)) >> 17

    def candidate(self, place, how):
        one, two = self.places(place)
        if how == AFTER_TWO:
            return self.two.get(two, NULL)
        if how == AFTER_ONE:
            return self.one.get(one, NULL)
        last = self.last.get(place, NULL)
        return ("int", wrapped(last[1] + self.stride.get(place, 0))) if last[0] == "int" else last

    def captured(self, place, value):
        value = NULL if is_large(value) else value
        one, two = self.places(place)
        self.one[one] = self.two[two] = value
        last = self.last.get(place, NULL)
        self.stride[place] = wrapped(value[1] - last[1]) if last[0] == value[0] == "int" else 0
        self.before[place] = hashed(last)
        self.last[place] = value
        self.see(value)

    def see(self, value):
        if value[0] == "float":
            self.floats.push(value[1])
        elif value[0] == "object":
            self.seen.push(value[1])
        elif value[0] == "int" and not -1024 <= value[1] < 1024:
            self.ints.push(value[1])

    def value(self, place, before):
        model = self.model
        kind = model.symbol(context(16, place, before, 0), 4)
        other = context(22, kind, place, before)
        if kind in (0, 1, 2, 3, 13):
            return {0: NULL, 1: NONE, 2: ("bool", False), 3: ("bool", True), 13: REDACTED}[kind]
        if kind == 4:
            return NOT_IMPLEMENTED if model.bit(other) else ELLIPSIS
        if kind == 5:
            return "int", self.ints.items[model.symbol(context(24, place, before, 0), 8)]
        if kind == 6:
            return "int", model.signed(context(17, place, before, 0))
        if kind == 7:
            exact, negative = model.bit(other.plus(1)), model.bit(other.plus(2))
            if exact:
                return "big", negative, model.bytes(17)
            return "huge", negative, model.number(other.plus(3)), model.number(other.plus(4))
        if kind == 8:
            return "float", model.float(context(18, 0, place, before))
        if kind == 9:
            return "complex", model.float(other), model.float(other)
        if kind == 10:
            return "tagged", model.signed(other)
        if kind == 11:
            return "object", self.newest - model.signed(context(20, place, before, 0))
        if kind == 12:
            return "unknown", model.number(other)
        if kind == 14:
            return "float", self.floats.items[model.symbol(context(19, place, before, 0), 8)]
        return "object", self.seen.items[model.symbol(context(19, place | 1, before, 1), 8)]

    def content(self, place, before):
        entry = mix(place, before) >> 17
        known = self.content_of.get(entry, NULL)
        found = known if self.model.bit(context(21, place, before, hashed(known))) else self.value(place, before)
        self.is_in(place, before, found)
        return found

    def is_in(self, place, before, value):
        self.content_of[mix(place, before) >> 17] = NULL if is_large(value) else value
        self.see(value)

    # Objects

    def an_id(self, place):
        model = self.model
        rest = self.stored[self.next_stored :]
        owners = [owner for owner, _ in rest if owner is not None]
        if owners and model.bit(context(51, place, self.next_stored, 0)):
            self.next_stored += next(
                (index for index, (owner, _) in enumerate(rest) if owner not in (None, owners[0])), len(rest)
            )
            self.seen.push(owners[0])
            return owners[0]
        choice = model.symbol(context(40, place, self.choices & 0xFF, 0), 2)
        self.choices = (self.choices << 2 | choice) & MASK
        if choice == 0:
            number = self.newest + 1
        elif choice == 1:
            self.rank = model.symbol(context(49, place, self.rank, 0), 8)
            number = self.seen.items[self.rank]
        else:
            self.far = model.signed(context(50, place, self.far & MASK, 0))
            number = self.old = (self.old + self.far) % (1 << 64)
        self.seen.push(number)
        return number

    def a_type(self, place, known):
        model = self.model
        last = mix(place, 0x9B1D) % 4096
        likely = known - 1 if known else self.last_types.get(last)
        where = context(41, 1 << 28, place, int(known > 0))
        if likely is not None and model.bit(where):
            return likely
        index = model.number(context(41, known, place, 0))
        if index == 0:
            number = model.number(context(41, 1 << 30, 0, 0))
            kind = model.symbol(context(41, 1 << 29, 0, 0), 8)
            self.types.append((number, kind, model.bytes(42)))
            index = len(self.types)
        self.last_types[last] = index - 1
        return index - 1

    def definition(self, place):
        model = self.model
        number = self.an_id(place)
        self.newest = max(self.newest, number)
        known = self.known[number][0] + 1 if number in self.known else 0
        index = self.a_type(mix(place, 0x5BD1), known)
        kind = self.types[index][1]
        sort = mix_long(kind, self.types[index][0])
        flags = model.symbol(context(43, sort, int(known > 0), place), 2)
        if not flags & 2:
            if not known:
                self.known[number] = index, []
            return number, self.types[index], None, bool(flags & 1)
        place = mix(place, sort)
        values = self.parts(number, place, sort)
        length = (model.signed(context(44, sort, 0, place)) + len(values)) % (1 << 64)
        text, extra = b"", 0
        if kind not in (*ITEMS, DICT, INSTANCE):
            text = model.bytes(45)
            extra = model.number(context(42, sort, place, 0))
        self.known[number] = index, list(values)
        # What has no length of its own has none.
        if kind not in (STR, BYTES, BYTEARRAY, *ITEMS, DICT, INSTANCE, EXCEPTION, *SUBCLASSES):
            length = 0
        return number, self.types[index], shape(kind, values, length, text, extra), bool(flags & 1)

    def parts(self, number, place, sort):
        model = self.model
        before = self.known.pop(number, (0, []))[1]
        first = last = 0
        if before:
            first = model.number(context(46, place, 0, len(before)))
            most = len(before) - first
            last = most - model.number(context(47, place, 0, first))
        between = model.number(context(48, place, len(before), first))
        found = before[:first]
        key = found[-1] if found else NULL
        stored = [value for owner, value in self.stored if owner == number]
        for _ in range(between):
            index = min(len(found), 64)
            at = mix(sort, index | 1 << 20), mix(hashed(key), place)
            if stored and model.bit(context(52, place, index, 0)):
                key = stored.pop(0)
                self.is_in(*at, key)
            else:
                key = self.content(*at)
            found.append(key)
        return found + before[len(before) - last :]

    # Frames

    def key(self):
        return self.stack[-1][1] if self.stack else 0

    def history(self):
        return self.stack[-1][2] if self.stack else 0

    def caller(self):
        where = context(62, self.key(), self.history(), 0)
        return self.model.bit(where.plus(1)) == 1, self.model.number(where.plus(2))

    def child(self):
        return self.children.get(self.stack[-1][0] if self.stack else 0, 0)

    def call(self, frame):
        self.children[self.stack[-1][0] if self.stack else 0] = frame
        self.stack.append([frame, 0, 0])

    def switch(self, to):
        if self.current != to:
            stack = self.stacks.pop(to)
            if self.current is not None:
                self.stacks[self.current] = self.stack
            self.stack, self.current = stack, to

    def thread(self):
        def at(number):
            return context(65, number, 0, 0)

        model = self.model
        header = model.number(at(1)), model.number(at(2)), model.bytes(63), model.number(at(3))
        return header, model.number(at(4))

    def a_frame(self):
        model = self.model
        number = self.frame - model.signed(context(65, 5, 0, 0))
        code = model.number(context(65, 6, 0, 0))
        unit = model.number(context(65, 7, code, 0))
        progress = model.symbol(context(65, 8, code, 0), 2)
        place = (progress >> 1 << 33) + (unit << 1 | progress & 1)
        count = model.number(context(65, 9, code, 0))
        return number, code, place, [self.content(mix(code, index | 1 << 30), unit) for index in range(count)]

    def a_keyframe(self):
        def at(number):
            return context(65, number, 1, 0)

        model = self.model
        self.time, self.newest, self.frame = (model.number(at(number)) for number in (20, 21, 22))
        begin = self.time, self.newest, self.frame
        objects, threads = [], []
        while model.bit(context(66, 0, 0, 0)):
            objects.append(self.definition(0))
        for _ in range(model.number(at(23))):
            header, count = self.thread()
            frames = [self.a_frame() for _ in range(count)]
            self.stacks[header[0]] = [[frame[0], 0, 0] for frame in frames]
            threads.append((*header, frames))
        current = model.number(at(24))
        if threads:
            self.switch(current)
        return *begin, current, threads, objects

    def prefix(self, path):
        model, key = self.model, self.key()
        kind = model.symbol(context(60, key, path, self.history()), 4)
        at = context(61, kind, key, path)
        if kind == 0:
            return None
        if kind == 1:
            header = self.thread()[0]
            self.stacks[header[0]] = []
            self.switch(header[0])
            return kind, ("thread", *header)
        if kind == 2:
            thread = model.number(at)
            (self.stack if thread == self.current else self.stacks[thread]).clear()
            return kind, ("thread end", thread)
        if kind == 3:
            count = model.number(at)
            del self.stack[-count:]
            return kind, ("pop", count)
        if kind == 4:
            caller = self.caller()
            number, self.frame = self.frame, self.frame + 1
            self.call(number)
            return kind, ("enter", number, *caller)
        if kind == 5:
            if model.bit(context(67, key, path, self.history())):
                number = self.child()
            else:
                self.reentered += model.signed(at)
                number = self.frame - self.reentered
            caller = self.caller()
            self.call(number)
            return kind, ("reenter", number, *caller)
        if kind == 8:
            frame = self.a_frame()
            self.frame = max(self.frame, frame[0] + 1)
            self.stack.append([frame[0], 0, 0])
            return kind, ("attach", frame)
        if kind == 13:
            return kind, ("stands", self.a_frame())
        if kind == 10:
            self.time += model.number(context(61, kind, 0, 0))
            return kind, ("time", self.time)
        if kind in (11, 14):
            stream, text, by = 1 + model.bit(at), model.bytes(64), None
            if kind == 14:
                above = model.signed(context(68, 0, 0, 0))
                top = self.stack[-1][0] if self.stack else 0
                by = (top + above) % (1 << 64), model.number(context(68, 1, 0, 0))
            return kind, ("output", stream, by, text)
        return kind, ({6: "inside", 7: "told", 9: "raised", 12: "lost"}[kind], model.number(at))

    # Records

    def key_of(self, popped):
        last = self.key()
        return (2 * last + popped if last else 0), self.history()

    def came(self, key, site):
        self.following_more[mix(*key) >> 16] = self.following[key[0]] = site
        if self.stack:
            top = self.stack[-1]
            top[2] = (top[2] << 8 & MASK) ^ mix(top[1], 77) >> 20
            top[1] = site + 1

    def record(self):
        model = self.model
        key = self.key_of(False)
        recent = self.recent & 7
        quiet = model.bit(context(1, key[0], recent, key[1]))
        self.recent = self.recent << 1 | quiet
        if quiet:
            more = self.following_more.get(mix(*key) >> 16)
            site = self.following[key[0]] if more is None else more
            first = self.firsts[site]
            places = [(place, self.hows.get(place, 0) & 7) for place in range(first, first + self.counts[site])]
            values = [self.candidate(place, how) for place, how in places]
            self.came(key, site)
            return self.current, site, [], [], (values, places)
        recent = self.recent & 7
        before, prefixes, path = key, [], 1
        shape_of = (mix(*before) >> 16) % (1 << 14)
        if model.bit(context(8, before[0], recent, before[1])):
            sort = 1
            pops, call = self.shapes.get(shape_of, (0, None))
            if pops:
                del self.stack[-pops:]
                path = mix(path, 3)
                prefixes.append(("pop", pops))
            key = self.key_of(pops > 0)
            if call:
                if call[0] == "enter":
                    number, self.frame = self.frame, self.frame + 1
                else:
                    number = self.child()
                path = mix(path, 4 if call[0] == "enter" else 5)
                self.call(number)
                prefixes.append((call[0], number, *call[1:]))
        else:
            sort = model.symbol(context(2, before[0], recent, before[1]), 2)
            if sort == 3:
                return None
            where = context(3, before[0], sort, 0)
            if model.bit(where):
                self.switch(model.number(where.plus(1)))
            popped, called, path = False, None, sort
            while True:
                key = self.key_of(popped)
                found = self.prefix(path)
                if found is None:
                    break
                kind, prefix = found
                popped = popped or kind == 3
                if kind in (4, 5, 8) and called is None:
                    called = key
                if kind != 10:
                    path = mix(path, kind)
                prefixes.append(prefix)
            key = called or self.key_of(popped)
            if sort == 1:
                pops, call = 0, None
                for prefix in prefixes:
                    if prefix[0] == "pop":
                        pops = prefix[1]
                    elif prefix[0] in ("enter", "reenter"):
                        call = prefix[0], *prefix[2:]
                self.shapes[shape_of] = pops, call
        site = self.site(key, path) if sort == 1 else None
        place = mix(key[0], path) if site is None else mix(site | 1 << 31, path)
        objects = []
        self.stored, self.next_stored = self.stores.get(len(self.records), []), 0
        while model.bit(context(4, place, len(objects), key[1])):
            objects.append(self.definition(mix(place, len(objects))))
        values, places = [], []
        if sort == 1:
            for index in range(self.counts[site]):
                self.capture(self.firsts[site] + index, mix(path, index), values, places)
            self.came(key, site)
        elif sort == 2:
            where = context(7, key[0], key[1], 0)
            unit = model.number(where)
            for index in range(model.number(where.plus(unit))):
                self.capture(self.others + mix(mix(key[0], unit), index) % 4096, 0, values, places)
            site = (unit,)
        return self.current, site, prefixes, objects, (values, places)

    def site(self, key, path):
        where = context(5, key[0], path, key[1])
        if self.model.bit(where):
            return self.following_more[mix(*key) >> 16]
        if not self.model.bit(where.plus(2)):
            return self.following[key[0]]
        return key[0] // 2 + self.model.signed(where.plus(1))

    def capture(self, place, path, values, places):
        where, how = context(6, place, self.hows.get(place, 0) & 0xFFF, path), self.hows.get(place, 0) & 7
        if not self.model.bit(where):
            how = self.model.symbol(where, 3)
        if how == COMPUTED:
            values.append(None)
        elif how < WRITTEN:
            values.append(self.candidate(place, how))
        else:
            values.append(self.value(place | 1 << 31, path))
        places.append((place, how))
