"""The standard library's `bdb` and `pdb`, as modules of debugop's own.

What they ask of `sys.settrace` is asked of debugop. Everything else is as this version of Python has it.
"""

import importlib.machinery
import os
import sys
from types import ModuleType
from typing import Any


class Sys:
    """Stands for `sys` in such a module: `settrace` is another, whatever else is asked for or assigned is `sys`'s."""

    def __init__(self, settrace: Any) -> None:
        self.__dict__["settrace"] = settrace

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(sys, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(sys, name)


def load(name: str, modules: dict[str, Any]) -> ModuleType:
    """A module of the standard library, executed anew, whose imports of the names in `modules` give these.

    It is not in `sys.modules`; what it defines says that it is from the module of this name.
    """
    folder = os.path.dirname(os.__file__)
    spec = importlib.machinery.PathFinder.find_spec(name, [folder])
    if spec is None or spec.loader is None:
        raise ImportError(f"this Python's standard library has no module {name!r} in {folder}", name=name)
    module = ModuleType(name)
    module.__spec__, module.__file__, module.__loader__ = spec, spec.origin, spec.loader

    def find(wanted: str, *arguments: Any) -> Any:
        return modules[wanted] if wanted in modules else __import__(wanted, *arguments)

    import builtins

    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": find}
    exec(spec.loader.get_code(name), module.__dict__)  # type: ignore[attr-defined]
    return module
