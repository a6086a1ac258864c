"""Where code lives that is not the user's own."""

import os
import sys


def library_directories() -> list[str]:
    """The directories of the standard library and of installed packages.

    Each ends in a separator, so that a file is library code if its name starts with one of them. Both the names as they
    are on `sys.path` and what they resolve to are there. `sysconfig` knows them too, but imports half the library.
    """
    found = [os.path.dirname(os.__file__)]
    # `python -S` and embedding applications may have no site directories.
    site = sys.modules.get("site")
    if site is not None:
        found += getattr(site, "getsitepackages", list)()
        found += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    found += [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    return as_prefixes(found)


def own_directories() -> list[str]:
    """The directory of debugop itself, in the same form."""
    return as_prefixes([os.path.dirname(__file__)])


def as_prefixes(directories: list[str]) -> list[str]:
    """The directories, by absolute and by real name, each ending in a separator."""
    absolute = {os.path.abspath(path) for path in directories if path}
    return sorted({os.path.join(path, "") for path in absolute | set(map(os.path.realpath, absolute))})
