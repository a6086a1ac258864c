"""What code objects are made from. It is left out by the tests, so that what they make is the same with and without debugop."""


def function(x):
    return x


BYTES = function.__code__.co_code


def outer(x):
    def inner(y):
        return x + y

    return inner
