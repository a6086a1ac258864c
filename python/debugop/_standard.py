"""The standard library's `bdb` and `pdb`, as modules of debugop's own.

What they ask of `sys.settrace` is asked of debugop. Everything else is as this version of Python has it.
"""

import importlib.machinery
import os
import sys
from types import ModuleType
from typing import Any

from debugop import _core


def load(name: str, **imported: Any) -> ModuleType:
    """A module of the standard library, executed anew; where it imports the modules named `imported`, it gets these.

    It is not in `sys.modules`; what it defines says that it is from the module of this name. Its `sys` is a stand-in for that.
    """
    folder = os.path.dirname(os.__file__)
    spec = importlib.machinery.PathFinder.find_spec(name, [folder])
    if spec is None or spec.loader is None:
        raise ImportError(f"this Python's standard library has no module {name!r} in {folder}", name=name)
    module = ModuleType(name)
    module.__spec__, module.__file__, module.__loader__ = spec, spec.origin, spec.loader
    # Not by an `__import__` of its own: `exec` hands the builtins of its caller on to the program.
    before = {one: sys.modules.get(one) for one in imported}
    sys.modules.update(imported)
    try:
        exec(spec.loader.get_code(name), module.__dict__)  # type: ignore[attr-defined]
    finally:
        for one, theirs in before.items():
            if theirs is None:
                del sys.modules[one]
            else:
                sys.modules[one] = theirs
    module.__dict__["sys"] = _core.Sys(sys)
    return module
