"""What stops besides lines: instructions, opcodes, places of values that change, exceptions.

Each is numbered, listed, disabled and deleted like the standard library's breakpoints, whose class it extends. Nothing here runs code of the
program, but a condition.
"""

import dis
import gc
import sys
import types
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType
from typing import Any

from debugop import _core, bdb

FILE = "<places>"
"""The file that places are in, as far as the standard library is concerned."""

NOT_SET: Any = type("NotSet", (), {"__repr__": lambda self: "<not set>"})()
"""Stands for the value of a place that has none."""

# Their values are compared; of every other type an object is another value if it is another object.
_SCALARS = frozenset({int, float, complex, bool, str, bytes, type(None)})

_KEYS = _SCALARS | {tuple, frozenset}

# What may write to a place by C code that it calls. Python code that it calls has instructions of its own.
_CALLING = ("CALL", "PRECALL", "IMPORT_NAME", "BEFORE_WITH", "WITH_EXCEPT_START", "LOAD_SPECIAL", "PUSH_EXC_INFO")
_NAMES = ("STORE_GLOBAL", "STORE_NAME", "DELETE_GLOBAL", "DELETE_NAME")
_ATTRIBUTES = ("STORE_ATTR", "DELETE_ATTR")
_ITEMS = ("STORE_SUBSCR", "STORE_SLICE", "DELETE_SUBSCR")
# What may write to a namespace, to an attribute or to an item of a dictionary.
_WRITING = (*_NAMES, *_ATTRIBUTES, *_ITEMS, "BINARY_OP", "BINARY_SUBSCR", *_CALLING)


def _opcodes(names: tuple[str, ...]) -> frozenset[int]:
    return frozenset(number for name, number in dis.opmap.items() if name.startswith(names))


_WRITERS = _opcodes(_WRITING)
_WRITERS_OF_ATTRIBUTES = _opcodes((*_ATTRIBUTES, *_CALLING))
_WRITERS_OF_ITEMS = _opcodes((*_ITEMS, *_CALLING))
_BINARY_OP = dis.opmap["BINARY_OP"]
# `NB_INPLACE_ADD` and `NB_INPLACE_XOR` (`Include/opcode.h`, 3.11-3.15): arguments of BINARY_OP that may change its left operand.
_IN_PLACE = range(13, 26)

TOLD_OF_DICTIONARIES = sys.version_info >= (3, 12)
"""Whether CPython tells of changes of dictionaries."""


class Place(bdb.Breakpoint):  # type: ignore[misc]
    """Something that stops, numbered like a breakpoint."""

    kind = "breakpoint"
    log: str | None = None

    def __init__(self, temporary: bool = False, condition: str | None = None) -> None:
        self.file, self.line = FILE, 0
        self.funcname, self.func_first_executable_line = None, None
        self.temporary, self.cond = temporary, condition
        self.enabled, self.ignore, self.hits = True, 0, 0
        counter = bdb.Breakpoint
        self.number = counter.next
        counter.next += 1
        counter.bpbynumber.append(self)

    def deleteMe(self) -> None:
        self.bpbynumber[self.number] = None

    @property
    def is_deleted(self) -> bool:
        numbers = self.bpbynumber
        return self.number >= len(numbers) or numbers[self.number] is not self

    def where(self) -> str:
        """What it stops at, in words."""
        raise NotImplementedError

    def bpformat(self) -> str:
        text = (
            f"{self.number:<4}{self.kind:<12} {'del ' if self.temporary else 'keep'} {'yes' if self.enabled else 'no '}"
        )
        text += f"  {self.where()}"
        if self.cond:
            text += f"\n\tstop only if {self.cond}"
        if self.ignore:
            text += f"\n\tignore next {self.ignore} hits"
        if self.hits:
            text += f"\n\tbreakpoint already hit {self.hits} time{'s' if self.hits > 1 else ''}"
        return text

    def bpprint(self, out: Any = None) -> None:
        print(self.bpformat(), file=out or sys.stdout)

    def __str__(self) -> str:
        return f"{self.kind} {self.number} {self.where()}"

    def offsets(self, code: CodeType) -> Iterable[int]:
        """The instructions of `code` at which `check` is to be asked."""
        return ()

    def check(self, frame: FrameType, offset: int, writer: tuple[CodeType, int] | None = None) -> list[str] | None:
        """What there is to say of a stop at the instruction at `offset`, which `frame` is about to execute; None: no stop.

        `writer` is the instruction that has changed a dictionary last, if that is known.
        """
        return None

    def is_in_effect(self, frame: FrameType) -> bool:
        """Whether it stops here: its condition, hits and ignore count, by the rules of `bdb.effective`."""
        if not self.enabled:
            return False
        self.hits += 1
        if self.cond:
            try:
                if not eval(self.cond, frame.f_globals, frame.f_locals):
                    return False
            except (Exception, KeyboardInterrupt):
                return True  # as pdb does
        if self.ignore > 0:
            self.ignore -= 1
            return False
        return True


