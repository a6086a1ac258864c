# ruff: noqa: D101, D103, RET504
"""The program of debugger.py: `python debugged.py N TURNS [LOOP]`. The lines of the breakpoints are found by their comments."""

import json
import os
import sys
from time import perf_counter

LIMIT = 0


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


def main():
    n, turns = int(sys.argv[1]), int(sys.argv[2])  # in front of the loops
    seconds = {"loop": [], "calls": []}
    for _ in range(turns):
        for function in (loop, calls):
            if function.__name__ in sys.argv[3:] or not sys.argv[3:]:
                seconds[function.__name__].append(function(n))
    print("\nRESULT", json.dumps({name: min(times) / n for name, times in seconds.items() if times}), flush=True)
    if sys.argv[3:]:
        # Only once: pdb would begin again.
        os._exit(0)


main()
