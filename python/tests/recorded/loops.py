"""Functions whose first instruction is the head of a loop, so that a chunk may end behind the site with which they start."""


class Link:
    def __init__(self, after):
        self.after = after

    def __getattr__(self, name):
        return len(name)


def walk(link):
    while True:
        if link is None:
            return 0
        link.any
        link = link.after


def count(link, many):
    while link is not None:
        many += 1
        link = link.after
    return many


def main():
    total = 0
    for length in range(60):
        link = None
        for _ in range(length % 4):
            link = Link(link)
        walk(link)
        total += count(link, 0)
    return total


print(main())
