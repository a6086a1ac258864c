"""The body of a class is a function that is called once, and whose variables become attributes.

Look at `Circle`: STORE_NAME writes into the class's namespace instead of fast locals. `__build_class__` calls the body;
then the metaclass's `__new__` and `__init_subclass__` run, and only after that the name `Circle` is bound. Names of the class are
not seen in its methods, so `area` has to go through `self`.
"""


class Plugin(type):
    def __new__(metaclass, name, bases, namespace, **options):
        namespace["made_by"] = metaclass.__name__
        return super().__new__(metaclass, name, bases, namespace, **options)


class Shape:
    known = []

    def __init_subclass__(cls, /, sides=0):
        cls.sides = sides
        Shape.known.append(cls.__name__)


class Circle(Shape, metaclass=Plugin, sides=1):
    factor = 3
    names = [f"{factor}", "round"]
    if factor > 2:
        precise = True

    def __init__(self, radius):
        self.radius = radius

    def area(self):
        return self.factor * self.radius**2


print(Circle(2).area(), Circle.sides, Circle.made_by, Circle.names, Shape.known)
