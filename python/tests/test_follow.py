"""Which functions a trace reaches: targets of every kind, and calls that are followed."""

import asyncio
import collections
import contextlib
import functools
import json
import subprocess
import sys

import debugop
import pytest
from oracle.running import running_code


def functions_of(records):
    """Qualified names in the order of their first step, without what encloses them in this file."""
    names = dict.fromkeys(record.qualname for record in records if record.instruction.opname == "RESUME")
    return [name.rpartition("<locals>.")[2] for name in names]


def followed(target, *arguments, follow=True, **keywords):
    with debugop.trace(target, follow=follow) as trace:
        target(*arguments, **keywords)
    return functions_of(trace)


def helper(x=1, *args, **kwargs):
    return x


def other():
    return helper(2)


class Base:
    def __init__(self, x=0):
        self.x = x

    def method(self):
        return helper(self.x)

    @classmethod
    def make(cls):
        return cls(3)

    @staticmethod
    def static():
        return helper()

    @property
    def prop(self):
        return helper(self.x)


class Derived(Base):
    def __new__(cls, *args):
        return super().__new__(cls)

    def __init__(self, x):
        super().__init__(x)

    def method(self):
        return super().method()

    def __call__(self, y):
        return helper(y)


class Meta(type):
    def __call__(cls, *args):
        return super().__call__(*args)


class WithMeta(metaclass=Meta):
    def __init__(self, x):
        self.x = x


def test_without_follow_only_the_target_and_what_is_nested_in_it():
    def target():
        def inner():
            return helper()

        return [inner() for _ in range(2)], (lambda: other())()

    names = followed(target, follow=None)
    # Comprehensions are functions of their own until 3.12 (PEP 709).
    assert [name for name in names if name != "<listcomp>"] == ["target", "inner", "<lambda>"]
    assert followed(target, follow=False) == names
    assert {"helper", "other"} < set(followed(target))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: helper(), ["helper"]),
        (lambda: helper(1, 2, k=3), ["helper"]),
        (lambda: helper(*[1, 2]), ["helper"]),
        (lambda: helper(*[1], k=3, j=4), ["helper"]),
        (lambda: other(), ["other", "helper"]),
        (lambda: Base(1), ["Base.__init__"]),
        (lambda: Base(1).method(), ["Base.__init__", "Base.method", "helper"]),
        (lambda: Base.make(), ["Base.make", "Base.__init__"]),
        (lambda: Base.static(), ["Base.static", "helper"]),
        (lambda: Derived(1), ["Derived.__new__", "Derived.__init__", "Base.__init__"]),
        (lambda: Derived(1)(2), ["Derived.__new__", "Derived.__init__", "Base.__init__", "Derived.__call__", "helper"]),
        (lambda: WithMeta(1), ["Meta.__call__", "WithMeta.__init__"]),
        (lambda: functools.partial(helper, 1)(), ["helper"]),
        (lambda: functools.partial(functools.partial(Base.static))(), ["Base.static", "helper"]),
        (lambda: functools.lru_cache(helper)(5), ["helper"]),
        (lambda: (lambda: helper())(), ["<lambda>", "helper"]),
    ],
)
def test_calls_are_followed(call, expected):
    assert followed(call) == ["<lambda>", *expected] or followed(call) == ["<lambda>", *expected[1:]]


def test_methods_through_super():
    derived = Derived(4)
    assert followed(lambda: derived.method()) == ["<lambda>", "Derived.method", "Base.method", "helper"]


@pytest.mark.parametrize(
    ("target", "arguments", "expected"),
    [
        (helper, (), ["helper"]),
        (Base(1).method, (), ["Base.method"]),
        (Base.make, (), ["Base.make"]),
        (Base.static, (), ["Base.static"]),
        (Base.__dict__["static"], (), ["Base.static"]),
        (functools.partial(helper, 1), (), ["helper"]),
        (functools.partial(Base(1).method), (), ["Base.method"]),
        (functools.lru_cache(other), (), ["other"]),
        (Derived(1), (2,), ["Derived.__call__"]),
        (WithMeta, (2,), ["Meta.__call__", "WithMeta.__init__"]),
        (Base, (2,), ["Base.__init__"]),
    ],
)
def test_targets(target, arguments, expected):
    trace = debugop.trace(target)
    trace(*arguments)
    assert functions_of(trace) == expected


def test_a_class_as_target_is_its_constructors_and_its_own_methods():
    with debugop.trace(Derived) as trace:
        derived = Derived(1)
        derived.method()
        assert derived.prop == 1
    names = ["Derived.__new__", "Derived.__init__", "Derived.method"]
    assert functions_of(trace) == names
    with debugop.trace(Base) as trace:
        assert Base.make().prop == 3
        Base.static()
    assert functions_of(trace) == ["Base.make", "Base.__init__", "Base.prop", "Base.static"]


