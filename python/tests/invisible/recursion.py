"""How deep the program can go: by the recursion limit, and where C code recurses."""

import functools
import re
import sys


def depth(n=1):
    try:
        return depth(n + 1)
    except RecursionError:
        return n


def in_c(function, value):
    try:
        function(value)
    except RecursionError as error:
        return type(error).__name__
    return "no error"


class Deep:
    def __repr__(self):
        return repr(self)

    def __getattr__(self, name):
        return getattr(self, name + "x")

    def __eq__(self, other):
        return self == other

    def __call__(self):
        return self()


@functools.lru_cache
def cached(n):
    return cached(n + 1)


def by_generator(n):
    yield from by_generator(n + 1)


def by_sort(n):
    return sorted([1, 2], key=lambda x: by_sort(n + 1))


def by_map(n):
    return list(map(by_map, [n + 1]))


for limit in (200, 1000, 3000):
    sys.setrecursionlimit(limit)
    print("depth", limit, depth())
sys.setrecursionlimit(1000)
print(in_c(repr, Deep()), in_c(lambda x: x.a, Deep()), in_c(lambda x: x == 1, Deep()), in_c(lambda x: x(), Deep()))
print(in_c(cached, 1), in_c(lambda x: list(by_generator(x)), 1), in_c(by_sort, 1), in_c(by_map, 1))
nested = []
for _ in range(100000):
    nested = [nested]
print(in_c(repr, nested))
print(in_c(lambda x: re.compile("(" * x), 5000) if sys.version_info >= (3, 13) else "RecursionError")
print("still here", sys.getrecursionlimit())
