"""Compares what became of the tests of one file, as `python` runs it and with debugop."""


def differing(plain, traced):
    """The ids of the tests whose outcomes are not the same; the empty id stands for the file as a whole."""
    if plain["ended"] not in ("ok", "skipped"):
        # What CPython itself cannot finish says nothing.
        return set()
    if traced["ended"] != plain["ended"]:
        return {""} | set(plain["tests"])
    names = set(plain["tests"]) | set(traced["tests"])
    return {name for name in names if plain["tests"].get(name) != traced["tests"].get(name)}


def verdicts(plains, traceds):
    """(flaky, once, different): sets of ids, from one or more runs of one file each way.

    "flaky": the outcome changes from one run to the next without debugop too; "once": no run shows the difference but
    the first; "different": every run with debugop differs from every run without.
    """
    first = differing(plains[0], traceds[0])
    flaky = {name for name in first if name and any(_of(plains[0], name) != _of(other, name) for other in plains[1:])}
    if any(plain["ended"] != "ok" for plain in plains[1:]):
        flaky = first
    left = first - flaky
    once = {name for name in left if any(name not in differing(plains[0], other) for other in traceds[1:])}
    return flaky, once, left - once


def _of(result, name):
    return result["tests"].get(name)


def outcome(result, name):
    """A test's outcome in words."""
    if result["ended"] != "ok" or not name:
        return result["ended"]
    return ", ".join(result["tests"].get(name) or ["not run"])
