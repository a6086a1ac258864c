"""Lines and branches of many kinds, for coverage.py to measure. Some are never executed."""

import json


def branches(x):
    if x > 2:
        y = "big"
    elif x == 1:
        y = "one"
    else:
        y = "small"
    for i in range(x):
        if i == 1:
            continue
        while True:
            break
    else:
        y += "!"
    try:
        1 / (x - 1)
    except ZeroDivisionError:
        y += "?"
    finally:
        y += "."
    with open(__file__) as f:
        f.read(1)
    match x:
        case 1:
            y += "1"
        case 2 | 3:
            y += "23"
        case _:
            pass
    return y


def gen():
    for i in range(3):
        if (yield i):
            pass


def never():
    return 1


class A:
    def f(self):
        return [n for n in range(3) if n]


print([branches(x) for x in range(4)], list(gen()), A().f(), json.dumps(1))
assert sorted([3, 1], key=lambda x: -x) == [3, 1]
