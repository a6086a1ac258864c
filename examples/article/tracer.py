"""A generator, a comprehension and an exception, as `DummyTrace` reports them; calls are followed by themselves."""

from debugop.article import DummyTrace


def numbers():
    try:
        yield 1
        yield 0
    finally:
        print("closed")


def invert(number):
    return 1 / number


def main():
    try:
        return [invert(number) for number in numbers()]
    except ZeroDivisionError as error:
        return str(error)


trace = DummyTrace(main)
print("main returned", repr(trace.call()))
trace.do_report()
