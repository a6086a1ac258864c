"""A decorator is a call around a definition.

Look at the order: the expressions behind @ are evaluated from top to bottom and wait on the stack, the function is made, and
then the calls happen from bottom to top, each taking the result of the one before. Nothing of `add` itself runs until the
last line.
"""


def shout(function):
    def louder(*args):
        return function(*args) + "!"

    return louder


def repeat(times):
    def decorate(function):
        def repeated(*args):
            return " ".join([function(*args)] * times)

        return repeated

    return decorate


@repeat(2)
@shout
def add(a, b):
    return str(a + b)


class Greeter:
    @staticmethod
    def plain():
        return "hello"

    @classmethod
    def named(cls):
        return cls.__name__


print(add(1, 2), Greeter.plain(), Greeter.named())
