"""Objects that change, are made and dropped, and are in each other."""

import collections
import functools


class Node:
    __slots__ = ("key", "left", "right")

    def __init__(self, key):
        self.key = key
        self.left = None
        self.right = None


def insert(node, key):
    if node is None:
        return Node(key)
    if key < node.key:
        node.left = insert(node.left, key)
    else:
        node.right = insert(node.right, key)
    return node


def walk(node):
    if node:
        yield from walk(node.left)
        yield node.key
        yield from walk(node.right)


class Account:
    total = 0

    def __init__(self, owner, *amounts, **options):
        self.owner = owner
        self.amounts = list(amounts)
        self.options = options

    def add(self, amount):
        self.amounts.append(amount)
        self.amounts.sort(key=lambda one: -one)
        Account.total += amount
        return self

    @property
    def sum(self):
        return sum(self.amounts)


@functools.lru_cache(None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def look_alikes():
    seen = 0
    for number in range(300):
        first = [number]
        second = {"number": number, "text": str(number)}
        third = (number, [number])
        seen += len(first) + len(second) + len(third)
        del first
    return seen


def reused():
    found = []
    for (index, letter), pair in zip(enumerate("abcdefgh"), {1: 2, 3: 4, 5: 6, 7: 8, 9: 10}.items(), strict=False):
        found.append((index, letter, pair))
    for left, right in zip(range(300, 400), range(400, 500), strict=False):
        found[0] = left + right
    return found


def numbers():
    big = 1
    for number in range(1, 120):
        big *= number
    values = [big % 1000007, -big, 2**63, -(2**63), 2**64 - 1, 1.5, float("nan"), -0.0, (1 + 2j) ** 3]
    return [value == value for value in values]


def texts():
    text = ""
    for number in range(300):
        text += chr(65 + number % 60)
    counts = {}
    for letter in text:
        counts[letter] = counts.get(letter, 0) + 1
    odd = ["\ud800", "\U0001f600", "ä", "\0", b"\xff" * 3, bytearray(b"abc")]
    odd[5] += b"more"
    return len(counts), len(odd)


def main():
    root = None
    for number in range(120):
        root = insert(root, number * 7919 % 1009)
    print(sum(walk(root)))
    account = Account("me", 1, 2, rate=0.5)
    for amount in range(30):
        account.add(amount)
    print(account.sum, Account.total, fibonacci(40))
    print(look_alikes(), len(reused()), numbers(), texts())
    groups = collections.defaultdict(list)
    for number in range(60):
        groups[number % 7].append(number)
        groups[number % 3][0:1] = [1, 2]
    left, *middle, right = range(20)
    itself = [1]
    itself.append(itself)
    nested = {"a": {"b": [1, {"c": ()}]}}
    nested["a"]["b"][1]["c"] = itself
    print(len(groups), left, len(middle), right, len(itself), nested["a"]["b"][0])


main()
