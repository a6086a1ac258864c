"""Conditions are jumps.

Look at the values that are compared and at where the jump leads: `and` and `or` leave the value that decided on the stack,
a chained comparison keeps a copy of its middle operand, and := is a COPY before a store. Operands that are not needed do not
appear at all.
"""


def classify(low, value, high, fallback=None):
    if low <= value < high:
        return "inside"
    if value is None or not value:
        return fallback or "nothing"
    return "above" if value >= high else "below"


def first_long(words):
    while words and (size := len(word := words.pop())) < 3:
        pass
    return size, word


print(classify(1, 2, 3), classify(1, 3, 3), classify(1, -1, 3), classify(1, 0, 3), classify(1, 0, 3, "zero"))
print(first_long(["abc", "ab", "a"]))
print(2 in [1, 2], 3 not in {1, 2}, None is not None)
