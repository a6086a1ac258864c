"""Threads that end while another one records on: the chunk in which they have executed something ends without any switch of threads."""

import collections
import functools
import operator
import threading
import time


def work(found, number):
    found.append(number)
    found[0] = number * 2 + len(found)


def ends(number):
    """Behind `work` the thread waits in C code: the other one goes on while it lives, and records on when it has ended."""
    found, gate = [], threading.Lock()
    gate.acquire()
    calls = map(operator.call, [functools.partial(work, found, number), gate.acquire])
    thread = threading.Thread(target=collections.deque, args=(calls, 0))
    thread.start()
    while not found:
        time.sleep(0.001)
    time.sleep(0.02)
    seen = list(found)
    gate.release()
    thread.join()
    time.sleep(0.005)
    return seen, sum(len(one) for one in fill(300))


def fill(count):
    return [[one, str(one)] for one in range(count)]


print([ends(number) for number in range(10)])
