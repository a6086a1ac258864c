"""Loops: `for` and `while`, with `break`, `continue` and `else`.

Look at FOR_ITER: it puts the next item on the iterator, or, when there is none, jumps out of the loop. `else` is where
that jump leads; `break` jumps over it and has to pop the iterator first. JUMP_BACKWARD closes each round.
"""


def search(rows, wanted):
    for number, row in enumerate(rows):
        if not row:
            continue
        for value in row:
            if value == wanted:
                break
        else:
            continue
        return number
    else:
        return None


def halve(number):
    steps = 0
    while number > 1:
        number //= 2
        steps += 1
    else:
        return steps


print(search([[1], [], [2, 3]], 3), search([[1]], 5), halve(9))
