"""Why some of CPython's tests differ with debugop: data.

Each reason is (versions, pattern, why). `versions` is a string of minor versions, "" for all; `pattern` is matched against
a test's id as `fnmatch` does. What no reason covers is a finding, and `make test-cpython` fails.
"""

import fnmatch

REASONS = ()


def reason(minor, name):
    """Why the test `name` differs on CPython `minor`; None if that is not known."""
    for versions, pattern, why in REASONS:
        if (not versions or minor in versions.split()) and fnmatch.fnmatchcase(name, pattern):
            return why
    return None
