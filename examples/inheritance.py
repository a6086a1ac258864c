"""`super()` follows the method resolution order of the instance, not of the class where it is written.

Look at the boxes: `Colored.describe` calls `Sized.describe`, which it knows nothing of, because Mug inherits from both. LOAD_SUPER_ATTR
(3.12+) does in one instruction what used to be a call of `super` and a LOAD_METHOD; it finds the class in the cell
`__class__`.
"""


class Thing:
    def describe(self):
        return ["thing"]


class Colored(Thing):
    def describe(self):
        return ["red", *super().describe()]


class Sized(Thing):
    def describe(self):
        return ["large", *super().describe()]


class Mug(Colored, Sized):
    def __init__(self, owner):
        super().__init__()
        self.owner = owner

    def describe(self):
        return [self.owner, *super().describe()]


print(Mug("Ada's").describe())
