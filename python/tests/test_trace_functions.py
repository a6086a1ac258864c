"""`debugop.settrace` and its like. CPython's own tests of the protocol run with them in `make test-debugger`."""

import sys
import threading

import debugop
import pytest


def program(n):
    total = 0
    for i in range(n):
        total += len([i])
    return total


def events_of(install, run):
    """The events that a trace or profile function is told of while `run` runs, without those of other code."""
    events = []

    def function(frame, event, argument):
        if frame.f_code is program.__code__:
            name = getattr(argument, "__name__", argument)
            events.append((event, frame.f_lineno - program.__code__.co_firstlineno, name))
        return function

    install(function)
    try:
        run()
    finally:
        install(None)
    return events


def test_trace_events_are_those_of_sys():
    mine = events_of(debugop.settrace, lambda: program(2))
    assert mine == events_of(sys.settrace, lambda: program(2))
    assert [event for event, _, _ in mine].count("line") == 7
    assert mine[-1] == ("return", 4, 2)


def test_profile_events_are_those_of_sys():
    mine = events_of(debugop.setprofile, lambda: program(2))
    assert mine == events_of(sys.setprofile, lambda: program(2))
    assert ("c_call", 3, "len") in mine


def test_the_functions_can_be_asked_for():
    def function(frame, event, argument):
        return None

    for install, get, other in (
        (debugop.settrace, debugop.gettrace, sys.settrace),
        (debugop.setprofile, debugop.getprofile, sys.setprofile),
    ):
        assert get() is None
        install(function)
        mine = get()
        other(function)
        theirs = get()
        install(None)
        assert (mine, theirs, get()) == (function, None, None)


def test_an_error_takes_the_function_away():
    def function(frame, event, argument):
        raise ValueError(event)

    for install, get in ((debugop.settrace, debugop.gettrace), (debugop.setprofile, debugop.getprofile)):
        with pytest.raises(ValueError, match=r"^(c_)?call$"):
            fail(install, function)
        assert get() is None


def fail(install, function):
    install(function)
    program(1)


@pytest.mark.parametrize("install", [debugop.settrace_all_threads, debugop.setprofile_all_threads])
def test_every_thread(install):
    """A thread that runs, and one that starts later, are traced; the lines of one that has ended are told once."""
    told = []
    go, ready, done = threading.Event(), threading.Event(), threading.Event()

    def function(frame, event, argument):
        if frame.f_code is program.__code__ and event == "call":
            told.append(threading.current_thread().name)
        return function

    def early():
        ready.set()
        go.wait()
        program(1)
        done.set()

    first = threading.Thread(target=early, name="early")
    first.start()
    ready.wait()
    install(function)
    try:
        go.set()
        done.wait()
        late = threading.Thread(target=program, args=(1,), name="late")
        late.start()
        late.join()
        program(1)
    finally:
        install(None)
    first.join()
    program(1)
    threading.Thread(target=program, args=(1,), name="afterwards").start()
    assert told == ["early", "late", threading.current_thread().name]


def test_a_jump_is_a_jump():
    log = []

    def jumped():
        log.append(1)
        log.append(2)
        log.append(3)

    first = jumped.__code__.co_firstlineno

    def function(frame, event, argument):
        if frame.f_code is jumped.__code__ and event == "line" and frame.f_lineno == first + 2:
            frame.f_lineno = first + 3
        return function

    debugop.settrace(function)
    jumped()
    debugop.settrace(None)
    assert log == [1, 3]
