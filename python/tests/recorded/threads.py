"""Threads that take turns."""

import queue
import threading


def work(number, todo, done):
    while True:
        item = todo.get()
        if item is None:
            break
        total = 0
        for step in range(200):
            total += step * item
        done.append((number, total))


todo, done = queue.Queue(), []
threads = [threading.Thread(target=work, args=(number, todo, done), name=f"worker {number}") for number in range(3)]
for thread in threads:
    thread.start()
for item in range(60):
    todo.put(item)
for _ in threads:
    todo.put(None)
for thread in threads:
    thread.join()
print(len(done), sum(total for _, total in done))
