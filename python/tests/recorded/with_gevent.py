"""gevent: greenlets that wait for each other, for time and for threads, and are killed."""

import gevent
import gevent.event
import gevent.pool
import gevent.queue

queue, done, log = gevent.queue.Queue(2), gevent.event.Event(), []


def produces(count):
    for number in range(count):
        queue.put(number * number)
        if number % 5 == 0:
            gevent.sleep(0)
    queue.put(None)


def consumes():
    total = 0
    while (item := queue.get()) is not None:
        total += item
        log.append(total)
    done.set()
    return total


def waits():
    done.wait()
    return len(log)


def is_killed():
    try:
        while True:
            gevent.sleep(0.001)
    finally:
        log.append("killed")


def twice(number):
    gevent.sleep(0)
    return number * 2


def adds(count):
    return sum(number for number in range(count))


def main():
    all_of_them = [gevent.spawn(produces, 40), gevent.spawn(consumes), gevent.spawn(waits)]
    gevent.joinall(all_of_them)
    print([one.value for one in all_of_them])
    print([one.get() for one in [gevent.get_hub().threadpool.spawn(adds, 1000 + number) for number in range(4)]])
    one = gevent.spawn(is_killed)
    gevent.sleep(0.005)
    one.kill()
    print(log[-1], sum(gevent.pool.Pool(7).imap_unordered(twice, range(100))))


main()
