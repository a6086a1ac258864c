"""Reads recordings by what docs/recording-format.md says, and by nothing else: what debugop writes is compared with it."""

import struct

NULL, NONE, ELLIPSIS, NOT_IMPLEMENTED, REDACTED = (
    ("null",),
    ("none",),
    ("ellipsis",),
    ("not implemented",),
    ("redacted",),
)
STR, BYTES, BYTEARRAY, LIST, TUPLE, SET, FROZENSET, DICT, INSTANCE, CELL = range(1, 11)
FUNCTION, BUILTIN, METHOD, TYPE, MODULE, EXCEPTION, RANGE, SLICE, CODE, GENERATOR = range(11, 21)
LIST_SUBCLASS, TUPLE_SUBCLASS, SET_SUBCLASS, FROZEN_SET_SUBCLASS, DICT_SUBCLASS, DEQUE = range(21, 27)
SUBCLASSES = range(21, 27)
NAMED = (BUILTIN, TYPE, MODULE)
ITEMS = (LIST, TUPLE, SET, FROZENSET)


def signed(number):
    """Of a zigzag number."""
    return (number >> 1) ^ -(number & 1)


def wrapped(number):
    """As a signed number of 64 bits."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


class Bytes:
    """Varints, texts and the like."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data)
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        number = shift = 0
        while (byte := self.byte()) & 0x80:
            number |= (byte & 0x7F) << shift
            shift += 7
        return number | byte << shift

    def text(self):
        return self.take(self.varint())


def chunks(path):
    """Kind, compression, length as a stream, and stored contents of each chunk."""
    data = path.read_bytes()
    at = 40
    while at < len(data):
        assert data[at : at + 8] == b"\xf3chunk\r\n"
        stored, raw = struct.unpack_from("<II", data, at + 12)
        yield data[at + 8], data[at + 9], raw, data[at + 56 : at + 56 + stored]
        at += 56 + stored


def planes(stored, raw, decompress):
    """Contents that are stored in planes."""
    count, *lengths = struct.unpack_from("<5I", stored)
    at, parts = 20, []
    for length, size in zip(lengths, (raw - 8 * count, count, count, 6 * count), strict=True):
        part = stored[at : at + length]
        parts.append(part if length == size else decompress(part))
        assert len(parts[-1]) == size
        at += length
    rest, highest, below, low = parts
    contents, start = bytearray(), 0
    for index in range(count):
        end = rest.index(b"\x4a", start) + 1
        contents += rest[start:end] + low[6 * index : 6 * index + 6]
        contents += bytes((below[index], highest[index]))
        start = end
    return bytes(contents + rest[start:])


def captures(contents):
    """From contents of code chunks: of each site, how many values it captures."""
    found = {}
    for content in contents:
        reader = Bytes(content)
        while reader.at < len(content):
            code = Bytes(reader.text())
            code.varint()
            first = code.varint()
            for index in range(code.varint()):
                found[first + index] = code.varint()
    assert sorted(found) == list(range(len(found)))
    return [found[site] for site in range(len(found))]


def shape(kind, values, length, text, number):
    """Contents of an object."""
    return (kind, tuple(values), length, bytes(text), number)


