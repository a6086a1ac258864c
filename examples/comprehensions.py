"""Comprehensions build their result on the value stack.

Look at LIST_APPEND, SET_ADD and MAP_ADD: the collection lies below the iterator and grows from step to step. Up to 3.11 each
comprehension is a function with a box of its own; from 3.12 on only the generator expression is. It runs piece by
piece, each time that `sum` asks for an item.
"""

words = ["to", "be", "or", "not"]

lengths = [len(word) for word in words if word != "or"]
pairs = [(x, y) for x in range(2) for y in range(x)]
sizes = {len(word) for word in words}
table = {word: len(word) for word in words[:2]}
total = sum(len(word) for word in words[2:])

print(lengths, pairs, sizes, table, total)
