"""How arguments travel: positional, by keyword, starred, with defaults.

Look at what lies on the stack before each call: KW_NAMES (3.11, 3.12) or CALL_KW (3.13+) name the last values; CALL_FUNCTION_EX takes a
tuple and a dict that LIST_EXTEND, LIST_TO_TUPLE and DICT_MERGE have put together. Defaults are evaluated once, when the
function is made.
"""


def order(dish, /, size="M", *extras, table, paid=False, **notes):
    return dish, size, extras, table, paid, notes


wishes = ["olives", "ham"]
details = {"paid": True, "oven": "hot"}

print(order("pizza", table=4))
print(order("pizza", "L", *wishes, table=4, **details))
print(order(*("soup", "S"), **{"table": 1, **details}))

try:
    order(dish="pizza", table=4)
except TypeError as error:
    print(error)
