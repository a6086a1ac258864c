"""CPython's own tests, with and without debugop: `tools/cpython_tests.py` in parts.

files    which test files are left out, and which make the fast subset: data
reasons  why some tests differ: data
runs     one test file, run one way, and the outcome of each test in it
compare  the outcomes of one file, both ways
page     docs/compatibility.md
"""
