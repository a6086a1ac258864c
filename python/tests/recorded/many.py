"""Many threads at once: the frames of each have room where a chunk begins."""

import threading


def wait(event, depth):
    if depth:
        return wait(event, depth - 1) + 1
    event.wait()
    return sum(range(3))


def work(count):
    total = 0
    for number in range(count):
        total += number
    return total


def deep(depth):
    if depth:
        result = deep(depth - 1)
        return result + 1
    event = threading.Event()
    threads = [threading.Thread(target=wait, args=(event, 3)) for _ in range(60)]
    for thread in threads:
        thread.start()
    result = work(1000)
    event.set()
    for thread in threads:
        thread.join()
    return result


print(deep(80))
