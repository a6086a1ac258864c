"""Where names live: locals, globals, builtins, and names that are deleted.

Look at LOAD_FAST, LOAD_GLOBAL and LOAD_NAME, and at the DELETE_ instructions. `count` is a global in `bump` because
`global` says so, and a local in `shadow` because it is assigned there; so reading it before the assignment fails, although
there is a global of the same name.
"""

count = 1


def bump():
    global count
    count += 1
    return count


def shadow():
    try:
        return count
    except UnboundLocalError as error:
        count = 0
        return type(error).__name__, count


def forget():
    value, table = 1, {"a": 1, "b": 2}
    del value, table["a"]
    try:
        return value
    except NameError:
        return table


print(bump(), shadow(), forget(), len("builtin"))
del count
try:
    bump()
except NameError as error:
    print(error)
