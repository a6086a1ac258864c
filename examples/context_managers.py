"""A `with` statement calls two methods that the source does not show.

Look at what enters the context (BEFORE_WITH up to 3.13, two LOAD_SPECIAL from 3.14 on): the box of `__enter__` opens there, and
`__exit__` waits on the stack until the block ends. The last call has three None: no exception has happened. Through
`contextmanager` a generator does the work of both methods.
"""

from contextlib import contextmanager


class Step:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        print("into", self.name)
        return self.name.upper()

    def __exit__(self, kind, error, traceback):
        print("out of", self.name)


@contextmanager
def bracket(left, right):
    print(left)
    try:
        yield left + right
    finally:
        print(right)


def work():
    with Step("one") as first, Step("two"):
        print("in", first)
    with bracket("(", ")") as both:
        return both


print(work())