class Instructions(Place):
    """Some instructions of one function: a single one, or all with an opcode."""

    def __init__(self, code: CodeType, wanted: Iterable[int], what: str, **options: Any) -> None:
        super().__init__(**options)
        self.code, self.wanted, self.what = code, frozenset(wanted), what

    def where(self) -> str:
        return f"at {self.what}"

    def offsets(self, code: CodeType) -> Iterable[int]:
        # A program that begins again has new code objects.
        return self.wanted if code is self.code or _is_same(code, self.code) else ()

    def check(self, frame: FrameType, offset: int, writer: tuple[CodeType, int] | None = None) -> list[str] | None:
        return [] if offset in self.wanted and self.offsets(frame.f_code) else None


def _is_same(one: CodeType, other: CodeType) -> bool:
    return (
        one.co_filename == other.co_filename
        and one.co_firstlineno == other.co_firstlineno
        and one.co_qualname == other.co_qualname
        and one.co_code == other.co_code
    )


class Watch(Place):
    """A place whose value is looked at behind every instruction that may have written to it."""

    kind = "watchpoint"

    def __init__(self, text: str, **options: Any) -> None:
        self.text = text
        self.value: Any = self.read()
        super().__init__(**options)

    def where(self) -> str:
        return self.text

    def read(self) -> Any:
        """The value there is now, or `NOT_SET`."""
        raise NotImplementedError

    def look(self) -> None:
        """What has changed now was meant to."""
        self.value = self.read()

    @property
    def watched(self) -> tuple[object, object] | None:
        """The place as `_core.set_places` takes it, if it can be looked at there."""
        return None

    @property
    def is_told(self) -> bool:
        """Whether CPython tells of changes of it."""
        return TOLD_OF_DICTIONARIES and self.watched is not None and isinstance(self.watched[0], dict)

    def behind_writers(self, code: CodeType) -> Iterable[int]:
        """The instructions of `code` behind those that may change it."""
        return behind(code, _WRITERS)

    def offsets(self, code: CodeType) -> Iterable[int]:
        return () if self.watched is not None else self.behind_writers(code)

    def check(self, frame: FrameType, offset: int, writer: tuple[CodeType, int] | None = None) -> list[str] | None:
        before, now = self.value, self.read()
        if now is before:
            return None
        self.value = now
        if type(now) is type(before) and type(now) in _SCALARS and now == before:
            return None
        said = [
            "",
            f"Watchpoint {self.number}: {self.text}",
            f"Old value: {_short(before)}",
            f"New value: {_short(now)}",
        ]
        code, instruction = frame.f_code, None
        if writer is not None and self.is_told and not is_own(writer[0]):
            code = writer[0]
            instruction = next((one for one in _instructions(code) if one.offset == writer[1]), None)
        else:
            instruction = _instruction_before(code, offset)
        if instruction is not None:
            elsewhere = "" if code is frame.f_code else f" in {code.co_qualname}"
            said.append(f"Changed by {instruction.offset} {described(instruction)}{elsewhere}")
        return said


