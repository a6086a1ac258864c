"""A generator is one frame that is left and entered again.

Look at the box of `average`: it closes with "yields" and opens again with "resumed"; the frame is the same one all the time.
What `send` hands in lies on the stack when RESUME is reported. `throw` lets the frame go on at its handler, without a
RESUME, and `close` is a `throw` of GeneratorExit that nobody catches.
"""


def average():
    total = count = 0
    value = yield
    while True:
        try:
            total += value
            count += 1
            value = yield total / count
        except ValueError:
            value = yield "starting again"
            total = count = 0


def countdown(start):
    while start:
        yield start
        start -= 1
    return "lift-off"


means = average()
next(means)
print(means.send(10), means.send(20))
print(means.throw(ValueError("reset")))
print(means.send(5))
means.close()

for number in countdown(2):
    print(number)
