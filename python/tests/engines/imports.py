"""Modules that are imported from source, cached bytecode, bytecode without source, a zip file and by a loader of their own."""

import importlib.abc
import importlib.util
import operator
import os
import py_compile
import sys
import tempfile
import zipfile


class Base:
    """What the modules' class bodies inherit from."""


TEXT = """
'''A module.'''
from __main__ import Base

class Inside(Base):
    value = {number}

    def method(self):
        return self.value

def function(x):
    return [Inside().method() + y for y in range(x)]

RESULT = function(3)
"""


class Loader(importlib.abc.Loader):
    def create_module(self, spec):
        return None

    def exec_module(self, module):
        code = compile(TEXT.format(number=5), "generated/by_loader.py", "exec")
        exec(code, module.__dict__)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "by_loader":
            return importlib.util.spec_from_loader(name, Loader())
        return None


def write(path, number):
    with open(path, "w") as file:
        file.write(TEXT.format(number=number))
    return path


def main():
    sys.path[:0] = ["", "modules.zip"]
    sys.meta_path.insert(0, Finder())
    write("from_source.py", 1)
    py_compile.compile(write("from_cache.py", 2), dfile="from_cache.py")
    write("without_source.py", 3)
    py_compile.compile("without_source.py", "without_source.pyc", "without_source.py")
    os.remove("without_source.py")
    write("zipped.py", 4)
    with zipfile.ZipFile("modules.zip", "w") as archive:
        archive.write("zipped.py")
    os.remove("zipped.py")
    importlib.invalidate_caches()
    os.mkdir("package")
    write("package/__init__.py", 6)
    write("package/part.py", 7)
    import by_loader
    import from_cache
    import from_source
    import package.part
    import without_source
    import zipped

    results = [
        module.RESULT for module in (from_source, from_cache, without_source, zipped, by_loader, package, package.part)
    ]
    importlib.reload(from_source)
    print(results, from_source.function(1))


# The folder's name, which no two runs have in common, never comes to stand on the stack.
folder = tempfile.TemporaryDirectory()
list(map(os.chdir, map(operator.attrgetter("name"), [folder])))
main()
os.chdir("/")
folder.cleanup()
