"""Real programs do the same under `debugop run`: output, exit status and the files they leave, while every step is reported.

The larger ones are in `programs/`; the others are what the standard library runs with `-m`, and programs of pyperformance,
which `make test` fetches from PyPI into `.venv/programs` (`tools/environments.py`).
"""

import dataclasses
import json
import random
import re
import sys
from pathlib import Path

import jsonschema
import pytest

HERE = Path(__file__).resolve().parent / "programs"
SCHEMA = json.loads((HERE.parents[2] / "docs" / "jsonl.schema.json").read_text())
PYPERFORMANCE = HERE.parents[2] / ".venv" / "programs"


@dataclasses.dataclass
class Program:
    """What is run; `steps` are the fewest that debugop must report of it, so that nothing is compared for free."""

    name: str
    command: list
    steps: int
    include: tuple = ()
    files: dict = dataclasses.field(default_factory=dict)
    stdin: bytes = b""
    # What differs from one plain run to the next.
    noise: str = r"(?!)"


PROGRAMS = []


def program(name, command, steps, *include, **others):
    PROGRAMS.append(Program(name, command, steps, include, **others))


def large_json():
    """A document of some four megabytes with every kind of JSON in it."""
    chance = random.Random(1)

    def value(depth):
        kind = chance.randrange(8 if depth else 5)
        if kind < 2:
            return [None, True, chance.random() * 10**6, -chance.randrange(10**20), 'é\u2028\\"\n'][chance.randrange(5)]
        if kind < 5:
            return "".join(chance.choices("abcdefghij ü", k=chance.randrange(20)))
        if kind == 5:
            return [value(depth - 1) for _ in range(chance.randrange(8))]
        return {f"key {n}": value(depth - 1) for n in range(chance.randrange(8))}

    return json.dumps([value(6) for _ in range(16000)]).encode()


JSON = {"large.json": large_json()}
SMALL = {
    "x.py": "import os\n\n\nclass A:\n    '''Says a.'''\n\n    def f(self, x, *y):\n        return [n async for n in x]\n"
}
PACKAGE = {f"pkg/{name}.py": f"x = '{name}'\nclass {name.title()}: pass\n" for name in ("__init__", "a", "b")}
SECONDS = r"(?<=in )[\d.]+s|[\d.]+ (?:[num]?sec)"


def own(name, *arguments, steps, include=(), **others):
    title = " ".join([name, *arguments])
    program(title, [str(HERE / f"{name}.py"), *arguments], steps, *include, **others)


# ------------------------------------------------------------------------------------------- programs of our own

own("ledger", "1500", steps=400_000)
own("ledger", "150", steps=60_000, include=("dataclasses", "re", "enum", "random", "functools"))
own("tasks", steps=3_000)
own("tasks", steps=40_000, include=("asyncio", "contextlib", "concurrent", "selectors"))
own("threads", steps=10_000)
own("threads", steps=40_000, include=("http", "socketserver", "urllib", "threading", "queue", "concurrent", "email"))
own("processes", steps=200)
own("processes", steps=5_000, include=("subprocess", "multiprocessing", "concurrent", "threading"))
own("library", steps=2_500)
own("library", steps=150_000, include=("*",))
own("library", "--help", steps=200, include=("argparse",))
own("library", "list", "--no-such", steps=200, include=("argparse",))
own("library", "--part", "mail", "--part", "markup", steps=20_000, include=("email", "xml", "html"))

# ------------------------------------------------------------------------------------------- what `python -m` runs

