"""The programs in `examples/`: what debugop reports of them, and whether CPython itself says the same.

`pytest --write-expected` writes the reports in `examples/expected` instead of comparing them; `make examples` does that for
every version. The comparison with CPython is made all the same.
"""

import ast
import json
import os
import platform
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from oracle import slots

ROOT = Path(__file__).resolve().parent.parent.parent
ORACLE = Path(__file__).resolve().parent / "oracle" / "watch.py"
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
# Programs that use debugop from Python.
INTERFACES = [
    f"{folder}/{path.stem}"
    for folder in ("api", "article")
    for path in sorted((ROOT / "examples" / folder).glob("*.py"))
]
EXPECTED = ROOT / "examples" / "expected" / "{}.{}".format(*sys.version_info)
# The interpreter that the expected reports were made with: another patch release may compile differently.
MADE_WITH = EXPECTED / "python-version"


def run(*command):
    """Runs `python COMMAND...` in the repository, with the order of sets fixed and nothing of a terminal's in it."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("COLUMNS", None)
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )


def traced(example, form, folder):
    """The report on an example, and the finished process."""
    output = folder / f"{example}.{form}"
    process = run("-m", "debugop", "run", "--format", form, "-o", output, f"examples/{example}.py")
    return output.read_text(), process


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("examples")


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_report_is_the_expected_one(example, folder, request):
    report, traced_run = traced(example, "text", folder)
    plain = run(f"examples/{example}.py")
    assert plain.returncode == 0, plain.stderr
    assert (traced_run.stdout, traced_run.stderr, traced_run.returncode) == (plain.stdout, plain.stderr, 0)

    # What differs from place to place and from run to run.
    report = report.replace(f"{ROOT}/", "")
    report = re.sub(r"\(ident \d+\)", "(ident ...)", report)
    # A message with the path of a module, cut somewhere in it.
    report = re.sub(r"(from 'shop' \()[^\")]*", r"\1...", report)
    report = re.sub(r"═══ thread \d+ ended\n", "", report)
    report = re.sub(r", [\d.]+ s$", "", report.rstrip("\n")) + "\n"
    assert_expected(example, report, request)


@pytest.mark.parametrize("example", INTERFACES)
def test_the_interface_prints_what_is_expected(example, request):
    done = run(f"examples/{example}.py")
    assert (done.returncode, done.stderr) == (0, "")
    # Addresses, and identities of frames.
    assert_expected(example, re.sub(r"0x[0-9a-f]+|\b\d{10,}\b", "...", done.stdout), request)


def assert_expected(example, text, request):
    expected = EXPECTED / f"{example}.txt"
    if request.config.getoption("--write-expected"):
        expected.parent.mkdir(parents=True, exist_ok=True)
        expected.write_text(text)
        MADE_WITH.write_text(platform.python_version() + "\n")
    elif text != expected.read_text():
        made_with = MADE_WITH.read_text().strip()
        if made_with != platform.python_version():
            pytest.skip(f"what is expected was made with {made_with}, which compiles or runs {example}.py otherwise")
        assert text == expected.read_text()


@pytest.mark.parametrize("example", EXAMPLES)
def test_settrace_tells_the_same_story(example, folder):
    """Every instruction, in order, with its stack: against `sys.settrace` with opcode events."""
    assert_same(
        by_thread(event for event in steps(example, folder) if event[1] == "step"),
        by_thread(oracle("settrace", example, folder)),
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
@pytest.mark.parametrize("example", EXAMPLES)
def test_monitoring_tells_the_same_story(example, folder):
    """Every instruction and all that happens to frames, in order: against `sys.monitoring`."""
    assert_same(by_thread(steps(example, folder)), by_thread(oracle("monitoring", example, folder)))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_docstring_says_what_to_look_at(example):
    text = (ROOT / "examples" / f"{example}.py").read_text()
    assert re.match(r'"""[^\n]+\n\n.*\bLook at\b.*"""\n', text, re.DOTALL)


def assert_same(ours, theirs):
    """Both: events by thread. Shows the first difference with what stands before it."""
    assert ours.keys() == theirs.keys()
    for thread in theirs:
        pairs = list(zip(ours[thread], theirs[thread], strict=False))
        for index, (one, other) in enumerate(pairs):
            assert one == other, "\n".join(["", *(str(pair[1]) for pair in pairs[max(0, index - 5) : index])])
        assert ours[thread][len(pairs) :] == theirs[thread][len(pairs) :]
        assert pairs


def by_thread(events):
    threads = {}
    for thread, *event in events:
        threads.setdefault(thread, []).append(event)
    return threads


def oracle(how, example, folder):
    """What CPython tells: see oracle/watch.py."""
    output = folder / f"{example}.{how}"
    process = run(ORACLE, how, output, f"examples/{example}.py")
    assert process.returncode == 0, process.stderr
    return json.loads(output.read_text())


@cache
def steps(example, folder):
    """What debugop tells, as the oracle says it."""
    report, process = traced(example, "jsonl", folder)
    assert process.returncode == 0, process.stderr
    return told_by(report, ROOT / "examples")


def told_by(report, folder):
    """The events of a jsonl report in the form of oracle/watch.py."""
    codes, threads, told = {}, {}, []
    prefix = os.path.join(os.path.realpath(folder), "")
    for line in map(json.loads, report.splitlines()):
        if line["kind"] == "code":
            codes[line["code"]] = line
        if line["kind"] != "step":
            continue
        code = codes[line["code"]]
        file = os.path.realpath(os.path.join(ROOT, code["filename"]))
        assert file.startswith(prefix), file
        name = f"{file.removeprefix(prefix)}:{code['first_line']}:{code['qualname']}"
        thread = threads.setdefault(line["thread"], len(threads))
        happens, offset = line.get("frame_event"), line["offset"]
        if happens in ("unwind", "handle"):
            told.append([thread, happens, name, offset, label(line["exception"])])
        elif happens in ("enter", "resume"):
            told.append([thread, happens, name, offset, None])
        if line["event"] == "instruction" and line["opname"] != "RESUME":
            told.append([thread, "step", name, offset, [label(value) for value in line["stack"]]])
        if happens in ("return", "yield"):
            value = constant(line["argrepr"]) if line["opname"] == "RETURN_CONST" else label(line["stack"][-1])
            told.append([thread, happens, name, offset, value])
    return told


def constant(argrepr):
    """The value that RETURN_CONST returns, from its description."""
    return slots.label(ast.literal_eval(argrepr))


# Kinds of values that have a name, and Python's name of their type.
NAMED = {"function": "function", "builtin": "builtin_function_or_method", "method": "method", "module": "module"}
NAMED |= {"Ellipsis": "ellipsis", "NotImplemented": "NotImplementedType"}


def label(value, deep=2):
    """What `oracle/slots.py` says of the value that docs/jsonl.md describes so."""
    if not isinstance(value, dict):
        return slots.label(value)
    kind = value["type"]
    if kind in ("NULL", "raw"):
        return [kind, value["value"]] if kind == "raw" else [kind]
    if kind in ("int", "float"):
        return slots.label({"int": int, "float": float}[kind](value["value"]))
    if kind == "str":
        return ["str", value["value"], value["length"]]
    if kind == "bytes":
        return slots.label(bytes.fromhex(value["hex"]))
    if kind in ("range", "slice"):
        return slots.label({"range": range, "slice": slice}[kind](*(value[part] for part in ("start", "stop", "step"))))
    if kind in ("list", "tuple", "set", "frozenset") and deep:
        items = [label(item, deep - 1) for item in value["items"]]
        return [kind, sorted(items, key=repr) if "set" in kind else items]
    if kind == "dict" and deep:
        return ["dict", [[label(key, deep - 1), label(item, deep - 1)] for key, item in value["pairs"]]]
    if kind == "class":
        return ["class", value["name"].rpartition(".")[2]]
    if kind in ("object", "exception"):
        return [value["class"].rpartition(".")[2]]
    return [NAMED.get(kind, kind)]
