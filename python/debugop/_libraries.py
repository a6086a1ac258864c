"""Where code lives that is not the user's own."""

import os
import site
import sys
import sysconfig


def library_directories() -> list[str]:
    """The directories of the standard library, of installed packages and of debugop itself.

    Each ends in a separator, so that a file is library code if its name starts with one of them. Both the names as they
    are on `sys.path` and what they resolve to are there.
    """
    paths = sysconfig.get_paths()
    found = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    # `python -S` and embedding applications may have no site directories.
    found += getattr(site, "getsitepackages", list)()
    found += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    found += [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    found.append(os.path.dirname(__file__))
    absolute = {os.path.abspath(path) for path in found if path}
    return sorted({os.path.join(path, "") for path in absolute | set(map(os.path.realpath, absolute))})
