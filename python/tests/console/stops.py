class Counter:
    __slots__ = ("count",)

    def __init__(self):
        self.count = 0


class Box:
    pass


def work(steps):
    total = 0
    counter = Counter()
    box = Box()
    box.last = None
    sizes = {"a": 1}
    items = [1, 2]
    for step in range(steps):
        total += step
        counter.count = total
        box.last = step
        sizes["a"] = total
        items[0] = step
    return total


def shares():
    shared = 1

    def change():
        nonlocal shared
        shared = 2

    change()
    return shared


def leaves():
    gone = 1
    gone = 2
    return int("x"), gone


GLOBAL = 1


def sets():
    global GLOBAL
    GLOBAL = 2
    globals()["GLOBAL"] = 3


def start():
    print(work(3))
    print(shares())
    sets()
    try:
        leaves()
    except ValueError:
        print("caught")


start()
