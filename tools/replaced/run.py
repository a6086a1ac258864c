"""Runs CPython's own tests with debugop's functions and modules in place of the standard library's.

    python tools/replaced/run.py ARGUMENTS OF `python -m test`

`sys.settrace`, `sys.setprofile` and the functions that read what they have set are debugop's; so are `bdb` and `pdb`, which the
processes that the tests start find in the directory `modules` next to this file.
"""

import os
import runpy
import sys

import debugop
import debugop._console
import debugop.bdb

sys.settrace, sys.gettrace = debugop.settrace, debugop.gettrace
sys.setprofile, sys.getprofile = debugop.setprofile, debugop.getprofile
modules = os.path.join(os.path.dirname(os.path.abspath(__file__)), "modules")
os.environ["PYTHONPATH"] = modules
sys.modules["bdb"], sys.modules["pdb"] = debugop.bdb, debugop._console.module
del sys.path[0]
runpy.run_module("test", run_name="__main__", alter_sys=True)
