"""The bytes that `marshal` writes of code before and after it has run."""

import hashlib
import marshal

SOURCE = """
import os as operating_system
CONSTANT = ("a string with spaces", 1.5, (2, b"bytes"))
def function(first, second=None, *rest, **named):
    '''Its documentation.'''
    local, cell = first, second
    def inner(argument):
        return cell, argument, "a string with spaces", {first, "x y"}
    return [inner(each) for each in rest], lambda: (local, named)
class Class:
    attribute = function(1, 2, 3, 4)[0]
    def method(self):
        return __class__, self.attribute[1:]
async def coroutine():
    async with Class() as entered:
        return entered
Class().method(), function(1, 2, 3)
"""


def written(code):
    values = marshal.dumps(code), marshal.dumps([code, {"key": code.co_consts}])
    return [hashlib.md5(value).hexdigest() for value in values]


def compiled(text):
    return compile(text, "a file name.py", "exec")


for text in (SOURCE, "x = 'a b'", "def f(): return f"):
    code = compiled(text)
    print(written(code))
    names = {}
    exec(code, names)
    print(written(code), [written(one.__code__) for one in names.values() if hasattr(one, "__code__")])
    exec(code, {})
    print(written(code))
    print(marshal.loads(marshal.dumps(code)) == code)


class Buffer(bytes):
    pass


for value in (Buffer(b"x"), object(), [code, object()], (code, Buffer())):
    try:
        print(type(marshal.loads(marshal.dumps(value))))
    except ValueError as error:
        print(error)
loop = [code]
loop.append(loop)
try:
    print(len(marshal.dumps(loop)) > 100)
except ValueError as error:
    print(error)