class Local(Watch):
    """A local variable of one frame, or one that functions nested in it share."""

    def __init__(self, text: str, frame: FrameType, name: str, **options: Any) -> None:
        self.frame, self.name = frame, name
        self.shared = name in frame.f_code.co_cellvars or name in frame.f_code.co_freevars
        self.hidden = list(_comprehensions(frame.f_code, name))
        super().__init__(text, **options)

    def where(self) -> str:
        return f"{self.text} in {self.frame.f_code.co_qualname}"

    def read(self) -> Any:
        at = self.frame.f_lasti
        if any(first < at <= last for first, last in self.hidden):
            return self.value
        return self.frame.f_locals.get(self.name, NOT_SET)

    # What it is taken for if it is set within a comprehension.
    value: Any = NOT_SET

    @property
    def is_over(self) -> bool:
        """Whether the frame has been left."""
        return _core.frame_is_over(self.frame)

    def over(self) -> list[str]:
        """What is said when its frame is left."""
        return [
            "",
            f"Watchpoint {self.number} deleted: {self.frame.f_code.co_qualname}() is left, and with it {self.text}.",
        ]

    def offsets(self, code: CodeType) -> Iterable[int]:
        own = code is self.frame.f_code
        if not own and not (self.shared and self.name in code.co_freevars):
            return ()
        found = set()
        instructions = _core.instructions(code)
        for index, one in enumerate(instructions):
            if own and one.opname.startswith("RETURN_") and one.opname != "RETURN_GENERATOR":
                found.add(one.offset)
            elif _writes_variable(one, self.name) and index + 1 < len(instructions):
                found.add(instructions[index + 1].offset)
        return found

    def check(self, frame: FrameType, offset: int, writer: tuple[CodeType, int] | None = None) -> list[str] | None:
        if frame is not self.frame and not self.shared:
            return None
        said = super().check(frame, offset, writer)
        if frame is self.frame and _is_return(frame.f_code, offset):
            said = (said or []) + self.over()
            self.ends = True
        return said

    ends = False


def _writes_variable(instruction: Any, name: str) -> bool:
    opname = instruction.opname
    writes = opname.startswith(("STORE_FAST", "DELETE_FAST", "STORE_DEREF", "DELETE_DEREF", "LOAD_FAST_AND_CLEAR"))
    return writes and name in instruction.argrepr.split(", ")


def _comprehensions(code: CodeType, name: str) -> Iterator[tuple[int, int]]:
    """Where a comprehension has a variable `name` of its own in the place of the function's (3.12+, PEP 709)."""
    try:
        instructions = _core.instructions(code)
    except ValueError:
        return
    for index, one in enumerate(instructions):
        if one.opname != "LOAD_FAST_AND_CLEAR" or one.argval != name:
            continue
        loop = next((inner for inner in instructions[index:] if inner.opname == "FOR_ITER"), None)
        if loop is None:
            continue
        for inner in instructions[index:]:
            if inner.offset >= loop.argval and _writes_variable(inner, name):
                yield one.offset, inner.offset
                break


def _is_return(code: CodeType, offset: int) -> bool:
    name = dis.opname[code.co_code[offset]]
    return name.startswith("RETURN_") and name != "RETURN_GENERATOR"


class Item(Watch):
    """An item of a dictionary, be it a namespace, or of a list."""

    def __init__(self, text: str, container: Any, key: Any, **options: Any) -> None:
        self.container, self.key = container, key
        super().__init__(text, **options)

    @property
    def watched(self) -> tuple[object, object]:
        return self.container, self.key

    def behind_writers(self, code: CodeType) -> Iterable[int]:
        if isinstance(self.container, dict):
            return super().behind_writers(code)
        return behind(code, _WRITERS_OF_ITEMS, in_place=True)

    def read(self) -> Any:
        if isinstance(self.container, dict):
            return dict.get(self.container, self.key, NOT_SET)
        try:
            return list.__getitem__(self.container, self.key)
        except IndexError:
            return NOT_SET


class Slot(Watch):
    """An attribute that has its place in the object itself (`__slots__`)."""

    def __init__(self, text: str, owner: Any, member: Any, **options: Any) -> None:
        self.owner, self.member = owner, member
        super().__init__(text, **options)

    @property
    def watched(self) -> tuple[object, object]:
        return self.owner, self.member

    def behind_writers(self, code: CodeType) -> Iterable[int]:
        return behind(code, _WRITERS_OF_ATTRIBUTES)

    def read(self) -> Any:
        try:
            return self.member.__get__(self.owner)
        except AttributeError:
            return NOT_SET


