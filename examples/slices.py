"""Subscripts and slices.

Look at the stack before BINARY_SUBSCR (a BINARY_OP with [] from 3.14 on), BINARY_SLICE, STORE_SLICE and DELETE_SUBSCR: the container,
then the key. A slice with a step is an object made by BUILD_SLICE. `Grid` shows what its methods are given.
"""


class Grid:
    def __getitem__(self, key):
        return key

    def __setitem__(self, key, value):
        print("set", key, value)


letters = list("abcdef")
low = 1
print(letters[0], letters[-1], letters[low:3], letters[::-2])
letters[low:3] = ["X"]
letters[0] += "!"
del letters[2:], letters[-1]
print(letters)

grid = Grid()
print(grid[1, low:], grid[...])
grid[low:2] = "cell"
