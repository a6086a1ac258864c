"""Values that nobody has looked at yet when an instruction raises, calls recorded code, or drops what has a finaliser."""

import contextlib
import threading


class P:
    def __init__(self, v):
        self.v = v

    @property
    def prop(self):
        return self.v + 1

    def __add__(self, o):
        return P(self.v + (o.v if isinstance(o, P) else o))

    def __getitem__(self, i):
        if i > 3:
            raise IndexError(i)
        return [self.v, i]

    def __len__(self):
        return 3

    def __bool__(self):
        return self.v > 0

    def __eq__(self, o):
        return self.v == o.v

    def __hash__(self):
        return 7


class Del:
    def __init__(self, log):
        self.log = log

    def __del__(self):
        self.log.append(len(self.log))


def pending_under_property(a, b):
    return (a.v, b.prop, a.prop, b.v, a.v + b.prop)


def pending_raise(a, b, k):
    return a.v, a[0], b.v, b[k], a.missing


def caught(a, b, k):
    out = []
    for i in range(3):
        try:
            out.append((a.v, [i], b[k + i]))
        except IndexError as e:
            out.append((a.v, str(e)))
        try:
            x = (a.v, b.nope)
        except AttributeError:
            x = None
        finally:
            out.append(x)
    return out


def nested_raise(a):
    def inner(k):
        return (a.v, k * 2.5, a[k])

    return [a.v, {"k": a.prop}, inner(9)]


def finaliser(log):
    d = Del(log)
    y = P(3)
    d = y.v
    d = Del(log)
    d, y = y.v, y.prop
    return d, y, log


def unwinding(log, a):
    return [a.v, (Del(log), a.prop), a.v2]


def gen(a):
    for i in range(4):
        got = (a.v, (yield a.prop), a.prop)
        try:
            yield got, a[i + 1]
        except ValueError:
            yield a.v, a.prop


def usegen(a):
    g = gen(a)
    out = [next(g)]
    try:
        while True:
            out.append(g.send(len(out)))
            if len(out) == 4:
                out.append(g.throw(ValueError("x")))
    except (StopIteration, IndexError) as e:
        out.append(type(e).__name__)
    return out


def withs(a):
    with contextlib.suppress(AttributeError):
        return (a.v, a.prop, a.zzz)
    return a.v


def comp(a):
    try:
        return [(a.v, x, a[x]) for x in range(6)]
    except IndexError:
        return dict.fromkeys(range(3), (a.v, a.prop))


def concat(n):
    s = ""
    for i in range(n):
        s = s + str(i) + "abc" * (s.count("a") % 5)
        s += "x"
    return len(s)


def deep(n, a):
    if not n:
        return a.nothing
    return (a.v, n, (a.prop, deep(n - 1, a)))


def unpack(a):
    x, y = a.v, a.prop
    (p, q), r = (a.v, a.prop), a.v
    return x, y, p, q, r


def chain(a, b, c):
    return (a.v < b.v < c.v and a.prop == b.prop) or not c.v


def thrower(f, *args):
    try:
        return f(*args)
    except BaseException as e:
        return type(e).__name__, e.args


def once(log):
    a, b = P(5), P(-2)
    return [
        pending_under_property(a, b),
        thrower(pending_raise, a, b, 2),
        thrower(pending_raise, a, b, 7),
        caught(a, b, 2),
        thrower(nested_raise, a),
        finaliser(log),
        thrower(unwinding, log, a),
        usegen(a),
        withs(a),
        comp(a),
        concat(30),
        thrower(deep, 6, a),
        unpack(a),
        chain(a, b, a),
        thrower(lambda: (a.v, a.prop, 1 / 0)),
        sorted([P(3), P(1)], key=lambda p: (p.v, p.prop)[1])[0].v,
        (a + b).v,
        (a.v, (a + 1).v, a.v),
    ]


def main():
    log = []
    for _ in range(8):
        r = once(log)
    print(len(repr(r)) > 0, len(log) > 10)
    ts = [threading.Thread(target=lambda: [once([]) for _ in range(3)]) for _ in range(3)]
    for t in ts:
        t.start()
    for t in ts:
        t.join()


main()
