"""Runs CPython's own tests with debugop's functions and modules in place of the standard library's.

    python tools/replaced/run.py ARGUMENTS OF `python -m test`

`sys.settrace`, `sys.setprofile` and the functions that read what they have set are debugop's; `bdb` and `pdb` are found in
the directory `modules` next to this file, by the processes that the tests start too.
"""

import os
import runpy
import sys

import debugop

sys.settrace, sys.gettrace = debugop.settrace, debugop.gettrace
sys.setprofile, sys.getprofile = debugop.setprofile, debugop.getprofile
modules = os.path.join(os.path.dirname(os.path.abspath(__file__)), "modules")
os.environ["PYTHONPATH"] = modules
sys.path[0] = modules
runpy.run_module("test", run_name="__main__", alter_sys=True)
