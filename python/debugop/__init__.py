"""See what CPython really does: every bytecode instruction a program executes, with its value stack."""

from debugop._core import VERSION as __version__

__all__ = ["__version__"]
