"""Which files of CPython's own tests are run: data."""

import fnmatch

# What is left out on every version, with the reason. Tests of the network, a GUI or large files need a resource (`-u`) that
# is not given, and so skip themselves.
LEFT_OUT = (
    ("test_idle", "needs a GUI"),
    ("test_tkinter", "needs a GUI"),
    ("test_ttk", "needs a GUI"),
    ("test.test_gdb.*", "runs gdb on an interpreter with debug symbols"),
)

# Tests that are left out of files that are run, with the reason.
IGNORED = (
    ("*ThreadedVSOCKSocketStreamTest*", "waits for ever in virtual machines whose vsock has no loopback"),
    (
        "*test_shutdown_deadlock_pickle",
        "hangs in one of eight runs of 3.13.0 without debugop: `join_executor_internals` holds `shutdown_lock` and waits for "
        "the thread that feeds the queue, which waits for the lock in `_on_queue_feeder_error`",
    ),
)

# Part of `make test`: what leans most on frames, code objects and the ways in which code is entered and left, and does not
# take long. In this order, of which the longest come first: nothing is known yet in a fresh clone.
FAST = """
    test_threading test_weakref test.test_asyncio.test_eager_task_factory test___all__ test_asyncgen test_atexit
    test_baseexception test_bdb test_builtin test_call test_class test_code test_context test_contextlib
    test_contextlib_async test_copy test_coroutines test_dataclasses test_decorators test_descr test_dict
    test_dictcomps test_dictviews test_doctest test_dynamicclassattribute test_enum test_except_star
    test_exception_group test_exceptions test_extcall test_finalization test_frame test_funcattrs test_functools
    test_gc test_generator_stop test_generators test_genericclass test_genexps test_grammar test_isinstance
    test_iter test_keywordonlyarg test_linecache test_listcomps test_metaclass test_monitoring
    test_named_expressions test_patma test_positional_only_arg test_property test_raise test_runpy test_scope
    test_setcomps test_subclassinit test_super test_sys test_sys_setprofile test_sys_settrace
    test_threading_local test_trace test_traceback test_type_annotations test_type_params test_types test_typing
    test_unpack test_unpack_ex test_userdict test_warnings test_weakset test_with test_yield_from
    test.test_asyncio.test_base_events test.test_asyncio.test_context test.test_asyncio.test_futures
    test.test_asyncio.test_locks test.test_asyncio.test_pep492 test.test_asyncio.test_runners
    test.test_asyncio.test_timeouts test.test_inspect.test_inspect test.test_future_stmt.test_future
""".split()


def left_out(test):
    """Why `test` is not run; None if it is."""
    for pattern, why in LEFT_OUT:
        if fnmatch.fnmatchcase(test, pattern):
            return why
    return None
