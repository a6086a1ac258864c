"""A loop, a comparison and a break: the example of the original article.

Look at the right column: it is the value stack before each instruction. The iterator stays at the bottom for as long as
the loop runs, and `break` has to pop it.
"""


def lol(x):
    for i in range(x):
        if i == 2:
            break
    return i


print(lol(5))
