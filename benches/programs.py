"""Ten programs of pyperformance, each at a size of some two million instructions (richards has none: ten million).

The programs are read from the installed package `pyperformance` when a benchmark runs; nothing of them is kept here.
"""

import importlib.util
import sys
import time
import types
from pathlib import Path

# What each program does once, given its module. The sizes are smaller than pyperformance's own, because the slowest
# tracers compared here take 100 times as long.
PROGRAMS = {
    "richards": lambda module: lambda: module.Richards().run(1),
    "deltablue": lambda module: lambda: module.delta_blue(250),
    "nbody": lambda module: lambda: module.bench_nbody(1, "sun", 1500),
    "fannkuch": lambda module: lambda: [module.fannkuch(7) for _ in range(3)],
    "nqueens": lambda module: lambda: module.bench_n_queens(7),
    "spectral_norm": lambda module: sized(module, lambda: module.bench_spectral_norm(1), DEFAULT_N=40),
    "raytrace": lambda module: lambda: module.bench_raytrace(1, 20, 20, None),
    "generators": lambda module: generators(module),
    "go": lambda module: sized(module, module.versus_cpu, GAMES=10),
    "float": lambda module: lambda: module.benchmark(8000),
}


def sized(module, run, **constants):
    """`run`, after setting constants of the module that hold its size."""
    for name, value in constants.items():
        if not hasattr(module, name):
            raise LookupError(f"{module.__name__} has no constant {name}: another pyperformance?")
        setattr(module, name, value)
    return run


def generators(module):
    """One walk over a tree of 25,000 nodes; pyperformance's own entry point has no size."""
    tree = module.tree(range(25000))

    def walk():
        for _ in tree:
            pass

    return walk


def path(name):
    """Where pyperformance keeps the program."""
    package = importlib.util.find_spec("pyperformance")
    if package is None or not package.submodule_search_locations:
        raise LookupError("pyperformance is not installed in this environment")
    return Path(package.submodule_search_locations[0], "data-files", "benchmarks", "bm_" + name, "run_benchmark.py")


def load(name, probe=None):
    """The program's module, after running its body, and the code object of that body.

    `probe(code, module_name)` may give another code object to run in its place.
    """
    # pyperf is the harness that the programs hand themselves to as scripts; as modules they only use its clock.
    harness = types.SimpleNamespace(perf_counter=time.perf_counter, Runner=None)
    sys.modules.setdefault("pyperf", harness)
    source = path(name)
    code = compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
    module = types.ModuleType("bm_" + name)
    module.__file__ = str(source)
    sys.modules[module.__name__] = module
    exec(probe(code, module.__name__) if probe else code, vars(module))
    return module, code
