"""Loops, calls, lists, dicts, attributes and exceptions: 1e6 executed instructions for each unit of the argument.

debugop record -o long.debugop benches/long.py 1000; DEBUGOP_RECORDING=$PWD/long.debugop cargo bench -p debugop-replay
"""

import sys


class Account:
    """Is bound all the time, but for its name."""

    def __init__(self, name):
        self.name = name
        self.total = 0
        self.seen = 0

    def add(self, amount):
        """Raise now and then."""
        if amount % 97 == 0:
            raise ValueError(amount)
        self.total += amount
        self.seen += 1
        return self.total


class Config:
    """Is bound once."""


RATE = 3
COUNT = 0


def inner(values, factor):
    """Loop and branch."""
    total = 0
    for value in values:
        total += value * factor
        if total > 10000:
            total -= 9973
    return total


def work(units):
    """Call, store and catch."""
    global COUNT
    config = Config()
    config.limit = 17
    config.table = {"a": 1}
    accounts = [Account(str(i)) for i in range(8)]
    table = {}
    table["first"] = 99
    values = list(range(50))
    for _unit in range(units):
        COUNT += 1
        for turn in range(1522):
            account = accounts[turn % 8]
            try:
                account.add(turn)
            except ValueError as error:
                table["error"] = error.args[0]
            table[turn % 16] = turn
            inner(values, turn % 7)
    return config, table, accounts


result = work(int(sys.argv[1]))
print(result[0].limit, len(result[1]))
