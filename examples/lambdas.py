"""Functions without a name, called by C code.

Look at `sorted`: it is a built-in function, so it has no box, but the lambda that it calls for each item has. The same is true
of `map`, which calls its lambda only when `list` asks for an item, and of `functools.reduce`. Defaults bind a loop variable at
once; without one, all closures see its last value.
"""

from functools import partial, reduce

print(sorted(["bb", "a", "ccc"], key=lambda word: -len(word)))
print(list(map(lambda x, y: x * y, (1, 2), (3, 4))))
print(reduce(lambda total, x: total + x, [1, 2, 3]))
print([f() for f in [lambda: i for i in range(2)]], [f() for f in [lambda i=i: i for i in range(2)]])
print(partial(lambda a, b: a - b, 10)(b=3))
