"""The `debugop` command, also `python -m debugop`."""

import sys

from debugop._launch import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
