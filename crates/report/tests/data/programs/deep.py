def down(n):
    return n and down(n - 1)


down(12)
print("many", *range(30), "values", ["on", "the"], {"one": "stack"}, end="." * 60)
print([0, 1, [2, 3]], {"key": (4, 5)}, "six", 7.5, 8, True, None, ..., "n" * 9, "o" * 50)
