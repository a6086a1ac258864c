"""See what CPython really does: every bytecode instruction a program executes, with its value stack."""

from debugop import _supported

_supported.check(__name__, __path__[0])

from debugop._core import VERSION as __version__  # noqa: E402  (an unsupported interpreter must not load the module)

__all__ = ["__version__"]
