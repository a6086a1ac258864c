"""What objects make the interpreter call: descriptors, metaclasses, operators, context managers."""

import abc
import enum
import operator


class Descriptor:
    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, instance, owner):
        return self if instance is None else getattr(instance, self.name, 0)

    def __set__(self, instance, value):
        setattr(instance, self.name, value)

    def __delete__(self, instance):
        delattr(instance, self.name)


class Meta(type):
    @classmethod
    def __prepare__(mcls, name, bases, **keywords):
        return {"prepared": True}

    def __new__(mcls, name, bases, namespace, **keywords):
        return super().__new__(mcls, name, bases, namespace)

    def __init__(cls, name, bases, namespace, **keywords):
        super().__init__(name, bases, namespace)

    def __call__(cls, *args):
        return super().__call__(*args)

    def __instancecheck__(cls, instance):
        return True

    def __getitem__(cls, item):
        return item

    def __len__(cls):
        return 1


class Base:
    def __init_subclass__(cls, **keywords):
        cls.subclassed = True


class Object(Base, metaclass=Meta, key=1):
    field = Descriptor()

    def __init__(self, value):
        self.value = value

    def __getattr__(self, name):
        if name.startswith("dynamic"):
            return name
        raise AttributeError(name)

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)

    def __add__(self, other):
        return Object(self.value + other.value)

    def __radd__(self, other):
        return Object(other + self.value)

    def __iadd__(self, other):
        self.value += other
        return self

    def __neg__(self):
        return Object(-self.value)

    def __bool__(self):
        return self.value > 0

    def __eq__(self, other):
        return self.value == other.value

    def __lt__(self, other):
        return self.value < other.value

    def __hash__(self):
        return self.value

    def __getitem__(self, key):
        return key

    def __setitem__(self, key, value):
        self.value = value

    def __delitem__(self, key):
        self.value = 0

    def __contains__(self, item):
        return item == self.value

    def __call__(self, *args, **keywords):
        return args, keywords

    def __index__(self):
        return self.value

    def __format__(self, spec):
        return f"{self.value:{spec}}"

    def __str__(self):
        return "object"

    def __repr__(self):
        return "Object()"

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return exception[0] is KeyError

    def __matmul__(self, other):
        return NotImplemented

    def __rmatmul__(self, other):
        return "rmatmul"


class Colour(enum.Enum):
    RED = 1
    BLUE = 2

    @property
    def lower(self):
        return self.name.lower()

    @classmethod
    def _missing_(cls, value):
        return cls.RED


class Abstract(abc.ABC):
    @abc.abstractmethod
    def method(self):
        return "abstract"


class Concrete(Abstract):
    def method(self):
        return super().method()


class Attributes:
    @property
    def readable(self):
        return 1

    @readable.setter
    def readable(self, value):
        self.kept = value

    @readable.deleter
    def readable(self):
        del self.kept

    @staticmethod
    def static():
        return "static"

    @classmethod
    def of_class(cls):
        return cls.__name__

    def __getattribute__(self, name):
        return object.__getattribute__(self, name)


def main():
    one, two = Object(1), Object(2)
    one.field = 4
    print(one.field, Object.field is not None, one.dynamic_name)
    del one.field
    print((one + two).value, (3 + one).value, (-one).value, bool(one), one == two, one < two, max(one, two))
    one += 3
    one["key"] = 5
    print(one["key"], 5 in one, one(1, a=2), [10, 20, 30, 40, 50, 60][one], f"{one:03d} {one!s} {one!r}")
    del one["key"]
    print(hash(one), isinstance(3, Object), Object[4], len(Object), Object.subclassed, Object.prepared)
    with one as entered:
        print(entered is one)
    with one:
        raise KeyError("swallowed")
    try:
        with one:
            raise ValueError("not swallowed")
    except ValueError as error:
        print(error)
    try:
        print(one @ two)
    except TypeError as error:
        print(error)
    print(3 @ two, operator.add(one, two).value)
    print(Colour.RED.lower, Colour("unknown"), list(Colour))
    print(Concrete().method())
    attributes = Attributes()
    attributes.readable = 2
    print(attributes.readable, attributes.static(), attributes.of_class())
    del attributes.readable
    try:
        one.missing  # noqa: B018
    except AttributeError as error:
        print(error)


main()
