"""Exceptions that remember others: `raise ... from`, an error inside a handler, and a bare `raise`.

Look at the stack in the handlers: below the exception that is handled lies the one that was handled before, None the
first time. RAISE_VARARGS takes two values for `raise ... from`, one for `raise`, none for a bare `raise`.
"""


class ConfigError(Exception):
    pass


def setting(table, name):
    try:
        return table[name]
    except KeyError as missing:
        raise ConfigError("no such setting") from missing


def careless(table):
    try:
        setting(table, "size")
    except ConfigError as error:
        return error.unknown


def again(table):
    try:
        careless(table)
    except AttributeError:
        raise


try:
    again({})
except AttributeError as error:
    chain = []
    while error is not None:
        chain.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    print(" <- ".join(chain))
