"""Importing runs a module, once.

Look at IMPORT_NAME: the body of `shop/__init__.py` runs inside of it, and that imports `shop.prices` in turn. The second import of the same module
runs nothing. IMPORT_FROM takes a name out of the module that stays on the stack; of `import shop.prices` the outer package
remains. The import system itself is Python code too, but it belongs to the standard library and is not followed.
"""

import shop.prices
import shop.prices as prices
from shop import VAT, total
from shop.prices import *

print(total(["tea", "milk"]), VAT, cheapest(), prices is shop.prices)

try:
    import shop.cellar
except ModuleNotFoundError as error:
    print(error)

try:
    from shop import cellar
except ImportError as error:
    print(error.name)
