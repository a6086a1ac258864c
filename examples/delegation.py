"""`yield from` connects a caller with an inner generator.

Look at SEND in `outer`: each time it runs, the box of `inner` opens inside that of `outer`. What `inner` yields, YIELD_VALUE
of `outer` hands on; what `inner` returns is left on the stack by END_SEND (on 3.11 by SEND itself). The exception that
is thrown into `outer` arrives in `inner` without `outer` executing anything.
"""


def inner():
    received = yield "first"
    try:
        yield received * 2
    except KeyError as error:
        yield f"caught {error}"
    return "done"


def outer():
    result = yield from inner()
    yield result
    yield from (1, 2)


conversation = outer()
print(next(conversation))
print(conversation.send(21))
print(conversation.throw(KeyError("thrown in")))
print(list(conversation))
