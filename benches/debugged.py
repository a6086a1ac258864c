# ruff: noqa: D101, D103, RET504
"""The program of debugger.py: `python debugged.py N TURNS [running | LOOP]`. The lines of the breakpoints are found by their comments.

With "running" the loops are such as stop once and go on; they are timed part by part, and the fastest counts.
"""

import json
import os
import sys
from time import perf_counter

LIMIT = 0
PARTS = 50


class Box:
    def __init__(self):
        self.width = 0


class Slotted:
    __slots__ = ("width",)

    def __init__(self):
        self.width = 0


box, slotted, sizes, items = Box(), Slotted(), {"width": 0}, [0, 0]


def loop(n):
    began = perf_counter()  # in front of the loop
    total = 0
    for i in range(n):
        total += i  # in the loop
    took = perf_counter() - began
    return took  # after the loop


def leaf(i):
    return i + 1


def calls(n):
    began = perf_counter()  # in front of the loop of calls
    total = 0
    for i in range(n):
        total += leaf(i)  # in the loop of calls
    took = perf_counter() - began
    return took  # after the loop of calls


def running(n):
    part, best, began = n // PARTS, 1e9, perf_counter()
    total = 0
    for i in range(1, n + 1):
        total += i  # in the loop that goes on
        if not i % part:
            now = perf_counter()
            best, began = min(best, now - began), now
    return best * PARTS


def running_calls(n):
    part, best, began = n // PARTS, 1e9, perf_counter()
    total = 0
    for i in range(1, n + 1):
        total += leaf(i)  # in the loop of calls that goes on
        if not i % part:
            now = perf_counter()
            best, began = min(best, now - began), now
    return best * PARTS


def main():
    n, turns = int(sys.argv[1]), int(sys.argv[2])  # in front of the loops
    seconds = {"loop": [], "calls": []}
    if sys.argv[3:] == ["running"]:
        seconds, turns = {"loop": [running(n)], "calls": [running_calls(n)]}, 0
    for _ in range(turns):
        for function in (loop, calls):
            if sys.argv[3:] in ([], [function.__name__]):
                seconds[function.__name__].append(function(n))
    print("\nRESULT", json.dumps({name: min(times) / n for name, times in seconds.items() if times}), flush=True)
    if sys.argv[3:] in (["loop"], ["calls"]):
        # Only once: pdb would begin again.
        os._exit(0)


main()
