"""What docs/recording-format.md says is what is in the file: a reader written from it reads the stream, and packed chunks to the same records."""

import importlib.util
import pathlib
import struct
import subprocess
import sys

import format_packed
import format_reader
import pytest
from debugop import _core

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
needs_zstandard = pytest.mark.skipif(
    importlib.util.find_spec("compression.zstd") is None if sys.version_info >= (3, 14) else True,
    reason="chunks are Zstandard frames, which Python reads from 3.14 on; the file is the same on every version",
)


def command(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "debugop", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def contents(path):
    """Contents of the chunks of code, and of the stream with how they are stored."""
    from compression import zstd

    codes, stream = [], []
    for kind, compression, raw, stored in format_reader.chunks(path):
        if kind in (2, 3):
            assert compression in (0, 2, 5, 6), compression
            if compression == 2:
                stored = zstd.decompress(stored)
                assert len(stored) == raw
            if compression == 5:
                stored = format_reader.planes(stored, raw, zstd.decompress)
            (codes if kind == 2 else stream).append((compression, stored))
    return [code for _, code in codes], stream


def ordered(objects):
    """By id: what lies inside of what is written in one place is listed in any order."""
    return sorted(objects, key=lambda found: found[0])


VALUES = {
    "none": format_reader.NONE,
    "ellipsis": format_reader.ELLIPSIS,
    "not implemented": format_reader.NOT_IMPLEMENTED,
}
NUMBERS = {"bool": bool}


@needs_zstandard
@pytest.mark.parametrize("name", ["classes", "exceptions", "generators", "threads", "unpacking"])
def test_packed_chunks_are_read_to_the_same_records(name, tmp_path):
    command("record", "-o", "run.debugop", EXAMPLES / f"{name}.py", cwd=tmp_path)
    command("pack", "run.debugop", "-o", "packed.debugop", cwd=tmp_path)
    codes, stream = contents(tmp_path / "run.debugop")
    counts = format_reader.captures(codes)
    _, packed = contents(tmp_path / "packed.debugop")
    assert [compression for compression, _ in packed] == [6] * len(stream)
    stored = _core.recorded_stores(str(tmp_path / "run.debugop"))
    written = 0
    for (_, before), (_, after), known in zip(stream, packed, stored, strict=True):
        one = format_reader.Stream(before, counts)
        stores = {record: [] for record, *_ in known}
        for record, owner, *value in known:
            stores[record].append((owner, VALUES.get(value[0]) or (value[0], NUMBERS.get(value[0], int)(value[1]))))
        other = format_packed.Packed(
            after, counts, lambda record, index, one=one: one.records[record][4][index], stores
        )
        assert one.keyframe[:5] == other.keyframe[:5]
        assert ordered(one.keyframe[5]) == ordered(other.keyframe[5])
        for index, (expected, found) in enumerate(zip(one.records, other.records, strict=True)):
            assert expected[:3] == found[:3], index
            assert ordered(expected[3]) == ordered(found[3]), index
            assert expected[4] == found[4], index
        written += sum(len(record[4]) for record in one.records)
    assert written > 50


FLOATS = """
x = 0.5
for _ in range(2000):
    x = 3.9 * x * (1.0 - x)
"""


@needs_zstandard
def test_planes_are_read_to_what_is_shown(tmp_path):
    (tmp_path / "program.py").write_text(FLOATS)
    command("record", "-o", "run.debugop", "program.py", cwd=tmp_path)
    codes, stream = contents(tmp_path / "run.debugop")
    assert 5 in [compression for compression, _ in stream]
    counts = format_reader.captures(codes)
    found = {value for _, one in stream for record in format_reader.Stream(one, counts).records for value in record[4]}
    x = 0.5
    for _ in range(2000):
        assert ("float", *struct.unpack("<Q", struct.pack("<d", x))) in found
        x = 3.9 * x * (1.0 - x)
