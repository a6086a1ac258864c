"""Why some of CPython's tests of its debugging facilities cannot pass with debugop's in their place: data.

Each reason is (versions, pattern, why), as in `reasons.py`. What no reason covers makes `make test-debugger` fail, and so
does a reason that no test needs.
"""

import fnmatch

TESTS = ("test_sys_settrace", "test_sys_setprofile", "test_bdb", "test_pdb")

REASONS = ()


def reason(minor, name):
    """The entry of REASONS that says why the test `name` differs on CPython `minor`; None if there is none."""
    for entry in REASONS:
        versions, pattern, _ = entry
        if (not versions or minor in versions.split()) and fnmatch.fnmatchcase(name, pattern):
            return entry
    return None


def of(minor):
    """The reasons for one version."""
    return [entry for entry in REASONS if not entry[0] or minor in entry[0].split()]
