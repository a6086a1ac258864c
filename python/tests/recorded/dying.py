"""Objects that are changed and dropped before their frame comes to a site again, and whose end runs code: their contents are gone by then."""

import weakref


class Noisy:
    """Runs code when it dies."""

    def __init__(self, of):
        self.of = weakref.ref(of)

    def __del__(self):
        self.found = self.of()


class Holder:
    pass


class Slotted:
    __slots__ = ("__weakref__", "whatever")


class Resurrected:
    kept = None

    def __del__(self):
        Resurrected.kept = self


def deleted():
    holder = Holder()
    holder.one = 1
    holder.whatever = Noisy(holder)
    del holder


def bound_anew(make):
    holder = make()
    holder.whatever = Noisy(holder)
    holder = None
    assert holder is None


def resurrected():
    holder = Resurrected()
    holder.whatever = Noisy(holder)
    holder = None
    Resurrected.kept.whatever = 2
    assert holder is None


def in_a_list():
    items = []
    items += [Noisy(deleted), 2]
    items = None
    assert items is None


def in_a_dict():
    items = {}
    items["key"] = Noisy(deleted)
    items = None
    assert items is None


def in_a_set():
    items = {1}
    items |= {Noisy(deleted)}
    items = None
    assert items is None


for _ in range(3):
    deleted()
    bound_anew(Holder)
    bound_anew(Slotted)
    resurrected()
    in_a_list()
    in_a_dict()
    in_a_set()
print("dead")
