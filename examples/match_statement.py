"""`match` tries one pattern after the other on a copy of the subject.

Look at MATCH_SEQUENCE, MATCH_MAPPING, MATCH_KEYS, MATCH_CLASS and GET_LEN: they leave the subject where it is and put what they
found on top. A pattern that fails half-way has to pop what it has put there; follow the jumps.
"""


class Point:
    __match_args__ = ("x", "y")

    def __init__(self, x, y):
        self.x = x
        self.y = y


def describe(subject):
    match subject:
        case 0 | 1:
            return "small"
        case [first, *rest] if rest:
            return f"{first} and {len(rest)} more"
        case {"name": str(name), **others}:
            return f"{name} {others}"
        case Point(0, y=height):
            return f"on the axis at {height}"
        case _:
            return "something"


for thing in (1, [1, 2, 3], [1], {"name": "Ada", "age": 36}, Point(0, 5), Point(1, 5)):
    print(describe(thing))
