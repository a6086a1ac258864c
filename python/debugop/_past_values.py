"""Expressions over a recording: evaluated on recorded values, never by the program's code.

What the recording does not tell raises `Unknown`, which says so. Values that are known in full are objects of Python's own types; of everything
else there is a `Recorded`.
"""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable, Iterator
from typing import Any

SHOWN = 4000
"""Columns of the text of a value."""
MOST = 1 << 16
"""Bits of an int, items of a text or a sequence that an expression may make."""

_WHOLE = (type(None), bool, int, float, complex, str, bytes, bytearray, range, slice, type(...), type(NotImplemented))
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Invert: operator.invert,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_METHODS = (str, bytes, int, float, complex)
_FUNCTIONS = (
    "abs",
    "ascii",
    "bin",
    "bool",
    "chr",
    "divmod",
    "float",
    "hex",
    "int",
    "max",
    "min",
    "oct",
    "ord",
    "pow",
    "round",
)
# Subclasses that are as the built-in class where a key or index is there.
_PLAIN_SUBCLASSES = ("collections.Counter", "collections.OrderedDict", "collections.defaultdict", "collections.deque")
_FUNCTIONS_OF_ITEMS = ("all", "any", "frozenset", "list", "max", "min", "set", "sorted", "sum", "tuple")


class Unknown(Exception):
    """The recording does not tell; the text says what."""


class Statement(Unknown):
    """It is Python, and no expression."""


class Recorded:
    """A recorded value that is no scalar, or is not known in full."""

    __slots__ = ("past",)

    def __init__(self, past: Any) -> None:
        self.past = past

    def __repr__(self) -> str:
        text: str = self.past.data.short(SHOWN)
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recorded) and bool(self.past.data == other.past.data)

    __hash__ = None  # type: ignore[assignment]

    def __dir__(self) -> list[str]:
        pairs = self.past.data.attributes
        return sorted(pairs) if pairs else []


class Class:
    """The class of a recorded value, of which the name is known."""

    __slots__ = ("__name__",)

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __repr__(self) -> str:
        return f"<class '{self.__name__}'>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Class) and other.__name__ == self.__name__

    def __hash__(self) -> int:
        return hash(self.__name__)


def lift(past: Any) -> Any:
    """A recorded value as an object of Python's own if it is a scalar that is known in full, otherwise as a `Recorded`."""
    data = past.data
    if not data.is_whole:
        return Recorded(past)
    value = data.value
    return value if type(value) in _WHOLE else Recorded(past)


def whole(value: Any, what: str) -> Any:
    """An object that equals a value; `Unknown` if it is not known in full."""
    if type(value) in (list, tuple):
        return type(value)(whole(one, what) for one in value)
    if not isinstance(value, Recorded):
        return value
    try:
        return value.past.data.value
    except ValueError as error:
        raise Unknown(f"{what} is not recorded in full: {error}") from None


