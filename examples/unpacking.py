"""One assignment, many targets.

Look at UNPACK_SEQUENCE and UNPACK_EX: they replace one value by its items, the first on top, so that they can be stored in
order. Swapping two names needs no tuple: SWAP does it (3.11 and later), or the order of the stores alone. Displays with
stars are built by LIST_EXTEND and DICT_UPDATE.
"""


def swap(a, b, c):
    a, b = b, a
    a, b, c = c, a, b
    return a, b, c


first, *middle, last = range(5)
(x, y), [z] = "ab", [3]
for index, (left, right) in enumerate([(1, 2)]):
    print(index, left, right)
print(first, middle, last, x, y, z, swap(1, 2, 3))
print([*middle, *"ab"], {**{"a": 1}, "b": 2}, (*middle, 0), {*middle})

try:
    a, b = 1, 2, *middle
except ValueError as error:
    print(error)
