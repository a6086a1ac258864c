"""Where a chunk may end that is recorded in small ones: behind the site with which a frame starts, in the middle of a store, in a delegation."""


class Link:
    def __init__(self, after):
        self.after = after

    def __getattr__(self, name):
        return len(name)


def walk(link):
    # The first instruction is the head of a loop.
    while True:
        if link is None:
            return 0
        assert link.any == 3
        link = link.after


class Noisy:
    """Runs code when a local variable lets it go."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        total = 0
        for number in range(self.number % 5):
            total += number

    def use(self):
        return self.number


def stores(count):
    one = two = None
    for number in range(count):
        one = Noisy(number)
        one.use()
        one, two = Noisy(number + 1), Noisy(number + 2)
        two.use()
    for one in [Noisy(1), Noisy(2), Noisy(3)]:
        one.use()
    return one.number


def inner():
    try:
        yield 1
    except KeyError:
        return "ended"


def outer():
    result = yield from inner()
    yield result


def thrown():
    made = outer()
    made.send(None)
    return made.throw(KeyError())


def main():
    for length in range(30):
        link = None
        for _ in range(length % 4):
            link = Link(link)
        walk(link)
        thrown()
    return stores(30)


print(main())