JSON_TOOL = ["-m", "json.tool", "--sort-keys", "--indent", "1", "large.json", "sorted.json"]
program("json.tool", JSON_TOOL, 200, files=JSON)
program("json.tool and json", JSON_TOOL, 500_000, "json", files=JSON)
program("json.tool, its input from stdin", ["-m", "json.tool", "--json-lines"], 200, stdin=b'{"a": [1]}\n"b"\n')
program("json.tool, bad input", ["-m", "json.tool"], 100, "json", stdin=b'{"a": [1,, ]}')
TIMEIT = ["-m", "timeit", "-n", "2000", "-r", "1", "-s", "x = list(range(9))", "sorted(x, key=lambda n: -n)"]
TIMES = r"[\d.]+ (?:nsec|usec|msec|sec)"
program("timeit", TIMEIT, 20, noise=TIMES)
program("timeit and what it times", TIMEIT, 72_000, "*", noise=TIMES)
program("timeit, an error", ["-m", "timeit", "-n", "3", "1/0"], 20, "timeit", noise=TIMES)
program("unittest", ["-m", "unittest", "-v"], 40, noise=SECONDS, files={"test_stack.py": HERE / "stack_suite.py"})
program(
    "unittest and its makers",
    ["-m", "unittest"],
    50_000,
    "*",
    noise=SECONDS,
    files={"test_stack.py": HERE / "stack_suite.py"},
)
program("compileall", ["-m", "compileall", "--invalidation-mode", "unchecked-hash", "pkg"], 50, "*", files=PACKAGE)
program("zipfile", ["-m", "zipfile", "-c", "made.zip", "pkg"], 50, "zipfile", "pathlib", files=PACKAGE)
program("zipfile, a list", ["-m", "zipfile", "-l", "no.zip"], 20, "zipfile", files=PACKAGE)
program("ast", ["-m", "ast", "-a", "x.py"], 1_000, "ast", files=SMALL)
program("tokenize", ["-m", "tokenize", "-e", "x.py"], 1_000, "tokenize", files=SMALL)
program("dis", ["-m", "dis", "x.py"], 2_000, "dis", files=SMALL)
program("calendar", ["-m", "calendar", "2024"], 10_000, "calendar", "datetime")
program("calendar as HTML", ["-m", "calendar", "-t", "html", "2023", "7"], 20, "calendar")
program("pydoc", ["-m", "pydoc", "json"], 30_000, "*", noise=r"(?<= at 0x)[0-9a-f]+")
program("pydoc of a file", ["-m", "pydoc", "./x.py"], 2_000, "pydoc", "inspect", files=SMALL)
program("this", ["-m", "this"], 20)
program("base64", ["-m", "base64", "-e", "x.py"], 20, "base64", files=SMALL)
program(
    "doctest", ["-m", "doctest", "-v", "x.py"], 2_000, "doctest", files={"x.py": "'''\n>>> 1 + 1\n2\n>>> 1/0\n2\n'''\n"}
)
program(
    "pickletools",
    ["-m", "pickletools", "x.pickle"],
    1_000,
    "pickletools",
    files={"x.pickle": b"\x80\x04]\x94(K\x01K\x02e."},
)
program("trace", ["-m", "trace", "--listfuncs", "x.py"], 200, "trace", files={"x.py": "def f(): return 1\nf()\n"})
program(
    "cProfile",
    ["-m", "cProfile", "-s", "stdname", "x.py"],
    50,
    "*",
    files={"x.py": "def f(n): return n and f(n - 1)\nf(9)\n"},
    noise=r"\d+\.\d{3}",
)
if sys.version_info >= (3, 12):
    program("sqlite3", ["-m", "sqlite3", ":memory:", "select 1 + 1, 'x'"], 20, "sqlite3")
program(
    "code", ["-m", "code", "-q"], 500, "code", "codeop", stdin=b"x = 6\nfor n in range(3):\n    print(n * x)\n\n1/0\n"
)
program("pdb", ["-m", "pdb", "x.py"], 500, "pdb", "bdb", "cmd", files=SMALL, stdin=b"n\nw\nn\np A\nq\n")


def noiseless(one, text):
    return re.sub(one.noise, "...", text)


def content(directory):
    """Every file that a program may have left."""
    paths = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    # An archive holds the times of its files.
    return {str(path.relative_to(directory)): path.read_bytes() if path.suffix != ".zip" else None for path in paths}


def run(programs, one, options=None):
    """Runs the program in a fresh directory, traced when there are options; what can be seen of it."""
    files = {name: source.read_bytes() if isinstance(source, Path) else source for name, source in one.files.items()}
    programs.write(files)
    environment = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    options = None if options is None else ["run", *(word for p in one.include for word in ("--include", p)), *options]
    command = one.command if options is None else ["-m", "debugop", *options, *one.command]
    done = programs.run(command, stdin=one.stdin, env=environment)
    return noiseless(one, done.stdout), noiseless(one, done.stderr), done.status, content(programs.directory)


