"""Runs until it is killed: threads, generators, exceptions, C functions that call back, objects by the thousand. Says so after each round."""

import os
import random
import threading


class Node:
    __slots__ = ("left", "right", "value")

    def __init__(self, value, left=None, right=None):
        self.value, self.left, self.right = value, left, right

    def __iter__(self):
        if self.left is not None:
            yield from self.left
        yield self.value
        if self.right is not None:
            yield from self.right


def tree(values):
    if not values:
        return None
    middle = len(values) // 2
    return Node(values[middle], tree(values[:middle]), tree(values[middle + 1 :]))


def failing(number):
    if number % 3 == 0:
        raise ValueError(number)
    return [str(number)] * (number % 7)


def deep(number):
    return 1 + deep(number - 1) if number else 0


def one_round(chance):
    table, failed = {}, 0
    for number in range(40):
        try:
            table[number] = failing(number)
        except ValueError as error:
            table[error] = error.args
            failed += 1
    numbers = [chance.random() for _ in range(50)]
    ordered = sorted(numbers, key=lambda number: (round(number, 1), number))
    assert list(tree(ordered)) == ordered
    text = ",".join(map(str, range(100))) * 3
    return failed, deep(60), len(table), len(text), {number: {number} for number in ordered}


def work(chance):
    while True:
        one_round(chance)


for number in range(3):
    threading.Thread(target=work, args=(random.Random(number),), daemon=True).start()
own = random.Random(7)
os.write(1, b"ready\n")
while True:
    one_round(own)
    os.write(1, b".\n")
