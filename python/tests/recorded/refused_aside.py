"""What is told of a frame raises; before the frame has gone, or its handler has been come to, another thread runs for a while and begins chunks."""

import sys
import threading

if sys.version_info < (3, 12):
    print("sys.monitoring is new in 3.12")
    sys.exit()

M = sys.monitoring
# Taken as long as the other thread does not let go of it.
turn = threading.Lock()
turn.acquire()
done = threading.Event()


class Refused(Exception):
    pass


class Aside:
    """Ends when the other thread has run: no instruction of this one is executed meanwhile."""

    __del__ = staticmethod(turn.acquire)


def called(n):
    return [n, str(n), [n]]


def others():
    seen = []
    while not done.is_set():
        seen = [called(i) for i in range(8)]
        if turn.locked():
            turn.release()
    return seen


def left(n):
    aside = Aside()
    while n:
        n -= 1
    return aside


def handled(n):
    try:
        aside = Aside()
        while n:
            n -= 1
        aside = n
    except Refused:
        aside = [n]
        aside = None
    return aside


def within(n):
    seen = []
    for i in range(n):
        try:
            aside = Aside()
            if i % 2:
                seen.append(i)
        except Refused:
            aside = None
        seen = [seen, aside is None]
    return seen


def around(n):
    for function in (left, handled, within):
        try:
            aside = function(n)
            aside = None
        except Refused:
            aside = called(n)
    return aside


def main(event):
    M.use_tool_id(1, "refused")
    codes = [function.__code__ for function in (left, handled, within)]
    left_to_tell = 0

    def callback(*_):
        nonlocal left_to_tell
        left_to_tell -= 1
        if left_to_tell == 0:
            raise Refused

    M.register_callback(1, event, callback)
    other = threading.Thread(target=others)
    other.start()
    for refused_at in range(1, 40):
        left_to_tell = refused_at
        for code in codes:
            M.set_local_events(1, code, event)
        around(3)
        for code in codes:
            M.set_local_events(1, code, 0)
    done.set()
    other.join()
    M.free_tool_id(1)


main(getattr(M.events, sys.argv[1] if sys.argv[1:] else "LINE"))
