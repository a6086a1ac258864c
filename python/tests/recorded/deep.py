"""Many frames at a time: recursion, exceptions through all of them, generators inside generators."""

import sys

sys.setrecursionlimit(3000)


def down(number):
    if number == 0:
        return 0
    own = [number]
    result = down(number - 1)
    own.append(result)
    return result + len(own)


def fails(number):
    if number == 0:
        raise LookupError(number)
    try:
        return fails(number - 1)
    finally:
        number += 1


def passes(number):
    if number == 0:
        raise LookupError(number)
    return passes(number - 1)


def nested(number):
    if number:
        for item in nested(number - 1):
            yield item + 1
    yield number


def delegating(number):
    if number:
        yield from delegating(number - 1)
    yield number


def endless():
    return endless()


print(down(900), down(1500))
for function in (fails, passes):
    for number in (5, 300, 1200):
        try:
            function(number)
        except LookupError as error:
            print(function.__name__, error.args)
print(sum(nested(60)), sum(delegating(90)))
try:
    endless()
except RecursionError:
    print("too deep")
