"""Traces and threads."""

import sys
import threading
import time

import debugop
import pytest
from oracle.running import running_code


def work(n):
    total = 0
    for i in range(n):
        total += i
    return total


def in_threads(count, function):
    """Run `function(number)` in `count` threads at once; their results, in order."""
    results = [None] * count
    barrier = threading.Barrier(count)

    def run(number):
        barrier.wait()
        results[number] = function(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture(autouse=True)
def switch_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def alone(n):
    with debugop.trace(work) as trace:
        work(n)
    return [(record.instruction.offset, record.stack) for record in trace]


def test_each_thread_reports_its_own_steps():
    expected = alone(50)
    with debugop.trace(work) as trace:
        idents = in_threads(6, lambda number: (work(50), threading.get_ident()))
    by_thread = {}
    for record in trace:
        by_thread.setdefault(record.thread, []).append((record.instruction.offset, record.stack))
    assert len(by_thread) >= 1
    assert sum(map(len, by_thread.values())) == 6 * len(expected)
    for ident in {ident for _, ident in idents}:
        steps = by_thread[ident]
        whole = [steps[start : start + len(expected)] for start in range(0, len(steps), len(expected))]
        # An identifier may be used again by a later thread, whose steps then follow.
        assert all(shown(one) == shown(expected) for one in whole)
    assert [record.number for record in trace] == list(range(1, len(trace) + 1))


def shown(steps):
    return [(offset, [str(value) for value in stack]) for offset, stack in steps]


def test_callbacks_run_on_the_thread_that_is_traced():
    wrong = []

    def callback(step):
        if step.thread != threading.get_ident() or step.frame.f_code is not work.__code__:
            wrong.append(step)
        list(step.stack)

    with debugop.trace(work, callback) as trace:
        assert in_threads(4, lambda number: work(100)) == [4950] * 4
    assert wrong == []
    assert trace.steps > 4 * 100


def test_started_here_and_stopped_there():
    original = work.__code__
    trace = debugop.trace(work)
    trace.start()
    assert running_code(work) is not original
    assert work.__code__ is original
    in_threads(1, lambda number: trace.stop())
    assert running_code(work) is work.__code__ is original
    assert not trace.active
    work(3)
    assert len(trace) == 0


def test_stopped_while_another_thread_is_in_the_code():
    trace = debugop.trace(work)
    trace.start()
    result = []
    thread = threading.Thread(target=lambda: result.append(work(200_000)))
    thread.start()
    while not trace.steps:
        time.sleep(0.001)
    trace.stop()
    steps = trace.steps
    thread.join()
    assert result == [sum(range(200_000))]
    assert trace.steps == steps == len(trace)
    assert not any(type(constant) is debugop.Site for constant in work.__code__.co_consts)


def test_traces_of_the_same_function_started_and_stopped_by_many_threads():
    original = work.__code__

    def run(number):
        counts = set()
        for _ in range(30):
            with debugop.trace(work, where=debugop.opcode("RESUME")) as trace:
                assert work(5) == 10
                counts.add(len(trace) >= 1)
        return counts

    assert in_threads(4, run) == [{True}] * 4
    assert running_code(work) is work.__code__ is original


def test_one_trace_entered_by_many_threads():
    original = work.__code__
    trace = debugop.trace(work)

    def run(number):
        for _ in range(50):
            assert trace(4) == 6
        return True

    assert in_threads(4, run) == [True] * 4
    assert not trace.active
    assert running_code(work) is work.__code__ is original
    # Whoever came last before it was ended saw a whole call.
    assert len(trace) >= 200 * len(alone(4)) * 0.5


def test_a_slow_callback_does_not_mix_threads_up():
    seen = {}

    def callback(step):
        before = (step.instruction.offset, len(step.stack), step.frame)
        time.sleep(0.0001)
        after = (step.instruction.offset, len(step.stack), step.frame)
        assert before == after
        seen[step.thread] = seen.get(step.thread, 0) + 1

    with debugop.trace(work, callback):
        assert in_threads(3, lambda number: work(10)) == [45] * 3
    assert sum(seen.values()) == 3 * len(alone(10))