def steps(report):
    """How many steps the summary of `--format none` counts."""
    found = re.fullmatch(r"([\d,]+) instructions, .*\n", report)
    assert found, report
    return int(found[1].replace(",", ""))


def assert_does_the_same(programs, one):
    plain = run(programs, one)
    traced = run(programs, one, ["--format", "none", "-o", str(programs.report)])
    assert traced == plain
    assert steps(programs.report.read_text()) >= one.steps


def title(one):
    return " + ".join([one.name, *one.include])


@pytest.mark.parametrize("one", PROGRAMS, ids=title)
def test_a_program_does_the_same(programs, one):
    assert_does_the_same(programs, one)


# ------------------------------------------------------------------------------------------- programs of pyperformance

# Their names, and the fewest steps that they take at the sizes of programs/benchmark.py.
BENCHMARKS = {"richards": 500_000, "deltablue": 50_000, "nbody": 100_000, "fannkuch": 100_000, "nqueens": 40_000}
BENCHMARKS |= {"spectral_norm": 20_000, "raytrace": 200_000, "generators": 50_000, "go": 100_000, "float": 50_000}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_program_of_pyperformance_does_the_same(programs, name):
    if not (PYPERFORMANCE / "pyperformance").exists():
        reason = PYPERFORMANCE / "failure"
        pytest.skip(reason.read_text() if reason.exists() else "`make test` has not fetched pyperformance")
    command = [str(HERE / "benchmark.py"), str(PYPERFORMANCE), name]
    assert_does_the_same(programs, Program(name, command, BENCHMARKS[name]))


# ------------------------------------------------------------------------------------------- other forms of the report

REPORTED = [
    Program("ledger", [str(HERE / "ledger.py"), "60"], 20_000),
    Program("tasks", [str(HERE / "tasks.py")], 3_000),
    Program("threads", [str(HERE / "threads.py")], 3_000),
    Program("library", [str(HERE / "library.py")], 10_000, ("csv", "email", "argparse", "html")),
    Program(
        "unittest",
        ["-m", "unittest"],
        5_000,
        ("unittest", "test_stack"),
        files={"test_stack.py": HERE / "stack_suite.py"},
        noise=SECONDS,
    ),
    Program("json.tool", ["-m", "json.tool"], 1_000, ("json",), stdin=b'[{"a": 1.5, "b": [null, true]}, "\\u00e9"]'),
]


@pytest.mark.parametrize("one", REPORTED, ids=title)
def test_its_jsonl_report_conforms_to_the_schema(programs, one):
    plain = run(programs, one)
    traced = run(programs, one, ["--format", "jsonl", "-o", str(programs.report)])
    assert traced == plain
    validator = jsonschema.Draft202012Validator(SCHEMA)
    seen, count = {}, 0
    with open(programs.report, encoding="utf-8") as report:
        for line in map(json.loads, report):
            # Validating every line would take minutes; three of each shape, and one in a thousand of all.
            count += line["kind"] == "step"
            shape = line["kind"], line.get("opname"), line.get("event"), line.get("frame_event")
            seen[shape] = seen.get(shape, 0) + 1
            if seen[shape] <= 3 or seen[shape] % 1000 == 0:
                validator.validate(line)
            assert line["kind"] != "step" or line["step"] == count
    assert line["kind"] == "summary"
    assert count >= one.steps


@pytest.mark.parametrize("one", REPORTED, ids=title)
def test_its_text_report_has_every_step(programs, one):
    plain = run(programs, one)
    traced = run(programs, one, ["--format", "text", "-o", str(programs.report)])
    assert traced == plain
    *lines, summary = programs.report.read_text(encoding="utf-8").splitlines()
    assert sum(re.match(r"[│ ]+ \d+  [A-Z_]+\b", line) is not None for line in lines) >= one.steps
    assert re.match(r"[\d,]+ instructions", summary.strip()), summary
