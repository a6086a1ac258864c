"""The compiled layouts of the interpreter's structs against the interpreter's own headers."""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest
from debugop import _core

# What declares each struct; the compiler says so if a field is not there.
SOURCE = """
#define Py_BUILD_CORE 1
#include "Python.h"
#include "internal/pycore_frame.h"
#include "internal/pycore_dict.h"
#if PY_VERSION_HEX >= 0x030E0000
#include "internal/pycore_interpframe.h"
#endif
#if PY_VERSION_HEX >= 0x030E0000
#include "internal/pycore_instruments.h"
#endif
#include "opcode.h"
#include <stddef.h>
#include <stdio.h>

int main(void) {
    printf("version=%d\\n", PY_VERSION_HEX);
FIELDS
    return 0;
}
"""


@pytest.fixture(scope="module")
def headers(tmp_path_factory):
    """`offsetof` of every field that the compiled layouts name, and the version of the headers, by the C compiler."""
    include = sysconfig.get_path("include")
    if not os.path.exists(os.path.join(include, "internal", "pycore_frame.h")):
        pytest.skip(f"this interpreter's internal headers are not installed in {include}")
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler: none of $CC, cc, gcc and clang is on PATH")
    folder = tmp_path_factory.mktemp("layout")
    fields = [name.partition(".")[::2] for name, _ in _core.layout_offsets()]
    lines = [f'    printf("{struct}.{field}=%zu\\n", offsetof({struct}, {field}));' for struct, field in fields]
    lines += [f'    printf("{name}=%d\\n", {name});' for name, _ in _core.layout_opcodes()]
    source = folder / "layout.c"
    source.write_text(SOURCE.replace("FIELDS", "\n".join(lines)))
    program = folder / "layout"
    command = [compiler, "-w", "-I", include, "-I", os.path.join(include, "internal"), "-o", program, source]
    subprocess.run(command, check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, _, value in (line.partition("=") for line in printed.splitlines())}


def test_the_headers_are_this_interpreters(headers):
    assert headers["version"] >> 16 == sys.hexversion >> 16


@pytest.mark.parametrize(("name", "offset"), _core.layout_offsets())
def test_every_field_is_where_the_headers_put_it(headers, name, offset):
    assert headers[name] == offset


@pytest.mark.parametrize(("name", "opcode"), _core.layout_opcodes())
def test_every_opcode_has_the_number_that_the_headers_give_it(headers, name, opcode):
    assert headers[name] == opcode


def test_every_struct_that_is_read_is_compared():
    structs = {name.partition(".")[0] for name, _ in _core.layout_offsets()}
    assert structs >= {"_PyInterpreterFrame", "PyCodeObject", "PyFrameObject", "PyFunctionObject", "PyThreadState"}
