"""In place of the standard library's `bdb`: debugop's."""

import sys

import debugop.bdb

sys.modules[__name__] = debugop.bdb
