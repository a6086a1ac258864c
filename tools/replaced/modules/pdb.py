"""In place of the standard library's `pdb`: that on debugop's `bdb`."""

import sys

if __name__ == "__main__":
    import pdb

    pdb.main()
else:
    from debugop import _console

    sys.modules[__name__] = _console.module
