"""The compiled half of debugop."""

from typing import Final

__all__ = ["VERSION"]

VERSION: Final[str]
"""debugop's version, as in `Cargo.toml`."""
