"""Lists of every length that change at their ends, and in more places than one at a time."""

LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20)


def values(at):
    return at, at + 256, -at - 6, at / 2, at % 2 == 0, None, str(at), (at,), 1 << (at + 60)


def ends():
    """Items come and go at the end, one and more at a time, within what is recorded of a list and beyond it."""
    for count in LENGTHS:
        for value in values(count):
            row = []
            for at in range(count):
                row.append(value)
                row.append(at)
            row += [value, value]
            row[1:3] = [value, count, row]
            row.pop()
            row[:] = [at + 1000 for at in range(count)]
            row[:] = reversed(row)
            row.reverse()
            row[count // 2] = 1 << 29
            row[:] = [value] * count
            row[0] = -(1 << 29)
            row.append(1 << 70)
            del row[count // 2 :]
            row.append((at, value))
            row.append([value for _ in row])
            row.clear()
            row.append(row)


ends()
print("done")
