"""Attribute access that runs code.

Look at LOAD_ATTR, STORE_ATTR and DELETE_ATTR on an instance: boxes open inside of them, for the property, for the methods of the
descriptor, and for `__getattr__`, which is asked only for names that were not found otherwise.
"""


class Positive:
    def __set_name__(self, owner, name):
        self.key = "_" + name

    def __get__(self, instance, owner):
        return self if instance is None else getattr(instance, self.key)

    def __set__(self, instance, value):
        if value <= 0:
            raise ValueError(value)
        setattr(instance, self.key, value)

    def __delete__(self, instance):
        delattr(instance, self.key)


class Box:
    width = Positive()

    def __init__(self, width):
        self.width = width

    @property
    def area(self):
        return self.width**2

    def __getattr__(self, name):
        return "no " + name


box = Box(3)
box.width += 1
print(box.area, box.color)
try:
    box.width = -1
except ValueError as error:
    print("refused", error)
del box.width
print(box.width)
