"""`debugop info` and `debugop pack`: what they say of a recording that `debugop record` has written."""

import json


def test_a_recording_is_described_packed_and_recovered(programs, tmp_path):
    programs.write({})
    recording = tmp_path / "run.debugop"
    ran = programs.debugop("record", "-o", str(recording), "-c", "print(sum(i * i for i in range(1000)))")
    assert ran.stdout == "332833500\n", ran.stderr

    text = programs.debugop("info", str(recording)).stdout
    assert str(recording) in text
    facts = json.loads(programs.debugop("info", "--json", str(recording)).stdout)
    assert facts["ending"] == "finished"
    assert facts["header"]["interpreter"]["implementation"] == "CPython"
    assert facts["size"] == recording.stat().st_size
    assert facts["stream"]["bytes"] > 1000
    shown = programs.debugop("show", "--format", "none", str(recording))
    assert (shown.stdout + shown.stderr).startswith(f"{facts['steps']:,} instructions, ")

    packed = tmp_path / "packed.debugop"
    programs.debugop("pack", str(recording), "-o", str(packed))
    quick = tmp_path / "quick.debugop"
    programs.debugop("pack", "--quick", str(recording), "-o", str(quick))
    packed_stream = b"\xf3chunk\r\n\x03\x06"
    assert packed_stream in packed.read_bytes()
    assert packed_stream not in quick.read_bytes()
    again = json.loads(programs.debugop("info", "--json", str(packed)).stdout)
    assert again["uuid"] == facts["uuid"]
    assert again["stream"]["bytes"] == facts["stream"]["bytes"]
    beside = tmp_path / "packed.debugop.index"
    hits = programs.debugop("query", "hits", str(packed), "<string>:1").stdout
    assert hits
    assert not beside.exists(), "the index is inside"
    assert programs.debugop("query", "hits", str(quick), "<string>:1").stdout == hits
    # Packed again it keeps it; the one beside the recording is not needed any more.
    programs.debugop("pack", str(recording))
    assert not (tmp_path / "run.debugop.index").exists()
    assert programs.debugop("query", "hits", str(recording), "<string>:1").stdout == hits
    assert not (tmp_path / "run.debugop.index").exists()

    cut = tmp_path / "cut.debugop"
    cut.write_bytes(recording.read_bytes()[:-70])
    for command in ("info", "pack"):
        refused = programs.debugop(command, str(cut))
        assert refused.status == 1
        assert "--recover OUT" in refused.stderr
    saved = tmp_path / "saved.debugop"
    programs.debugop("info", str(cut), "--recover", str(saved))
    found = json.loads(programs.debugop("info", "--json", str(saved)).stdout)
    assert found["summary"]["recovered"] is True
    assert found["codes"] == facts["codes"]


def test_recovering_overwrites_nothing_and_says_which_file_is_which(programs, tmp_path):
    programs.write({})
    recording, other = tmp_path / "run.debugop", tmp_path / "other.debugop"
    programs.debugop("record", "-o", str(recording), "-c", "x = 1")
    other.write_text("precious")
    which = "debugop info FILE --recover OUT reads the damaged FILE and writes OUT, a new file"
    there = programs.debugop("info", str(recording), "--recover", str(other))
    assert (there.status, there.stdout) == (1, "")
    assert there.stderr == f"debugop: {other}: exists already\n  {which}\n"
    assert other.read_text() == "precious"
    missing = programs.debugop("info", str(tmp_path / "missing"), "--recover", str(recording))
    assert missing.status == 1
    assert missing.stderr.startswith(f"debugop: {tmp_path / 'missing'}: No such file or directory")
    assert which in missing.stderr


def test_packing_says_why_a_file_is_larger(programs, tmp_path):
    programs.write({})
    recording = tmp_path / "run.debugop"
    programs.debugop("record", "-o", str(recording), "-c", "x = 1")
    before = recording.stat().st_size
    packed = programs.debugop("pack", str(recording))
    assert recording.stat().st_size > before
    assert packed.stdout.endswith(": larger, because the index of its steps is in it now\n")
    again = programs.debugop("pack", str(recording))
    assert "larger" not in again.stdout
    onto = programs.debugop("pack", str(recording), "-o", str(recording))
    assert onto.status == 1
    assert "cannot write to the file that is read: the new one needs a name of its own" in onto.stderr


def test_what_is_no_recording_is_refused(programs, tmp_path):
    programs.write({})
    text = tmp_path / "text"
    text.write_text("no recording")
    for command in ("info", "pack"):
        refused = programs.debugop(command, str(text))
        assert refused.status == 1
        assert "not a debugop recording" in refused.stderr
