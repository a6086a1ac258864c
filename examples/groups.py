"""`except*` takes an exception group apart.

Look at CHECK_EG_MATCH: it leaves the part that matches on the stack, and below it the rest, for the next `except*`. What
nobody took is collected in a list (LIST_APPEND) and put together again at the end (PREP_RERAISE_STAR up to 3.11, a call
of an intrinsic function from 3.12 on).
"""


def several():
    raise ExceptionGroup("three", [ValueError(1), TypeError(2), KeyError(3)])


def sort_out():
    try:
        several()
    except* ValueError as group:
        print("values:", group.exceptions)
    except* TypeError as group:
        print("types:", group.exceptions)


try:
    sort_out()
except ExceptionGroup as rest:
    print("left:", rest.exceptions)