class Stream(Bytes):
    """A chunk of the stream: `keyframe`, and `records`, each (thread, site or (unit,), prefixes, objects, values)."""

    def __init__(self, data, counts):
        super().__init__(data)
        self.counts = counts
        self.types, self.classes, self.contents = [], {}, {}
        self.recent = [None] * 128
        self.objects = []
        self.strides, self.following = {}, {}
        self.time, self.newest, self.frame, threads, self.current = (self.varint() for _ in range(5))
        begin = self.time, self.newest, self.frame, self.current
        self.stacks = {}
        shown = [self.thread() for _ in range(threads)]
        self.keyframe = (*begin, shown, self.objects)
        self.records = []
        while self.at < len(data):
            self.records.append(self.record())

    def thread(self):
        header = self.varint(), self.varint(), self.text(), self.varint()
        frames = [self.a_frame() for _ in range(self.varint())]
        self.stacks[header[0]] = [None] * len(frames)
        return (*header, frames)

    def a_frame(self):
        number, code, place = self.varint(), self.varint(), self.varint()
        return number, code, place, [self.value() for _ in range(self.varint())]

    def define(self, number, bare, update=False):
        kind = None
        if not update:
            index = self.varint()
            if index == len(self.types):
                self.types.append((self.varint(), self.byte(), self.text()))
            self.classes[number] = self.types[index]
        kind = self.classes[number]
        # Inside its own contents it is known already.
        self.newest = max(self.newest, number)
        self.recent[number % 128] = number
        place = len(self.objects)
        self.objects.append(None)
        contents = None if bare else self.read_contents(kind[1])
        if not bare:
            self.contents[number] = contents
        self.objects[place] = (number, kind, contents, update)
        return "object", number

    def read_contents(self, kind):
        values, length, text, number = [], 0, b"", 0
        if kind == STR or kind in (BYTES, BYTEARRAY):
            length, text = self.varint(), self.text()
        elif kind in ITEMS:
            length = self.varint()
            values = [self.value() for _ in range(self.varint())]
        elif kind in (DICT, INSTANCE):
            length = self.varint()
            values = [self.value() for _ in range(2 * self.varint())]
        elif kind == CELL:
            values = [self.value()]
        elif kind in (FUNCTION, CODE, GENERATOR):
            text, number = self.text(), self.varint()
        elif kind in NAMED:
            text = self.text()
        elif kind == METHOD:
            values = [self.value(), self.value()]
        elif kind in (RANGE, SLICE):
            values = [self.value() for _ in range(3)]
        elif kind in SUBCLASSES:
            length, count = self.varint(), self.varint()
            values = [self.value() for _ in range(count * (2 if kind == DICT_SUBCLASS else 1))]
            number = count + 1
            length = length - count << 32 | self.varint()
            values += [self.value() for _ in range(2 * self.varint())]
        elif kind == EXCEPTION:
            more = 0
            if self.varint():
                length = self.varint()
                values = [self.value() for _ in range(self.varint())]
                number = len(values) + 1
                more = length - len(values)
            length = more << 32 | self.varint()
            values += [self.value() for _ in range(2 * self.varint())]
        return shape(kind, values, length, text, number)

    def an_object(self, first):
        number = self.recent[first - 0x80] if first >= 0x80 else self.newest - self.varint()
        self.recent[number % 128] = number
        return number

    def value(self, first=None):
        first = self.byte() if first is None else first
        if 0x01 <= first <= 0x40:
            return "int", first - 1
        if first >= 0x80 or first == 0x4D:
            return "object", self.an_object(first)
        if first in (0x4E, 0x50):
            return self.define(self.newest + 1, first == 0x50)
        if first in (0x4F, 0x51):
            return self.define(self.varint(), first == 0x51)
        simple = {
            0x41: NULL,
            0x42: NONE,
            0x43: ("bool", False),
            0x44: ("bool", True),
            0x45: ELLIPSIS,
            0x46: NOT_IMPLEMENTED,
        }
        if first in simple:
            return simple[first]
        if first in (0x47, 0x4C):
            return ("int" if first == 0x47 else "tagged"), signed(self.varint())
        if first == 0x48:
            return "big", self.varint(), self.text()
        if first == 0x49:
            return "huge", self.varint(), self.varint(), *struct.unpack("<Q", self.take(8))
        if first == 0x4A:
            return "float", *struct.unpack("<Q", self.take(8))
        if first == 0x4B:
            return "complex", *struct.unpack("<QQ", self.take(16))
        if first == 0x52:
            return "unknown", self.varint()
        assert first == 0x53, hex(first)
        return REDACTED

    def captured(self, site, index, first):
        """A value of a body, where ints are expected to go on as before."""
        entry = site + index
        known = self.strides.get(entry)
        value = ("int", wrapped(known[0] + known[1])) if first == 84 else self.value(first)
        if value[0] == "int" and index < 64 and site < 1 << 30:
            self.strides[entry] = value[1], wrapped(value[1] - known[0]) if known else 0
        return value

    def changed(self):
        """UPDATE_PART."""
        number = self.an_object(self.byte())
        kind, values, _, text, extra = self.contents[number]
        change, length = self.varint(), self.varint()
        pairs = 2 if kind in (DICT, INSTANCE) else 1
        place = len(self.objects)
        self.objects.append(None)
        values = list(values)
        if change % 2:
            at = change // 2 * pairs + pairs - 1
            values[at : at + 1] = [self.value()]
        elif change:
            at = (change // 2 - 1) * pairs
            values[at:at] = [self.value() for _ in range(pairs)]
        self.contents[number] = shape(kind, values, length, text, extra)
        self.objects[place] = (number, self.classes[number], self.contents[number], True)

    def record(self):
        self.objects = []
        prefixes, key, site, popped = [], None, None, False
        while True:
            if self.at == len(self.data):
                return self.current, None, prefixes, self.objects, []
            first = self.byte()
            stack = self.stacks.get(self.current, None)

            def last(popped=popped, stack=stack):
                return (stack[-1], popped) if stack and stack[-1] is not None else None

            if first == 0x61:
                site = self.varint()
            elif first == 0x62:
                self.current = self.varint()
            elif first == 0x63:
                header = self.varint(), self.varint(), self.text(), self.varint()
                self.current = header[0]
                self.stacks[self.current] = []
                prefixes.append(("thread", *header))
            elif first == 0x64:
                thread = self.varint()
                self.stacks[thread].clear()
                prefixes.append(("thread end", thread))
            elif first in (0x65, 0x66):
                count = 1 if first == 0x65 else self.varint()
                del stack[-count:]
                popped = True
                prefixes.append(("pop", count))
            elif 0x67 <= first <= 0x6A:
                key = key or (last(),)
                if first >= 0x69:
                    number = self.varint()
                else:
                    number = self.frame
                    self.frame += 1
                caller = self.varint()
                prefixes.append(("enter" if first <= 0x68 else "reenter", number, first % 2 == 0, caller))
                stack.append(None)
            elif first == 0x6C:
                key = key or (last(),)
                frame = self.a_frame()
                self.frame = max(self.frame, frame[0] + 1)
                prefixes.append(("attach", frame))
                stack.append(None)
            elif first == 0x75:
                prefixes.append(("stands", self.a_frame()))
            elif first in (0x6B, 0x71, 0x73, 0x70):
                prefixes.append(({0x6B: "raised", 0x71: "inside", 0x73: "told", 0x70: "lost"}[first], self.varint()))
            elif first == 0x6D:
                number = self.an_object(self.byte())
                self.define(number, False, update=True)
            elif first == 0x72:
                self.changed()
            elif first == 0x6E:
                self.time += self.varint()
                prefixes.append(("time", self.time))
            elif first == 0x6F:
                stream, by = self.byte(), None
                if stream > 2:
                    stream, by = stream - 2, (self.varint(), self.varint())
                prefixes.append(("output", stream, by, self.text()))
            elif first == 0x74:
                unit = self.varint()
                values = [self.value() for _ in range(self.varint())]
                return self.current, (unit,), prefixes, self.objects, values
            else:
                key = key[0] if key else last()
                if site is None:
                    site = self.following[key]
                self.following[key] = site
                if stack:
                    stack[-1] = site
                count = self.counts[site]
                assert (first == 0x60) == (count == 0)
                values = [self.captured(site, index, self.byte() if index else first) for index in range(count)]
                return self.current, site, prefixes, self.objects, values
