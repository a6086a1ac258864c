"""Why some of CPython's tests differ with debugop: data.

Each reason is (versions, pattern, why). `versions` is a string of minor versions, "" for all; `pattern` is matched against
a test's id as `fnmatch` does. What no reason covers is a finding, and `make test-cpython` fails.
"""

import fnmatch

SPECIALISED = (
    "Looks for specialised instructions in a code object that has run. The copy with probes has run, and is specialised; "
    "programs are shown the original, which is not."
)
C_API = (
    "Compares what a function, frame or generator says with what C functions (`PyFunction_GetCode`, `PyFrame_GetCode`, "
    "`PyFrame_GetLasti`, function watchers) say of it: those see the copy with probes."
)

REASONS = (
    ("", "test.test_type_cache.TypeCacheWithSpecializationTests.*", SPECIALISED),
    ("", "test.test_dis.*quickened", SPECIALISED),
    ("", "test.test_dis.*specialize*", SPECIALISED),
    ("", "test.test_dis.*.test_loop_quicken", SPECIALISED),
    ("3.11", "test.test_dis.*.test_show_caches", SPECIALISED),
    ("", "test.test_dis.*.test_super_instructions", SPECIALISED),
    ("", "test.test_opcache.TestCallCache.*", SPECIALISED),
    ("", "test.test_opcache.TestRacesDoNotCrash.*", SPECIALISED),
    ("", "test.test_opcache.TestSpecializer.*", SPECIALISED),
    ("", "test.test_monitoring.ExceptionMonitoringTest.test_no_unwind_for_shim_frame", SPECIALISED),
    ("", "test.test_frame.TestCAPI.test_frame_getters", C_API),
    ("", "test.test_code.CodeTest.test_stateless", C_API),
    ("", "test.test_capi.test_misc.CAPITest.test_function_get_code", C_API),
    ("", "test.test_capi.test_misc.*.test_gen_get_code", C_API),
    ("", "test.test_capi.test_misc.TestInternalFrameApi.test_code", C_API),
    ("", "test.test_capi.test_misc.TestInternalFrameApi.test_lasti", C_API),
    ("", "test.test_capi.test_frame.FrameTest.test_frame_getters", C_API),
    ("", "test.test_capi.test_misc.Test_FrameAPI.test_frame_getters", C_API),
    ("", "test.test_capi.test_function.FunctionTest.test_function_get_code", C_API),
    ("", "test.test_capi.test_watchers.TestFuncWatchers.test_func_events_dispatched", C_API),
)


def reason(minor, name):
    """Why the test `name` differs on CPython `minor`; None if that is not known."""
    for versions, pattern, why in REASONS:
        if (not versions or minor in versions.split()) and fnmatch.fnmatchcase(name, pattern):
            return why
    return None