class Evaluator:
    """Evaluates expressions with `name`, which gives the value of a name or raises `Unknown`."""

    def __init__(self, name: Callable[[str], Any]) -> None:
        self._name = name

    def value(self, text: str) -> Any:
        """The value of an expression. `Unknown`, SyntaxError, and what the operation on known values raises."""
        try:
            parsed = ast.parse(text.strip(), mode="eval")
        except SyntaxError:
            ast.parse(text.strip())
            raise Statement("A recording can be looked at only: nothing in it runs.") from None
        try:
            return self._of(parsed.body)
        except RecursionError:
            raise Unknown("the expression is too deep") from None

    def _of(self, node: ast.expr) -> Any:
        method = getattr(self, "_" + type(node).__name__, None)
        if method is None:
            raise Unknown(f"{ast.unparse(node)!r} is more than a recording can answer")
        return method(node)

    def _whole(self, node: ast.expr) -> Any:
        return whole(self._of(node), ast.unparse(node))

    def _Constant(self, node: ast.Constant) -> Any:
        return node.value

    def _Name(self, node: ast.Name) -> Any:
        return self._name(node.id)

    def _Attribute(self, node: ast.Attribute) -> Any:
        value = self._of(node.value)
        if isinstance(value, Class) and node.attr == "__name__":
            return value.__name__
        if isinstance(value, Recorded):
            if node.attr == "__class__":
                return Class(value.past.data.type_name)
            found = value.past.attribute(node.attr)
            if found is not None:
                return lift(found)
        raise Unknown(f"{ast.unparse(node)} is not recorded")

    def _Subscript(self, node: ast.Subscript) -> Any:
        value, text = self._of(node.value), ast.unparse(node)
        key = self._whole(node.slice)
        if not isinstance(value, Recorded):
            return value[key]
        if not _is_plain(value.past) and value.past.data.contents is not None:
            raise Unknown(
                f"what [] means for {ast.unparse(node.value)} is its class's affair: it is a {value.past.data.type_name}"
            )
        pairs = (
            value.past.pairs() if value.past.data.attributes is None or value.past.data.contents is not None else None
        )
        if pairs is not None:
            for known, found in pairs:
                if lift(known) == key and not isinstance(lift(known), Recorded):
                    return lift(found)
            if len(pairs) == value.past.length and value.past.data.contents is None:
                raise KeyError(key)
            raise Unknown(f"{text} is not among the recorded items")
        if value.past.data.type_name in ("str", "bytes", "bytearray"):
            raise Unknown(f"{ast.unparse(node.value)} is not recorded in full")
        items = value.past.items()
        if items is None or value.past.data.type_name in ("set", "frozenset"):
            raise Unknown(f"the items of {ast.unparse(node.value)} are not recorded")
        length = value.past.length
        if isinstance(key, slice):
            picked = range(length)[key]
            if any(index >= len(items) for index in picked):
                raise Unknown(f"only {len(items)} of {length} items of {ast.unparse(node.value)} are recorded")
            kind = tuple if value.past.data.type_name == "tuple" else list
            return kind(lift(items[index]) for index in picked)
        index = operator.index(key)
        index += length if index < 0 else 0
        if not 0 <= index < length:
            raise IndexError(f"index {key} out of range: there are {length} items")
        if index >= len(items):
            raise Unknown(f"only the first {len(items)} of {length} items of {ast.unparse(node.value)} are recorded")
        return lift(items[index])

    def _Slice(self, node: ast.Slice) -> slice:
        return slice(*(None if part is None else self._whole(part) for part in (node.lower, node.upper, node.step)))

    def _Tuple(self, node: ast.Tuple) -> Any:
        return tuple(self._of(item) for item in node.elts)

    def _List(self, node: ast.List) -> Any:
        return [self._of(item) for item in node.elts]

    def _Set(self, node: ast.Set) -> Any:
        return {self._whole(item) for item in node.elts}

    def _Dict(self, node: ast.Dict) -> Any:
        if None in node.keys:
            raise Unknown("** is more than a recording can answer")
        return {self._whole(key): self._of(item) for key, item in zip(node.keys, node.values, strict=True) if key}

    def _BinOp(self, node: ast.BinOp) -> Any:
        return _operate(node.op, self._whole(node.left), self._whole(node.right))

    def _UnaryOp(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return not self._truth(node.operand)
        return _OPERATORS[type(node.op)](self._whole(node.operand))

    def _truth(self, node: ast.expr) -> bool:
        return truth(self._of(node), ast.unparse(node))

    def _BoolOp(self, node: ast.BoolOp) -> Any:
        stops_at = isinstance(node.op, ast.Or)
        for part in node.values[:-1]:
            value = self._of(part)
            if truth(value, ast.unparse(part)) == stops_at:
                return value
        return self._of(node.values[-1])

    def _IfExp(self, node: ast.IfExp) -> Any:
        return self._of(node.body if self._truth(node.test) else node.orelse)

    def _Compare(self, node: ast.Compare) -> Any:
        left, text = self._of(node.left), ast.unparse(node.left)
        result: Any = True
        for op, part in zip(node.ops, node.comparators, strict=True):
            right = self._of(part)
            result = _compare(op, left, right, (text, ast.unparse(part)))
            if not result:
                return result
            left, text = right, ast.unparse(part)
        return result

    def _Call(self, node: ast.Call) -> Any:
        text = ast.unparse(node)
        if node.keywords or any(isinstance(one, ast.Starred) for one in node.args):
            raise Unknown(f"{text} is a call, and nothing is called in a recording")
        arguments = [self._of(one) for one in node.args]
        if isinstance(node.func, ast.Attribute):
            receiver = self._of(node.func.value)
            if type(receiver) in _METHODS and node.func.attr not in ("ljust", "rjust", "center", "zfill", "expandtabs"):
                known = [whole(one, text) for one in arguments]
                return getattr(receiver, node.func.attr)(*known)
        elif isinstance(node.func, ast.Name) and self._is_builtin(node.func.id):
            return self._builtin(node.func.id, arguments, text)
        raise Unknown(f"{text} is a call, and nothing is called in a recording")

    def _is_builtin(self, name: str) -> bool:
        try:
            found = self._name(name)
        except Unknown:
            return True
        return isinstance(found, Recorded) and found.past.data.short(SHOWN) == f"<built-in {name}>"

    def _builtin(self, name: str, arguments: list[Any], text: str) -> Any:
        if len(arguments) == 1:
            (value,) = arguments
            if name == "repr":
                return repr(value)
            if name == "str":
                return value if isinstance(value, str) else repr(value)
            if name == "type":
                return Class(value.past.data.type_name if isinstance(value, Recorded) else type(value).__name__)
            if name == "id" and isinstance(value, Recorded) and value.past.id is not None:
                return value.past.id
            if name == "len" and isinstance(value, Recorded):
                if value.past.length is None or not _is_plain(value.past):
                    raise Unknown(f"{text} is not recorded")
                return value.past.length
            if name == "len":
                return len(value)
            if name in _FUNCTIONS_OF_ITEMS:
                return _of_items(name, items(value, text), text)
        if name in _FUNCTIONS:
            known = [whole(one, text) for one in arguments]
            if name == "pow":
                return _operate(ast.Pow(), *known)
            return getattr(builtins, name)(*known)
        raise Unknown(f"{text} is a call, and nothing is called in a recording")

    def _JoinedStr(self, node: ast.JoinedStr) -> str:
        return "".join(self._of(part) for part in node.values)

    def _FormattedValue(self, node: ast.FormattedValue) -> str:
        value = self._of(node.value)
        if node.conversion in (ord("r"), ord("a")) or isinstance(value, (Recorded, Class)):
            value = ascii(value) if node.conversion == ord("a") else repr(value)
        elif node.conversion == ord("s"):
            value = str(value)
        spec = self._of(node.format_spec) if node.format_spec else ""
        if any(len(run) > 4 for run in "".join(c if c.isdigit() else " " for c in spec).split()):
            raise Unknown(f"{spec!r} makes more text than is shown")
        return format(value, spec)


def _of_items(name: str, found: list[Any], text: str) -> Any:
    """A builtin function of items, which asks nothing of a `Recorded`."""
    if name in ("all", "any"):
        found = [truth(one, text) for one in found]
    elif name in ("max", "min", "sorted"):
        return getattr(builtins, name)(found, key=lambda one: whole(one, text))
    elif name in ("set", "frozenset"):
        found = [whole(one, text) for one in found]
    return getattr(builtins, name)(found)


def _operate(op: ast.operator, left: Any, right: Any) -> Any:
    size = _bits(left)
    if isinstance(op, ast.Pow):
        too_large = isinstance(right, int) and isinstance(left, int) and size * abs(right) > MOST
    elif isinstance(op, ast.LShift):
        too_large = isinstance(right, int) and right > MOST
    elif isinstance(op, ast.Mult):
        too_large = size + _bits(right) > MOST if isinstance(left, int) and isinstance(right, int) else False
        for one, times in ((left, right), (right, left)):
            if isinstance(one, (str, bytes, bytearray, list, tuple)) and isinstance(times, int):
                too_large = len(one) * times > MOST
    elif isinstance(op, ast.Mod):
        too_large = isinstance(left, (str, bytes, bytearray)) and any(c in "0123456789*" for c in str(left))
    else:
        too_large = False
    if too_large:
        raise Unknown("that makes more than is shown")
    operation = _OPERATORS.get(type(op))
    if operation is None:
        raise Unknown(f"{type(op).__name__} is more than a recording can answer")
    return operation(left, right)


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _compare(op: ast.cmpop, left: Any, right: Any, texts: tuple[str, str]) -> Any:
    if isinstance(op, (ast.Is, ast.IsNot)):
        return is_same(left, right, texts) == isinstance(op, ast.Is)
    if isinstance(op, (ast.In, ast.NotIn)):
        return (_is_in(left, right, texts)) == isinstance(op, ast.In)
    return _OPERATORS[type(op)](whole(left, texts[0]), whole(right, texts[1]))


def _is_in(left: Any, right: Any, texts: tuple[str, str]) -> bool:
    known = whole(left, texts[0])
    if not isinstance(right, Recorded):
        return bool(known in whole(right, texts[1]))
    kind = right.past.data.type_name
    if kind in ("dict", "set", "frozenset"):
        # As `in` does: a set is looked for as the frozenset that is equal to it.
        hash(frozenset(known) if isinstance(known, set) and kind != "dict" else known)
    shown = items(right, texts[1], all_of_them=False)
    if any(one == known for one in shown if not isinstance(one, Recorded)):
        return True
    if len(shown) != right.past.length or any(isinstance(one, Recorded) for one in shown):
        raise Unknown(f"whether {texts[0]} is in {texts[1]} is not recorded")
    return False


def is_same(left: Any, right: Any, texts: tuple[str, str]) -> bool:
    """Whether two values are the same object."""
    if isinstance(left, Recorded) and isinstance(right, Recorded):
        same = left.past.is_same(right.past)
        if same is None:
            raise Unknown(f"whether {texts[0]} is {texts[1]} is not recorded")
        return bool(same)
    for one, other in ((left, right), (right, left)):
        if one is None or isinstance(one, bool) or one is ...:
            if isinstance(other, Recorded) and other.past.data.type_name == "unknown":
                break
            return one is other
    raise Unknown(f"whether {texts[0]} is {texts[1]} is not recorded")


def items(value: Any, text: str, *, all_of_them: bool = True) -> list[Any]:
    """The items of a container: of a dict its keys."""
    if not isinstance(value, Recorded):
        return list(value)
    pairs = value.past.pairs()
    found = [pair[0] for pair in pairs] if pairs is not None else value.past.items()
    if found is None or not _is_plain(value.past):
        raise Unknown(f"the items of {text} are not recorded")
    if all_of_them and len(found) != value.past.length:
        raise Unknown(f"only {len(found)} of {value.past.length} items of {text} are recorded")
    return [lift(one) for one in found]


def _is_plain(past: Any) -> bool:
    """Whether `len`, `in`, iteration and subscripts are those of the built-in class: a subclass of the program's may have others."""
    data = past.data
    return data.attributes is None or (data.contents is not None and data.type_name in _PLAIN_SUBCLASSES)


def truth(value: Any, text: str) -> bool:
    """Whether a value is true, where that is known without asking it."""
    if not isinstance(value, Recorded):
        return bool(value)
    past = value.past
    if _is_plain(past) and past.length is not None:
        return bool(past.length)
    if past.data.type_name in ("function", "type", "module", "builtin_function_or_method", "generator", "code"):
        return True
    raise Unknown(f"whether {text} is true is not recorded")


def pretty(value: Any, indent: int = 0) -> str:
    """A text of several lines for what is too long for one."""
    text = repr(value)
    if len(text) + indent <= 79:
        return text
    inner = " " * (indent + 4)
    parts = list(_parts(value, indent + 4))
    if not parts:
        return text
    opening, closing = _brackets(value)
    return f"{opening}\n" + "".join(f"{inner}{part},\n" for part in parts) + " " * indent + closing


def _parts(value: Any, indent: int) -> Iterator[str]:
    if isinstance(value, (list, tuple, set, frozenset)):
        yield from (pretty(one, indent) for one in value)
        return
    if isinstance(value, dict):
        yield from (f"{key!r}: {pretty(one, indent)}" for key, one in value.items())
        return
    if not isinstance(value, Recorded) or (value.past.pairs() is None and value.past.items() is None):
        return
    shown = value.past.pairs()
    is_instance = value.past.data.attributes is not None and value.past.data.contents is None
    if shown is not None:
        for key, one in shown:
            name = lift(key)
            yield f"{name}={pretty(lift(one), indent)}" if is_instance else f"{name!r}: {pretty(lift(one), indent)}"
    else:
        shown = value.past.items() or []
        yield from (pretty(lift(one), indent) for one in shown)
    missing = (value.past.length or 0) - len(shown)
    if missing > 0:
        yield f"... {missing} more"


def _brackets(value: Any) -> tuple[str, str]:
    kind = value.past.data.type_name if isinstance(value, Recorded) else type(value).__name__
    known = {"list": ("[", "]"), "tuple": ("(", ")"), "dict": ("{", "}"), "set": ("{", "}")}
    return known.get(kind, (f"{kind}(", ")"))
