"""Threads of the standard library's makers: http.server with clients, pools, timers, conditions, thread-local data."""

import concurrent.futures
import http.server
import itertools
import queue
import socketserver
import threading
import urllib.error
import urllib.request


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/missing"):
            self.send_error(404, "not here")
            return
        body = f"{self.path} to {self.headers['X-Name']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = False
    request_queue_size = 64


def fetch(address, number):
    request = urllib.request.Request(f"{address}/page/{number}", headers={"X-Name": f"client {number}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.status, answer.read().decode()


def serve_and_fetch():
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = "http://{}:{}".format(*server.server_address)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for answer in pool.map(fetch, itertools.repeat(address), range(12)):
                print(*answer)
        with urllib.request.urlopen(urllib.request.Request(address, data=b"abc"), timeout=20) as answer:
            print(answer.status, answer.read())
        try:
            urllib.request.urlopen(f"{address}/missing", timeout=20)
        except urllib.error.HTTPError as error:
            print(error.code, error.reason)
            error.close()
        server.shutdown()
        thread.join()


def primes(start, stop):
    return [n for n in range(max(start, 2), stop) if all(n % d for d in range(2, int(n**0.5) + 1))]


def pools():
    with concurrent.futures.ThreadPoolExecutor(3, thread_name_prefix="primes") as pool:
        waiting = {pool.submit(primes, start, start + 200): start for start in range(0, 2000, 200)}
        found = {waiting[done]: done.result() for done in concurrent.futures.as_completed(waiting)}
        failed = pool.submit(int, "x")
        print(sum(map(len, found.values())), [found[start][-1] for start in sorted(found)], repr(failed.exception()))
        slow = pool.submit(threading.Event().wait, 0.05)
        done, rest = concurrent.futures.wait([slow], timeout=10)
        print(len(done), len(rest))


def hand_over():
    line, answers, local = queue.Queue(2), [], threading.local()
    condition = threading.Condition()

    def consume(name):
        local.seen = []
        while (item := line.get()) is not None:
            local.seen.append(item)
        with condition:
            answers.append((name, len(local.seen), sum(local.seen)))
            condition.notify()

    threads = [threading.Thread(target=consume, args=(n,), daemon=True) for n in range(3)]
    for thread in threads:
        thread.start()
    for number in range(300):
        line.put(number)
    for _ in threads:
        line.put(None)
    with condition:
        condition.wait_for(lambda: len(answers) == 3, timeout=20)
    print(sum(count for _, count, _ in answers), sum(total for _, _, total in answers))
    fired = threading.Event()
    threading.Timer(0.01, fired.set).start()
    print(fired.wait(20))


def fail_in_a_thread():
    threading.excepthook = lambda args: print("in a thread:", repr(args.exc_value))
    thread = threading.Thread(target=lambda: {}["no"])
    thread.start()
    thread.join()


if __name__ == "__main__":
    serve_and_fetch()
    pools()
    hand_over()
    fail_in_a_thread()
