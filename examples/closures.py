"""Variables that outlive the call which made them.

Look at `counter`: MAKE_CELL (before RESUME, so it is not reported) has put `count` into a cell, LOAD_CLOSURE (up to 3.12) or LOAD_FAST puts
the cell itself on the stack, and MAKE_FUNCTION ties it to the new function. LOAD_DEREF and STORE_DEREF look into the
cell: both inner functions see the same one, and each call of `counter` makes a new one.
"""


def counter(step):
    count = 0

    def advance():
        nonlocal count
        count += step
        return count

    def reset():
        nonlocal count
        count = 0

    return advance, reset


advance, reset = counter(2)
other, _ = counter(10)
print(advance(), advance(), other())
reset()
print(advance())
