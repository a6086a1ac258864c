"""Locals that a trace function assigns to: before 3.13 the interpreter stores them when the function has returned."""

import sys


def outer(n):
    shared = [n]

    def called(n, unbound=None):
        nonlocal shared
        total, text, later = 0, "a", None
        for i in range(n):
            total = total + i
            made = [total, shared, text]
            later = [later, made][i == 2]
        del made
        return total, later, shared

    return called(n), shared


def generated(n):
    total = 0
    for i in range(n):
        got = yield total
        total = total + i
    return got


def handled(n):
    total, later = 0, None
    for i in range(n):
        try:
            total = total + i
            later = [total][i]
        finally:
            total = [total, later, i]
            print(total)


VALUES = [7, 2.5, "text", None, (1, 2), 10**30, [3]]


class Assigns:
    """Does so now and then, but not before a frame has come to its first line: nobody has told of it then."""

    def __init__(self, names, opcodes):
        self.names = names
        self.opcodes = opcodes
        self.count = 0
        self.begun = set()

    def __call__(self, frame, event, arg):
        code = frame.f_code
        if code.co_name not in ("called", "generated", "handled"):
            return self
        frame.f_trace_opcodes = self.opcodes
        self.count += 1
        if event == "call" and frame.f_lineno == code.co_firstlineno:
            self.begun.discard(id(frame))
        if event == "call" or frame.f_lineno == code.co_firstlineno:
            return self
        if id(frame) not in self.begun:
            self.begun.add(id(frame))
            return self
        name = self.names[self.count % len(self.names)]
        if self.count % 3 == 0 and name in code.co_varnames + code.co_freevars:
            value = VALUES[self.count % len(VALUES)]
            frame.f_locals[name] = self.count if name in ("total", "i") else value
        return self


def main():
    for opcodes in (False, True):
        for names in (["total"], ["shared", "text"], ["later", "i"], ["unbound", "total", "shared"]):
            sys.settrace(Assigns(names, opcodes))
            print(outer(5))
            made = generated(4)
            print([made.send(None) for _ in range(3)])
            try:
                handled(4)
            except (IndexError, TypeError) as error:
                print(error)
            sys.settrace(None)


for _ in range(2):
    main()
