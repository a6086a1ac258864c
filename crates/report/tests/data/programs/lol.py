def lol(x):
    for i in range(x):
        if i == 2:
            break
    return i


lol(5)
