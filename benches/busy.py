"""Programs of pyperformance one after the other, as a recording of what people write: 10 million executed instructions for each unit of the argument.

Objects by the thousand, methods, closures and deep calls, where `long.py` is a few hot loops. PYTHONPATH=.venv/programs; debugop record --all -o busy.debugop
benches/busy.py 10
"""

import sys

import programs

UNIT = ("raytrace", "deltablue", "go", "go", "raytrace", "deltablue")


def work(units):
    """So many times all of them."""
    runs = {name: programs.PROGRAMS[name](programs.load(name)[0]) for name in sorted(set(UNIT))}
    for _ in range(units):
        for name in UNIT:
            runs[name]()
    return len(runs)


if __name__ == "__main__":
    print(work(int(sys.argv[1])))
