"""Threads, one after the other: of `threading`, and of `_thread` without it."""

import _thread
import threading


def work(n):
    total = 0
    for i in range(50):
        total += i * n
    return total


results = []
lock = _thread.allocate_lock()
lock.acquire()


def bare():
    results.append(work(3))
    lock.release()


for number in range(3):
    thread = threading.Thread(target=work, args=(number,))
    thread.start()
    thread.join()
_thread.start_new_thread(bare, ())
lock.acquire()
print(results)
