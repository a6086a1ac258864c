class Broken(Exception):
    pass


def parse(text):
    try:
        return int(text)
    except ValueError as error:
        raise Broken("not a number", text) from error


def attempt(texts):
    total = 0
    for text in texts:
        try:
            total += parse(text)
        except Broken:
            total -= 1
        finally:
            total *= 2
    return total


attempt(["7", "x"])
parse("end")