class ClassAttribute(Watch):
    """An attribute of a class."""

    def __init__(self, text: str, owner: type, name: str, **options: Any) -> None:
        self.owner, self.name = owner, name
        super().__init__(text, **options)

    @property
    def watched(self) -> tuple[object, object]:
        # The dictionary that `__dict__` shows.
        return gc.get_referents(_namespace_of_class(self.owner))[0], self.name

    def read(self) -> Any:
        return _namespace_of_class(self.owner).get(self.name, NOT_SET)


def watch_name(text: str, frame: FrameType, **options: Any) -> Watch:
    """A watchpoint on the variable that `text` is in `frame`. ValueError: there is none."""
    code = frame.f_code
    if text in code.co_varnames or text in code.co_cellvars or text in code.co_freevars:
        return Local(text, frame, text, **options)
    if not code.co_flags & 2 and isinstance(frame.f_locals, dict) and text in frame.f_locals:  # CO_NEWLOCALS
        return Item(text, frame.f_locals, text, **options)
    if text in frame.f_globals or text in code.co_names:
        return Item(text, frame.f_globals, text, **options)
    raise ValueError(f"there is no variable {text} here")


def watch_attribute(text: str, owner: Any, name: str, **options: Any) -> Watch:
    """A watchpoint on an attribute of the object `owner`. ValueError: no place of the object's own is behind it."""
    if isinstance(owner, type):
        return ClassAttribute(text, owner, name, **options)
    for namespace in map(_namespace_of_class, _mro(type(owner))):
        found = namespace.get(name)
        if isinstance(found, types.MemberDescriptorType):
            return Slot(text, owner, found, **options)
        if found is not None and any("__set__" in _namespace_of_class(one) for one in _mro(type(found))):
            raise ValueError(f"{text} is computed by a {type(found).__name__}: there is no place that could change")
        if found is not None:
            break
    for namespace in map(_namespace_of_class, _mro(type(owner))):
        found = namespace.get("__dict__")
        if isinstance(found, (types.GetSetDescriptorType, types.MemberDescriptorType)):
            return Item(text, found.__get__(owner), name, **options)
    raise ValueError(f"{text}: a {type(owner).__name__} has no attributes that could change")


def watch_item(text: str, owner: Any, key: Any, **options: Any) -> Watch:
    """A watchpoint on an item of a dictionary or list. ValueError: it is none."""
    if isinstance(owner, list):
        if type(key) is not int:
            raise ValueError(f"{text}: an item of a list is watched by its index, which is an int")
        return Item(text, owner, key, **options)
    if not isinstance(owner, dict):
        raise ValueError(
            f"{text}: only items of dictionaries and lists can be watched, not of a {type(owner).__name__}"
        )
    if not _is_plain(key):
        raise ValueError(f"{text}: looking up a key of type {type(key).__name__} would run code of the program")
    return Item(text, owner, key, **options)


def _is_plain(key: Any) -> bool:
    return type(key) in _KEYS and (type(key) in _SCALARS or all(map(_is_plain, key)))


def _mro(cls: type) -> tuple[type, ...]:
    return type.__dict__["__mro__"].__get__(cls)  # type: ignore[no-any-return]


def _namespace_of_class(cls: type) -> Any:
    return type.__dict__["__dict__"].__get__(cls)


class Catch(Place):
    """Exceptions: where they are raised, or where nothing has handled them."""

    kind = "catchpoint"

    def __init__(self, types: "tuple[type | Named, ...]", text: str, uncaught: bool, **options: Any) -> None:
        super().__init__(**options)
        self.types, self.text, self.uncaught = types, text, uncaught

    def where(self) -> str:
        return f"{'uncaught' if self.uncaught else 'raise'} {self.text}".rstrip()

    def catches(self, frame: FrameType, exception: BaseException, traceback: Any) -> bool:
        """Whether it stops at an exception that has come to `frame`."""
        mro = _mro(type(exception))
        if self.types and not any(one in mro for one in self.types):
            return False  # `Named` is equal to classes
        opname = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if self.uncaught:
            return is_bottom(frame) and not _is_covered(frame)
        if isinstance(exception, (StopIteration, StopAsyncIteration)) and opname in (
            "FOR_ITER",
            "SEND",
            "END_ASYNC_FOR",
        ):
            return False
        if opname == "RERAISE":
            return False
        # What has come from a frame above has been raised there.
        return traceback is None or traceback.tb_next is None or opname == "RAISE_VARARGS"


