"""Runs one program of pyperformance, small, and prints what it computes: `benchmark.py DIRECTORY NAME`.

The programs are read from the package `pyperformance` in DIRECTORY; see `benches/programs.py`.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

directory, name = sys.argv[1:]
sys.path += [directory, str(Path(__file__).parents[3] / "benches")]
import programs  # noqa: E402


def nbody(module):
    module.bench_nbody(1, "sun", 400)
    return module.report_energy(), module.BODIES["jupiter"]


def raytrace(module):
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image.ppm")
        module.bench_raytrace(1, 14, 14, str(image))
        return hashlib.sha256(image.read_bytes()).hexdigest()


def go(module):
    module.random.seed(1)
    module.GAMES = 4
    board = module.Board()
    return module.computer_move(board), module.versus_cpu()


def generators(module):
    return sum(module.tree(range(3000)))


def benchmark_float(module):
    highest = module.benchmark(1500)
    return highest.x, highest.y, highest.z


def spectral_norm(module):
    return module.eval_AtA_times_u([1.0] * 20)


RUN = {
    "richards": lambda module: module.Richards().run(1),
    "deltablue": lambda module: module.delta_blue(50),
    "nbody": nbody,
    "fannkuch": lambda module: module.fannkuch(6),
    "nqueens": lambda module: list(module.n_queens(6)),
    "spectral_norm": spectral_norm,
    "raytrace": raytrace,
    "generators": generators,
    "go": go,
    "float": benchmark_float,
}

if __name__ == "__main__":
    print(RUN[name](programs.load(name)[0]))
