"""Generators in generators, and calls in calls, that go on for longer than a chunk of a recording."""


class Tree:
    def __init__(self, left, value, right):
        self.left = left
        self.value = value
        self.right = right

    def __iter__(self):
        if self.left:
            yield from self.left
        yield self.value
        if self.right:
            yield from self.right


def tree(values):
    if not values:
        return None
    middle = len(values) // 2
    return Tree(tree(values[:middle]), values[middle], tree(values[middle + 1 :]))


def deep(n, texts):
    try:
        texts.append(str(n) * 20)
        return deep(n - 1, texts) + len(texts[-1]) if n else 0
    finally:
        del texts[-1]


total = 0
for value in tree(range(3000)):
    total += value
print(total, sum(deep(n, []) for n in range(120)))