class Named:
    """Classes of one name, whichever process they are in; equal to those."""

    # What is `__main__` in one process may be a module of another one.
    _MAIN = frozenset({"__main__", "__mp_main__"})

    def __init__(self, module: str, qualname: str) -> None:
        self.name = module, qualname

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type):
            return NotImplemented
        (module, qualname), (theirs, their_name) = self.name, _name_of(other)
        return qualname == their_name and (module == theirs or {module, theirs} <= self._MAIN)

    __hash__ = None  # type: ignore[assignment]


def _name_of(cls: type) -> tuple[str, str]:
    descriptors = type.__dict__
    return descriptors["__module__"].__get__(cls), descriptors["__qualname__"].__get__(cls)


def told(place: bdb.Breakpoint) -> dict[str, Any] | None:
    """By what `made` makes the same place in another process; None: it is of this process' objects."""
    if isinstance(place, Instructions):
        code = {name: getattr(place.code, name) for name in ("co_filename", "co_firstlineno", "co_qualname")}
        bytecode = place.code.co_code.hex()
        return {"code": code, "bytecode": bytecode, "wanted": sorted(place.wanted), "what": place.what}
    if isinstance(place, Catch):
        names = [one.name if isinstance(one, Named) else _name_of(one) for one in place.types]
        return {"classes": names, "text": place.text, "uncaught": place.uncaught}
    return None


def made(place: dict[str, Any], **options: Any) -> Place:
    """What `told` has been asked about."""
    if "classes" in place:
        return Catch(tuple(Named(*name) for name in place["classes"]), place["text"], place["uncaught"], **options)
    # Compared with those of this process.
    code: Any = types.SimpleNamespace(**place["code"], co_code=bytes.fromhex(place["bytecode"]))
    return Instructions(code, place["wanted"], place["what"], **options)


def _is_covered(frame: FrameType) -> bool:
    entries = dis._parse_exception_table(frame.f_code)  # type: ignore[attr-defined]
    return any(one.start <= frame.f_lasti < one.end for one in entries)


_BDB = str(bdb._module.__file__)
_OWN = (__file__.rpartition("_places")[0], _BDB, _BDB.replace("bdb.py", "pdb.py"))


def is_own(code: CodeType) -> bool:
    """Whether code is the debugger's."""
    return code.co_filename.startswith(_OWN)


def is_bottom(frame: FrameType) -> bool:
    """Whether nothing of the program has called a frame."""
    return frame.f_back is None or is_own(frame.f_back.f_code)


def behind(code: CodeType, writers: frozenset[int], in_place: bool = False) -> Iterator[int]:
    """The instructions behind those with one of these opcodes, with `in_place` behind operators in place too, and where handlers begin."""
    units = code.co_code
    writes = False
    for offset in range(0, len(units), 2):
        opcode = units[offset]
        if opcode == 0:  # CACHE
            continue
        if writes:
            yield offset
        writes = opcode in writers or (in_place and opcode == _BINARY_OP and units[offset + 1] in _IN_PLACE)


def _instruction_before(code: CodeType, offset: int) -> Any:
    """The instruction before the one at `offset`, if it may write."""
    before = None
    for one in _instructions(code):
        if one.offset >= offset:
            break
        before = one
    if before is None or before.opname == "PUSH_EXC_INFO":
        return None
    writes = before.opname.startswith((*_WRITING, "STORE_", "DELETE_", "LOAD_FAST_AND_CLEAR"))
    return before if writes else None


def _instructions(code: CodeType) -> list[Any]:
    try:
        return list(_core.instructions(code))
    except ValueError:  # none of a compiler's
        return []


def described(instruction: Any) -> str:
    """An instruction's name and argument."""
    arg = "" if instruction.arg is None else str(instruction.arg)
    if instruction.argrepr:
        arg += f" ({instruction.argrepr})"
    return f"{instruction.opname:<28} {arg}".rstrip()


def _short(value: Any) -> str:
    return repr(value) if value is NOT_SET else str(_core.short_repr(value))
