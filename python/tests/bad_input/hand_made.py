"""Code objects that no compiler writes, and that CPython runs all the same. Each prints what it returned."""

import dis
import opcode
import sys
import types

import copies

CODE = copies.function.__code__
BYTES = copies.BYTES


def units(*pairs):
    """Bytecode with inline caches."""
    caches = getattr(opcode, "_inline_cache_entries", {})
    encoded = b""
    for name, argument in pairs:
        number = dis.opmap[name]
        count = caches[number] if isinstance(caches, list) else caches.get(name, 0)
        encoded += bytes([number, argument]) + bytes(2 * count)
    return encoded


def check(name, argument=1, **changes):
    function = types.FunctionType(CODE.replace(co_name=name, co_qualname=name, **changes), globals())
    print(name, function(argument))
    return function


branch = "POP_JUMP_FORWARD_IF_FALSE" if sys.version_info < (3, 12) else "POP_JUMP_IF_FALSE"
skipped = 1 if sys.version_info < (3, 14) else 2
taken = [("NOT_TAKEN", 0)] if sys.version_info >= (3, 14) else []
two_depths = units(
    ("RESUME", 0), ("LOAD_FAST", 0), (branch, skipped), *taken, ("LOAD_FAST", 0), ("LOAD_FAST", 0), ("RETURN_VALUE", 0)
)
no_lines = b"\x80\x00"  # one unit without a line is all that is covered

# The numbers from about 235 on are instrumented instructions, which CPython itself does not expect here (3.12+).
known = {*dis.opmap.values(), *getattr(opcode, "_specialized_opmap", {}).values()}
undefined = 250 if sys.version_info < (3, 12) else max(set(range(230)) - known)

check("undefined_opcode", co_code=BYTES + bytes([undefined, 0]))
check("zeros", co_code=BYTES + bytes(200))
check("jump_out", co_code=BYTES + bytes([dis.opmap["JUMP_FORWARD"], 200]))
check("underflow", co_code=BYTES + units(("POP_TOP", 0), ("POP_TOP", 0), ("RETURN_VALUE", 0)))
check("dangling_prefix", co_code=BYTES + bytes([dis.EXTENDED_ARG, 1]))
check("long_prefix", co_code=BYTES + bytes([dis.EXTENDED_ARG, 1] * 9 + [dis.opmap["LOAD_CONST"], 0]))
check("depths", 1, co_code=two_depths, co_linetable=bytes([0xF8 + 5 + len(taken)]), co_stacksize=9)
check("depths_too", 0, co_code=two_depths, co_linetable=bytes([0xF8 + 5 + len(taken)]), co_stacksize=9)
if "--tables" in sys.argv:
    for number, table in enumerate([b"\xff" * 9, b"\x80", bytes(range(64)), b"\xbf" + b"\x7f" * 8]):
        check(f"exceptions_{number}", co_exceptiontable=table)
    for number, table in enumerate([b"", b"\xff" * 5, bytes(3), b"\x80", no_lines]):
        check(f"lines_{number}", co_linetable=table)
check("deep_stack", co_stacksize=1 << 16)
check("large", co_code=BYTES + units(("NOP", 0)) * (1 << 19) + BYTES)

nested = CODE
for _ in range(5000):
    nested = nested.replace(co_consts=(None, nested))
print(types.FunctionType(nested, globals())(1))

outer = copies.outer.__code__
inner = next(constant for constant in outer.co_consts if isinstance(constant, types.CodeType))
broken = inner.replace(co_linetable=b"", co_qualname="broken_inner", co_name="broken_inner")
consts = tuple(broken if constant == inner else constant for constant in outer.co_consts)
print(types.FunctionType(outer.replace(co_consts=consts), globals())(3)(4))
