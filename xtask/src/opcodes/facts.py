"""Print, as JSON, what the running interpreter says about its own instruction set.

Read by `cargo xtask opcodes`. Standard library only; CPython 3.11-3.15.
"""

import dis
import json
import opcode
import sys

BITS = 21  # opargs are sampled up to 2**BITS: scale * oparg must stay within a C int


def optional(name):
    return getattr(opcode, name, None)


def is_real(name, number):
    """An instruction that occurs in co_code and may be executed there."""
    if number > 255 or name in ("CACHE", "RESERVED", "ENTER_EXECUTOR", "TRACE_RECORD"):
        return False
    return not name.startswith("INSTRUMENTED_")


def caches_of(name, number):
    entries = opcode._inline_cache_entries
    return entries[number] if isinstance(entries, list) else entries.get(name, 0)


def has_arg(number):
    # The list exists since 3.12; before, the numbers were ordered.
    hasarg = optional("hasarg")
    return number in hasarg if hasarg is not None else number >= opcode.HAVE_ARGUMENT


def samples():
    yield from range(1025)
    for bit in range(BITS):
        yield from (abs((1 << bit) + delta) for delta in (-1, 0, 1))


def fit(effect, name):
    """The base and the terms of `effect(oparg)`, proven over all samples.

    Most effects are a sum of bit fields of the oparg. A few (BUILD_SLICE) single out one value.
    """
    base = effect(0)
    slopes = [effect(1 << bit) - base for bit in range(BITS)]
    terms = []
    bit = 0
    while bit < BITS:
        scale = slopes[bit]
        if not scale:
            bit += 1
            continue
        start = bit
        while bit + 1 < BITS and slopes[bit + 1] == 2 * slopes[bit]:
            bit += 1
        bit += 1
        mask = (1 << 32) - 1 if bit == BITS else (1 << (bit - start)) - 1
        terms.append({"shift": start, "mask": mask, "scale": scale})

    def model(arg):
        total = base
        for term in terms:
            if "value" in term:
                total += term["scale"] if arg == term["value"] else 0
            else:
                total += ((arg >> term["shift"]) & term["mask"]) * term["scale"]
        return total

    odd = [arg for arg in sorted(set(samples())) if model(arg) != effect(arg)]
    if len(odd) > 4:
        sys.exit(f"the stack effect of {name} is of no known form: differs at {odd[:8]}...")
    for arg in odd:
        terms.append({"value": arg, "scale": effect(arg) - model(arg)})
    wrong = [arg for arg in samples() if model(arg) != effect(arg)]
    if wrong:
        sys.exit(f"the stack effect of {name} was fitted wrongly: differs at {wrong[:8]}")
    return {"base": base, "terms": terms}


def effects(name, number):
    if not has_arg(number):
        return [{"base": dis.stack_effect(number, None, jump=jump), "terms": []} for jump in (False, True)]
    return [fit(lambda arg: dis.stack_effect(number, arg, jump=jump), name) for jump in (False, True)]


def groups(number):
    lists = "hasconst hasname hasjrel hasjabs haslocal hasfree hascompare".split()
    return [group for group in lists if number in (optional(group) or ())]


def common_constant(value):
    return value.__name__ if isinstance(value, type) else repr(value)


def main():
    opcodes = [
        {
            "name": name,
            "number": number,
            "caches": caches_of(name, number),
            "has_arg": has_arg(number),
            "groups": groups(number),
            "effects": effects(name, number),
        }
        for name, number in sorted(opcode.opmap.items(), key=lambda item: item[1])
        if is_real(name, number)
    ]
    facts = {
        "version": "%d.%d.%d" % sys.version_info[:3],
        "minor": sys.version_info[1],
        "opcodes": opcodes,
        "compare_ops": opcode.cmp_op,
        "binary_ops": [symbol for _, symbol in opcode._nb_ops],
        "intrinsics_1": optional("_intrinsic_1_descs") or [],
        "intrinsics_2": optional("_intrinsic_2_descs") or [],
        "special_methods": optional("_special_method_names") or [],
        "common_constants": [common_constant(v) for v in optional("_common_constants") or []],
    }
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main()
