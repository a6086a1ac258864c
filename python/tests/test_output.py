"""What the program writes is told of at the instruction that writes it, byte for byte as a pipe receives it."""

import collections
import json
import os
import subprocess
import sys
import textwrap

import pytest

BEGIN = """
import array, io, json, logging, os, pprint, sys, threading, traceback, warnings
from debugop import _core
written = _core.Written()
log = []
def step():
    "What has been written since the last step."
    told = [(stream, text.decode("latin-1")) for stream, text in written.take()]
    log.append(told)
    return told
out, err = sys.stdout, sys.stderr
# With -u there is nothing between.
raw = getattr(out.buffer, "raw", out.buffer)
"""
END = """
for stream in (sys.__stdout__, sys.__stderr__):
    stream.flush()
step()
written.stop()
print("not any more", flush=True)
with open(sys.argv[1], "w") as file:
    json.dump(log, file)
"""


def run(body, tmp_path, *flags, merged=True, stdin=b"", **environment):
    """What was told, step by step, and what the pipe received (two pipes, if not `merged`)."""
    program, log = tmp_path / "program.py", tmp_path / "log"
    program.write_text(BEGIN + textwrap.dedent(body) + END)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | environment
    done = subprocess.run(
        [sys.executable, *flags, str(program), str(log)],
        env=environment,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        timeout=60,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    told = [[(stream, text.encode("latin-1")) for stream, text in step] for step in json.loads(log.read_text())]
    last = "not any more\n"
    received = done.stdout
    for encoding in ("utf-8", "utf-16", "utf-16-le"):
        if received.endswith(last.encode(encoding)):
            received = received[: -len(last.encode(encoding))]
            break
    return told, received, done.stderr


def joined(told, *streams):
    return b"".join(text for step in told for stream, text in step if not streams or stream in streams)


WAYS = """
print("print", 1, 2.5, None)
print("print", "to", "error", file=sys.stderr, sep="-", end="!")
out.write("write\\n")
out.writelines(["write", "lines\\n"])
out.write(type("Text", (str,), {})("of a subclass"))
out.write("")
out.write("\\u20ac \\U0001f40d \\xe9\\n")
out.buffer.write(b"buffer\\n")
out.buffer.write(bytearray(b"bytearray"))
out.buffer.write(memoryview(b"memoryview")[2:])
out.buffer.write(array.array("b", b"array"))
out.buffer.writelines([b"buffer", b"lines\\n"])
raw.write(b"raw\\n")
raw.writelines([b"raw", b"lines"])
os.write(1, b"os.write 1")
os.write(2, bytearray(b"os.write 2"))
os.write(sys.stdout.fileno(), memoryview(b"os.write 3"))
os.writev(1, [b"os.", bytearray(b"writev"), b""])
os.writev(2, (b"os.", b"writev"))
map_ = list(map(out.buffer.write, [b"1", b"2"]))
print(*range(5), sep="", file=open(1, "w", closefd=False))
open(2, "wb", closefd=False).write(b"open")
open(1, "wb", buffering=0, closefd=False).write(b"unbuffered")
os.fdopen(1, "w", closefd=False, encoding="latin-1").write("\\xe9")
os.fdopen(1, "w", closefd=False, encoding="utf-16").write("utf-16")
os.fdopen(1, "w", closefd=False, encoding="utf-8-sig").write("signature")
os.fdopen(1, "w", closefd=False, newline="\\r\\n").write("a\\nb\\n")
os.fdopen(1, "w", closefd=False, encoding="ascii", errors="backslashreplace").write("\\u20ac\\n")
os.fdopen(1, "w", closefd=False, encoding="ascii", errors="namereplace").write("\\u20ac\\n")
os.fdopen(1, "w", closefd=False, errors="surrogateescape").write("\\udcff\\n")
warnings.warn("warned")
logging.warning("logged")
pprint.pprint({"a": [1, 2]})
sys.displayhook([1])
sys.stderr.write("error\\n")
sys.stderr.buffer.write(b"error")
try:
    1 / 0
except ZeroDivisionError:
    traceback.print_exc()
    sys.excepthook(*sys.exc_info())
out.buffer.write(b"x" * 300_000)
out.write("y" * 300_000)
out.write("\\n".join(["line"] * 3000))
input("prompt: ")
class Upper(io.TextIOWrapper):
    def write(self, text):
        return super().write(text.upper())
Upper(open(1, "wb", closefd=False)).write("of a subclass")
class Counted(io.FileIO):
    def fileno(self):
        raise OSError
io.BufferedWriter(Counted(1, "w", closefd=False)).write(b"raw of a subclass")
try:
    out.write("\\udcff")
except UnicodeEncodeError:
    pass
try:
    os.write(1)
except TypeError:
    pass
try:
    out.buffer.write("text")
except TypeError:
    pass
try:
    out.write(b"bytes")
except TypeError:
    pass
"""


def each_way():
    """Each statement of `WAYS`, and after it everything is flushed, so that the order of the pipe is that of the program."""
    lines = WAYS.strip().splitlines()
    block = []
    for line in [*lines, None]:
        if block and (line is None or not line.startswith((" ", "except"))):
            yield "\n".join(block)
            block = []
        block.append(line)


@pytest.mark.parametrize("flags", [[], ["-u"], ["-X", "dev"], ["-X", "utf8=0"]], ids="-".join)
def test_every_way(tmp_path, flags):
    body = "\n".join(f"{way}\nout.flush(); err.flush()\nstep()" for way in each_way())
    told, received, _ = run(body, tmp_path, *flags, stdin=b"line\n", PYTHONIOENCODING="utf-8")
    assert joined(told) == received
    ways = list(each_way())
    silent = [way for way, step in zip(ways, told, strict=False) if not joined([step])]
    # What writes nothing: an empty string, a definition, and the four errors.
    assert [way.split("(")[0].split("\n")[0] for way in silent] == ["out.write", "class Upper", "class Counted"] + [
        "try:"
    ] * 4


def test_the_step_is_the_write_and_not_the_flush(tmp_path):
    body = """
    print("a", end=""); step()
    out.write("b\\n"); step()
    out.buffer.write(b"c"); step()
    print("d", "e"); step()
    print("f", file=err); step()
    out.flush(); step()
    out.flush(); step()
    out.buffer.write(b"g"); step()
    out.buffer.flush(); step()
    out.buffer.raw.write(b"h"); step()
    os.write(1, b"i"); step()
    out.writelines(["j", "k"]); step()
    """
    told, *_ = run(body, tmp_path, merged=False)
    assert told == [
        [(1, b"a")],
        [(1, b"b\n")],
        [(1, b"c")],
        [(1, b"d"), (1, b" "), (1, b"e"), (1, b"\n")],
        [(2, b"f"), (2, b"\n")],
        [],
        [],
        [(1, b"g")],
        [],
        [(1, b"h")],
        [(1, b"i")],
        [(1, b"j"), (1, b"k")],
        [],
    ]


def test_what_is_no_output(tmp_path):
    body = """
    import contextlib, tempfile
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        print("a")
        print("b", file=sys.stderr)
        sys.stdout.write("c")
    with tempfile.TemporaryFile("w+") as file:
        print("d", file=file)
        file.buffer.write(b"e")
        os.write(file.fileno(), b"f")
        print("g", file=file, flush=True)
    io.BytesIO().write(b"h")
    io.TextIOWrapper(io.BytesIO()).write("i")
    io.BufferedWriter(io.BytesIO()).write(b"j")
    closed = open(1, "w", closefd=False)
    closed.close()
    for write in (closed.write, closed.buffer.write, closed.buffer.raw.write):
        try:
            write("k" if write == closed.write else b"k")
        except ValueError:
            pass
    one, two = os.pipe()
    os.write(two, b"l")
    os.writev(two, [b"m"])
    detached = open(1, "w", closefd=False)
    detached.detach()
    try:
        detached.write("n")
    except ValueError:
        pass
    step()
    """
    told, received, _ = run(body, tmp_path)
    assert joined(told) == received == b""


def test_another_stdout(tmp_path):
    """`sys.stdout` may be another wrapper of the same descriptor."""
    body = """
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1", line_buffering=True)
    print("\\xe9"); step()
    sys.stdout.reconfigure(newline="\\r\\n")
    print("a"); sys.stdout.flush(); step()
    sys.stdout.reconfigure(newline="\\n", encoding="utf-8", write_through=True)
    print("\\xe9"); sys.stdout.flush(); step()
    sys.stdout.detach()
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)
    """
    told, received, _ = run(body, tmp_path)
    assert joined(told) == received == b"\xe9\na\r\n\xc3\xa9\n"
    assert [joined([step]) for step in told[:3]] == [b"\xe9\n", b"a\r\n", b"\xc3\xa9\n"]


def test_what_was_in_the_buffers_before(tmp_path):
    body = """
    written.stop()
    print("old text")
    out.buffer.write(b"old bytes ")
    print("older")
    written = _core.Written()
    print("new"); step()
    out.flush(); step()
    """
    told, received, _ = run(body, tmp_path)
    assert told[0] == [(1, b"new"), (1, b"\n")]
    assert sorted(joined(told).split()) == sorted(received.split())
    assert joined(told[:1]) + joined(told[1:]) != b""


@pytest.mark.parametrize("seed", range(8))
def test_any_mixture(tmp_path, seed):
    """Text, bytes and raw writes, in any order and of any length; upper buffers are emptied before one writes below them."""
    body = f"""
    import random
    generator = random.Random({seed})
    for turn in range(2000):
        size = generator.choice((0, 1, 5, 50, 500, 5000, 20000))
        text = f"{{turn}}:" + "\\u20ac" * (size // 3)
        way = generator.randrange(6)
        if way == 0:
            print(text)
        elif way == 1:
            out.write(text)
        elif way == 2:
            out.buffer.write(text.encode()) if generator.random() < .5 and not out.flush() else None
        elif way == 3:
            out.flush()
            out.buffer.raw.write(text.encode())
        elif way == 4:
            out.flush()
            os.write(1, text.encode())
        else:
            out.flush()
        if turn % 100 == 0:
            step()
    """
    told, received, _ = run(body, tmp_path, merged=False)
    assert joined(told, 1) == received
    assert len(received) > 100_000


def test_threads(tmp_path):
    """Each write is told of once and whole, whatever the order in which threads get to the buffer."""
    body = """
    import contextlib
    # Before 3.13 threads make CPython lose text (gh-119506).
    lock = threading.Lock() if sys.version_info < (3, 13) else contextlib.nullcontext()
    def work(name):
        for turn in range(300):
            with lock:
                out.write(f"{name}:{turn}:" + "x" * (turn * 37 % 4000) + "\\n")
                if turn % 7 == 0:
                    out.flush()
    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    out.flush()
    step()
    """
    told, received, _ = run(body, tmp_path, merged=False)
    lines, expected = collections.Counter(joined(told, 1).splitlines()), collections.Counter(received.splitlines())
    # Not the lines, of which there are many.
    assert [(line[:6], count) for line, count in (lines - expected).items()] == []
    assert [(line[:6], count) for line, count in (expected - lines).items()] == []
    assert len(lines) == 1200


def test_partial_writes(tmp_path):
    """A descriptor that does not block takes what it can: what was taken is told of."""
    body = """
    one, two = os.pipe()
    saved = os.dup(1)
    os.dup2(two, 1)
    os.set_blocking(1, False)
    raw = open(1, "wb", buffering=0, closefd=False)
    count = raw.write(b"x" * 1_000_000)
    told = step()
    none = raw.write(b"y")
    assert step() == [] and none is None
    os.dup2(saved, 1)
    assert 0 < count < 1_000_000 and told == [(1, "x" * count)], count
    """
    told, received, _ = run(body, tmp_path)
    assert received == b""
    assert joined(told)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork(tmp_path):
    body = """
    out.write("buffered\\n")
    child = os.fork()
    if not child:
        out.write("child\\n"); told = step()
        out.flush(); told += step()
        os._exit(0 if told[1:] == [(1, "child\\n")] else 1)
    assert os.waitpid(child, 0)[1] == 0
    out.flush()
    """
    told, received, _ = run(body, tmp_path)
    assert received == b"buffered\nchild\nbuffered\n"
    assert joined(told) == b"buffered\n"


def test_sub_interpreters(tmp_path):
    body = """
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    one = interpreters.create()
    interpreters.run_string(one, "import sys, os; print('there', flush=True); os.write(1, b'there')")
    interpreters.destroy(one)
    print("here", flush=True)
    """
    told, received, _ = run(body, tmp_path)
    assert received == b"there\ntherehere\n"
    assert joined(told) == b"here\n"


def test_writes_behave_as_before(tmp_path):
    """Results and errors of the functions are CPython's."""
    body = """
    told = []
    def attempt(function, *args, **named):
        try:
            told.append(repr(function(*args, **named)))
        except Exception as error:
            told.append(f"{type(error).__name__}: {error}")
    def everything():
        for stream in (out, out.buffer, out.buffer.raw):
            for args in ([], [""], [b""], [b"1"], ["1"], [1], [None], [b"1", b"2"]):
                attempt(stream.write, *args)
            attempt(stream.write, text="1")
            attempt(stream.write, b=b"1")
            attempt(type(stream).write)
            attempt(type(stream).write, 1, 2)
        for args in ([], [1], [1, b"1"], [1, "1"], [1, [b"1"]], [10**30, b""], [-1, b""], [1, b"1", 2], [True, b"1"]):
            attempt(os.write, *args)
            attempt(os.writev, *args)
        attempt(os.write, fd=1, data=b"")
    everything()
    watched, told = told, []
    written.stop()
    everything()
    assert told == watched, [pair for pair in zip(told, watched) if pair[0] != pair[1]]
    assert len(told) > 40
    """
    run(body, tmp_path, merged=False)
