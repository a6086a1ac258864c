def count(n):
    try:
        while n:
            yield n
            n -= 1
    except KeyError as key:
        yield key


def both():
    yield from count(2)
    yield "done"


list(both())
counter = count(3)
next(counter)
counter.throw(KeyError("stop"))
counter.close()