def test_a_decorated_function_is_followed_into():
    def decorator(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    @decorator
    def decorated():
        return helper()

    assert followed(lambda: decorated()) == ["<lambda>", "wrapper", "decorated", "helper"]


def test_generators_and_delegation():
    def inner(n):
        yield from range(n)

    def outer(n):
        yield helper(n)
        yield from inner(n)

    assert followed(lambda: list(outer(2))) == ["<lambda>", "outer", "helper", "inner"]
    with debugop.trace(outer, follow=True) as trace:
        assert list(outer(2)) == [2, 0, 1]
    assert functions_of(trace) == ["outer", "helper", "inner"]


def test_coroutines_under_asyncio():
    async def leaf(x):
        await asyncio.sleep(0)
        return helper(x)

    async def numbers():
        for x in range(2):
            yield await leaf(x)

    @contextlib.asynccontextmanager
    async def manager():
        yield await leaf(9)

    async def main():
        async with manager() as nine:
            return [nine, *await asyncio.gather(leaf(1), leaf(2)), *[x async for x in numbers()]]

    # It is the standard library that calls `manager`.
    with debugop.trace(main, follow=debugop.Follow(include="contextlib")) as trace:
        assert asyncio.run(main()) == [9, 1, 2, 0, 1]
    names = {name for name in functions_of(trace) if "." not in name}
    assert {"main", "manager", "leaf", "helper", "numbers"} <= names
    with debugop.trace(main, follow=True) as trace:
        assert asyncio.run(main()) == [9, 1, 2, 0, 1]
    names = {name.rsplit(".", 1)[-1] for name in functions_of(trace)} - {"<listcomp>"}  # a function of its own on 3.11
    assert names == {"main", "leaf", "helper", "numbers"}


def test_the_standard_library_is_not_followed_unless_asked_for():
    def target():
        return json.loads("[1]"), collections.OrderedDict(a=1), helper()

    assert followed(target) == ["target", "helper"]
    everything = followed(target, follow=debugop.Follow(all=True))
    assert everything[:2] == ["target", "loads"]
    assert "JSONDecoder.decode" in everything


def test_include_adds_and_exclude_wins():
    def target():
        return json.loads("[1]"), other()

    def names(**options):
        return set(followed(target, follow=debugop.Follow(**options)))

    assert names(include="json") == {
        "target",
        "loads",
        "JSONDecoder.decode",
        "JSONDecoder.raw_decode",
        "other",
        "helper",
    }
    assert names(include=["json.loads"]) == {"target", "loads", "other", "helper"}
    assert names(include=["json/decoder.py", "json.loads"]) == names(include="json")
    assert names(include="json", exclude=["json.decoder", "*.helper"]) == {"target", "loads", "other"}
    assert names(exclude=[__file__]) == {"target"}
    assert names(all=True, exclude=["json"]) == {"target", "other", "helper"}


def test_the_depth_is_counted_in_calls():
    def target():
        return other()

    for depth, names in enumerate([["target"], ["target", "other"], ["target", "other", "helper"]]):
        assert followed(target, follow=debugop.Follow(depth=depth)) == names
    assert followed(target, follow=debugop.Follow(depth=9)) == ["target", "other", "helper"]


def test_a_target_that_is_excluded_is_traced_all_the_same():
    assert followed(other, follow=debugop.Follow(exclude="*")) == ["other"]


@pytest.mark.parametrize("bad", [{"include": "a["}, {"exclude": [""]}])
def test_a_bad_pattern(bad):
    with pytest.raises(ValueError, match="pattern"):
        debugop.Follow(**bad)


def test_bad_arguments():
    with pytest.raises(OverflowError):
        debugop.Follow(depth=-1)
    with pytest.raises(TypeError, match=r"follow must be None, a bool or a debugop\.Follow, not str"):
        debugop.trace(helper, follow="json")


def test_follow_can_be_compared_and_shown():
    follow = debugop.Follow(include="json", depth=2)
    assert follow == debugop.Follow(include=["json"], depth=2)
    assert repr(follow) == "Follow(include=('json',), exclude=(), depth=2, all=False)"


def test_debugop_itself_is_never_followed():
    @debugop.trace()
    def traced():
        return helper()

    names = followed(lambda: (traced(), helper()), follow=debugop.Follow(all=True, include="debugop"))
    assert names == ["<lambda>", "helper"]


def sites_in(code):
    return [constant for constant in code.co_consts if type(constant) is debugop.Site]


def test_a_function_is_probed_once():
    def target():
        return [other() for _ in range(5)], helper(), other()

    with debugop.trace(target, follow=True), debugop.trace(target, follow=True) as second:
        target()
        probed = running_code(other)
        target()
        assert running_code(other) is probed
        # One more is for exceptions that leave.
        assert len(sites_in(probed)) == len(set(sites_in(probed))) <= len(debugop.instructions(probed_free(second))) + 1
    assert sites_in(running_code(other)) == []


def probed_free(trace):
    return next(record.code for record in trace if record.qualname == "other")


def test_recursion():
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    with debugop.trace(fibonacci, follow=True) as trace:
        assert fibonacci(10) == 55
    starts = [record for record in trace if record.instruction.opname == "RESUME"]
    assert len(starts) == 177
    assert max(record.depth for record in starts) == 9
    limit = sys.getrecursionlimit()
    with debugop.trace(fibonacci), pytest.raises(RecursionError):
        fibonacci(limit + 10)


LATE = """
import sys

for name in ("functools", "_functools"):
    sys.modules.pop(name, None)

from debugop import _core


class Called:
    def __call__(self):
        pass


def inner():
    pass


assert _core.python_functions(Called()) == [Called.__call__]

import functools

assert _core.python_functions(functools.partial(inner)) == [inner]
assert _core.python_functions(functools.lru_cache(inner)) == [inner]
assert _core.python_functions(Called().__call__) == [Called.__call__]
assert _core.python_functions(staticmethod(inner)) == [inner]
"""


def test_wrappers_of_functools_are_known_whenever_it_is_imported():
    subprocess.run([sys.executable, "-c", LATE], check=True, timeout=60)
