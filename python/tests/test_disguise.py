"""What a program sees of itself while it is traced: the code that it has made."""

import dis
import gc
import inspect
import sys
import traceback
import types

import debugop
import pytest
from oracle.running import running_code


def function(x):
    y = x + 1
    return [y, sys._getframe().f_code, sys._getframe().f_lasti]


def generator():
    yield 1
    yield 2


async def coroutine():
    return 1


async def asynchronous_generator():
    yield 1


def fails(x):
    if x:
        return fails(x - 1)
    raise ValueError("from the deep")


def both(run):
    """What `run` returns without and with a trace of everything here."""
    plain = run()
    debugop.start()
    try:
        return plain, run()
    finally:
        debugop.stop()


def test_a_function_and_its_frame():
    code = function.__code__
    plain, traced = both(lambda: function(1))
    assert traced == plain
    assert traced[1] is code
    with debugop.trace(function):
        assert running_code(function) is not code
        assert function.__code__ is code
        assert types.FunctionType(function.__code__, globals())(1) == plain
        assert dis.Bytecode(function).dis() == dis.Bytecode(code).dis()


def test_generators_and_coroutines():
    with debugop.start():
        made = generator()
        assert made.gi_code is generator.__code__
        places = [made.gi_frame.f_lasti]
        for _ in made:
            places.append(made.gi_frame.f_lasti)
        awaitable = coroutine()
        assert awaitable.cr_code is coroutine.__code__
        awaitable.close()
        assert asynchronous_generator().ag_code is asynchronous_generator.__code__
        assert inspect.getgeneratorlocals(generator()) == {}
    debugop.stop()
    made = generator()
    assert places == [made.gi_frame.f_lasti, *(made.gi_frame.f_lasti for _ in made)]


def test_frames_and_generators_are_as_large():
    async def together(x):
        return await coroutine() + x

    def run():
        made = [generator(), coroutine(), asynchronous_generator(), together(1)]
        frames = [function.__globals__["sys"]._getframe(), made[0].gi_frame, made[1].cr_frame, made[2].ag_frame]
        sizes = [(sys.getsizeof(one), one.__sizeof__(), type(one).__sizeof__(one)) for one in made + frames]
        made[1].close(), made[3].close()
        return sizes

    plain, traced = both(run)
    assert traced == plain


def test_the_garbage_collector_finds_who_runs_code():
    def run():
        code = function.__code__
        found = gc.get_referrers(code)
        made = generator()
        next(made)
        return [
            [one for one in found if isinstance(one, types.FunctionType)] == [function],
            [one for one in gc.get_referrers(code, generator.__code__) if one in (function, generator)],
            any(one is made for one in gc.get_referrers(generator.__code__)),
            gc.get_referrers(),
        ]

    plain, traced = both(run)
    assert traced == plain
    assert plain[0]
    assert len(plain[1]) == 2


def test_tracebacks_point_at_the_same_places():
    def run():
        try:
            fails(2)
        except ValueError as error:
            entries = []
            entry = error.__traceback__.tb_next
            while entry is not None:
                entries.append((entry.tb_lasti, entry.tb_lineno, entry.tb_frame.f_code))
                entry = entry.tb_next
            return entries, "".join(traceback.format_exception(error)).split("fails(2)")[1]

    plain, traced = both(run)
    assert traced == plain
    assert len(plain[0]) == 3


def test_a_traceback_outlives_the_trace():
    with debugop.trace(fails), pytest.raises(ValueError, match="deep") as caught:
        fails(0)
    after = caught.value.__traceback__.tb_next
    with pytest.raises(ValueError, match="deep") as plain:
        fails(0)
    before = plain.value.__traceback__.tb_next
    assert (after.tb_lasti, after.tb_frame.f_code) == (before.tb_lasti, before.tb_frame.f_code)


def test_code_that_is_taken_apart_and_put_together():
    def run():
        changed = function.__code__.replace(co_name="other", co_consts=(*function.__code__.co_consts, "more"))
        # From 3.15 on RESUME has an inline cache.
        resume = bytes([dis.opmap["RESUME"], 0, *[0, 0] * (sys.version_info >= (3, 15))])
        returning = bytes([dis.opmap["LOAD_CONST"], 0, dis.opmap["RETURN_VALUE"], 0])
        # One entry of the location table without a location, for so many code units.
        nowhere = bytes([0xF8 | len(resume + returning) // 2 - 1])
        code = types.CodeType(
            0, 0, 0, 0, 1, 3, resume + returning, (7,), (), (), "file.py", "made", "made", 1, nowhere, b""
        )  # fmt: skip
        return types.FunctionType(changed, globals())(1)[0], types.FunctionType(code, {})(), changed.co_consts[-1]

    plain, traced = both(run)
    assert traced == plain == (2, 7, "more")


def test_the_code_of_a_function_that_is_given_anothers():
    def one():
        return 1

    def two():
        return 2

    debugop.start()
    first, second = one.__code__, two.__code__
    one.__code__ = second
    assert (one(), one.__code__ is second, one.__code__ is two.__code__) == (2, True, True)
    one.__code__ = first
    debugop.stop()
    assert (one(), one.__code__) == (1, first)
    assert running_code(one) is first
