"""Children: subprocess, multiprocessing with fork and spawn, os.fork, a process pool."""

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys


def square(number):
    if number == 13:
        raise ValueError("unlucky")
    return number * number


def fill(queue, words):
    for word in words:
        queue.put(word.upper())
    queue.put(None)
    sys.exit(4)


def children():
    done = subprocess.run([sys.executable, "-c", "import sys; print(sum(range(10))); sys.exit(3)"], capture_output=True)
    print(done.returncode, done.stdout)
    with subprocess.Popen([sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        print(child.communicate("print(input)\nfor n in range(3): print(n)"), child.returncode)
    print(subprocess.getoutput("echo from a shell"))


def with_context(method):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        print(method, pool.map(square, range(8)), pool.apply(square, (9,)))
        try:
            pool.map(square, [12, 13])
        except ValueError as error:
            print(error)
    queue = context.Queue()
    process = context.Process(target=fill, args=(queue, ["a", "b"]))
    process.start()
    print(list(iter(queue.get, None)))
    process.join()
    print(process.exitcode)


def pool():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        print(list(executor.map(square, range(4))))


def fork():
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        print("child", square(5))
        sys.stdout.flush()
        os._exit(6)
    _, status = os.waitpid(child, 0)
    print("parent", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    children()
    fork()
    with_context("fork")
    with_context("spawn")
    pool()
