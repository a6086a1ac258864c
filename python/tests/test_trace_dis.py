"""Instructions are described as the interpreter's own `dis` describes them."""

import argparse
import ast
import asyncio
import base64
import collections
import contextlib
import copy
import dataclasses
import decimal
import dis
import functools
import inspect
import json
import re._parser
import statistics
import textwrap
import tokenize
import types
import typing

import debugop
import pytest

MODULES = [argparse, ast, asyncio.streams, asyncio.tasks, base64, collections, contextlib, copy, dataclasses, decimal]
MODULES += [functools, inspect, json.decoder, re._parser, statistics, textwrap, tokenize, typing]


def all_code(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from all_code(constant)


def seen_by_dis(code):
    return [one for one in dis.get_instructions(code) if one.opname != "EXTENDED_ARG"]


def described(one):
    return (one.offset, one.opcode, one.opname, one.arg, one.argval, one.argrepr, one.positions)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_instructions_are_described_as_dis_does(module):
    source = inspect.getsource(module)
    for code in all_code(compile(source, module.__file__, "exec", dont_inherit=True)):
        ours = [described(one) for one in debugop.instructions(code)]
        assert ours == [described(one) for one in seen_by_dis(code)]


def test_many_names_and_constants_need_extended_arguments():
    source = "\n".join(f"name_{n} = {n} + {n}.5" for n in range(700)) + "\nwhile name_1: print(name_699)"
    code = compile(source, "<many>", "exec")
    assert [described(one) for one in debugop.instructions(code)] == [described(one) for one in seen_by_dis(code)]
    assert max(one.arg or 0 for one in debugop.instructions(code)) > 255


class Loud:
    def __repr__(self):
        raise AssertionError("__repr__ was called")


class LoudInt(int):
    __repr__ = __str__ = Loud.__repr__


@pytest.mark.parametrize(
    "constant", [Loud(), LoudInt(3), (1, Loud()), frozenset({LoudInt(7)})], ids=["object", "int", "tuple", "frozenset"]
)
def test_a_foreign_constant_is_described_without_running_its_repr(constant):
    def function():
        return "replaced"

    code = function.__code__
    consts = tuple(constant if one == "replaced" else one for one in code.co_consts)
    loads = [one for one in debugop.instructions(code.replace(co_consts=consts)) if one.argval is constant]
    assert len(loads) == 1
    assert "Loud" in loads[0].argrepr


def test_an_int_too_long_for_repr_is_still_described():
    code = compile("x = 1", "<big>", "exec").replace(co_consts=(1 << 20000, None))
    shown = [one.argrepr for one in debugop.instructions(code) if one.opname == "LOAD_CONST"]
    assert shown
    assert all(len(text) < 100 for text in shown)


def test_instructions_of_the_same_code_are_equal():
    first, again = debugop.instructions(all_code), debugop.instructions(all_code.__code__)
    assert first == again
    assert len(set(first + again)) == len(first)
    assert first[0] != first[1]
    with pytest.raises(TypeError, match="function or a code object"):
        debugop.instructions("x = 1")
