import threading


def work(name):
    return name * 2


thread = threading.Thread(target=work, args=("ab",))
thread.start()
thread.join()
work("c")
