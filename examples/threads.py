"""Two threads, one after the other.

Look at the line with "thread 2": from there on the steps are those of another thread, whose boxes begin at the left again. A
lock that is held makes a thread wait inside of a call; the report goes on where a thread executes something.
"""

import sys
import threading

# A thread keeps the interpreter until it waits or ends, so that every run of this program is the same.
sys.setswitchinterval(60)

results = []
lock = threading.Lock()


def work(number):
    with lock:
        results.append(number * number)


for number in (3, 4):
    thread = threading.Thread(target=work, args=(number,))
    thread.start()
    thread.join()

print(results)
