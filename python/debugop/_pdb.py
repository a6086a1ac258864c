"""The standard library's `pdb` on debugop's `bdb`."""

from typing import Any

from debugop import _standard, bdb

module: Any = _standard.load("pdb", bdb=bdb)
