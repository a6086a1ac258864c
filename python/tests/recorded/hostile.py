"""Objects whose methods say when they are called: recording calls none, and contents that cannot be read without them are left alone."""

import gc
import weakref

called = []


def tell(name):
    def method(self, *args):
        called.append(name)
        raise RuntimeError(name)

    return method


REFUSED = """
    __repr__ __str__ __bytes__ __format__ __len__ __length_hint__ __iter__ __next__ __getitem__ __contains__ __bool__ __int__
    __float__ __index__ __complex__ __lt__ __le__ __gt__ __ge__ __ne__ __getattr__ __dir__ __sizeof__ __reduce__ __copy__
""".split()
Hostile = type("Hostile", (), {name: tell(name) for name in REFUSED})


class Equal(Hostile):
    def __eq__(self, other):
        called.append("__eq__")
        return self is other

    def __hash__(self):
        called.append("__hash__")
        return 1


class Lying(Hostile):
    @property
    def __class__(self):
        called.append("__class__")
        return int

    @property
    def __dict__(self):
        called.append("__dict__")
        return {}


class Private(Hostile):
    def __getattribute__(self, name):
        called.append(name)
        return object.__getattribute__(self, name)


class Mortal:
    alive = 0

    def __init__(self):
        Mortal.alive += 1

    def __del__(self):
        called.append("__del__")
        Mortal.alive -= 1


class Slots:
    __slots__ = ("__weakref__", "one", "two")


class Descriptor:
    def __get__(self, instance, owner=None):
        called.append("__get__")
        return 7

    def __set__(self, instance, value):
        called.append("__set__")


class Described:
    value = Descriptor()


def subclass(base):
    return type(
        f"My{base.__name__}", (base,), {name: tell(name) for name in REFUSED if name not in ("__getitem__", "__len__")}
    )


class Counting(dict):
    def __missing__(self, key):
        called.append("__missing__")
        return 0


def use(*objects):
    kept = list(objects)
    table = dict(enumerate(objects))
    return len(kept), len(table)


def main():
    print(use(Hostile(), Equal(), Lying(), Private(), Slots()))
    keys = {Equal(): 1, Equal(): 2}
    print(len(keys))
    for base in (int, str, float, tuple, list, dict, set, frozenset, bytes, bytearray, Exception):
        one = subclass(base)()
        holder = [one, (one,), {"one": one}]
        holder.append(holder)
        print(base.__name__, len(holder))
    slots = Slots()
    slots.one = slots
    reference = weakref.ref(slots, lambda _: called.append("dead"))
    print(reference() is slots)
    del slots
    described = Described()
    described.value = 3
    print(described.value)
    for _ in range(20):
        Mortal()
    several = [Mortal() for _ in range(5)]
    several[:] = []
    gc.collect()
    print(Mortal.alive, reference())
    print(Counting()["x"])
    gone = [[] for _ in range(100)]
    while gone:
        # What is on the stack dies in the instruction.
        len(str(gone.pop().append(1)))
    try:
        raise subclass(Exception)(Hostile())
    except Exception as error:
        print(len(error.args))
    huge = list(range(100_000))
    big = dict.fromkeys(huge)
    deep = []
    for _ in range(1000):
        deep = [deep]
    print(len(huge), len(big), len(deep), len("x" * 1_000_000), (1 << 100_000).bit_length())
    del deep


main()
print(sorted(called))
