"""`debugop.trace`, in the ways that it can be used. Each part prints what it shows."""

import io
import traceback

import debugop


def rate(prices):
    total = 0
    for price in prices:
        if price > 10:
            total += discount(price)
        else:
            total += price
    return total


def discount(price):
    return price * 0.5


def part(title):
    print(f"\n-- {title}")


part("A context manager: what happens inside of it is collected.")
with debugop.trace(discount) as trace:
    discount(12)
print(len(trace), "steps of", trace.records[0].qualname)
for record in trace:
    values = ", ".join(value.short(20) for value in record.stack)
    print(record.line, record.instruction.opname, record.instruction.argrepr, f"[{values}]")

part("The same as text, as `debugop run` shows it; calls are followed on request.")
trace = debugop.trace(rate, follow=True)
print("the result is", trace([4, 12]))
text = io.StringIO()
trace.print(file=text, width=90)
print("\n".join(line.rstrip() for line in text.getvalue().splitlines()[1:]))

part("What was collected can be asked: predicates on function, module, file, opcode, line and depth.")
calls = trace.filter(debugop.opcode("CALL*") | debugop.function("discount") & debugop.opcode("RETURN*"))
print([(record.name, record.depth, record.stack[-1].value) for record in calls])

part("A callback is called before each instruction, while the stack is there; `where` says which.")


def compare(step):
    instruction, stack = step.instruction, step.stack
    print(instruction.line, stack[-2], instruction.argrepr, stack[-1], "of", step.frame.f_locals["prices"])


with debugop.trace(rate, compare, where=debugop.opcode("COMPARE_OP")):
    rate([4, 12])

part("A decorator, with a limit.")


@debugop.trace(limit=3)
def decorated(x):
    return [x, x]


print(decorated(1), decorated.trace.steps, [record.instruction.offset for record in decorated.trace])

part("Assigning to the stack changes the program: no price is high any more.")


def never_high(step):
    step.stack[-2] = 0


print(rate([4, 12]), "becomes", debugop.trace(rate, never_high, where=debugop.opcode("COMPARE_OP"))([4, 12]))

part("What the interpreter takes on trust cannot be written.")


def spoil(step):
    try:
        step.stack[-1] = "no iterator"
    except TypeError as error:
        print("refused:", str(error).partition(" at offset")[0])


debugop.trace(rate, spoil, where=debugop.opcode("FOR_ITER"), limit=1)([4])

part("An exception that leaves a frame, and one that a callback raises at the instruction.")


def leaving(step):
    if step.event == "unwind":
        print("leaves", step.code.co_name, repr(step.exception))


def forbid(step):
    raise PermissionError(f"no {step.instruction.opname}")


try:
    debugop.trace(rate, leaving, follow=True)([20, None])
except TypeError as error:
    print("caught", error)
try:
    debugop.trace(discount, forbid, where=debugop.opcode("BINARY_OP"))(1)
except PermissionError as error:
    print("caught", error, "in", [frame.name for frame in traceback.extract_tb(error.__traceback__)][-2:])

part("A step is over when its callback has returned; a record of it can be kept.")
kept = []
debugop.trace(discount, lambda step: kept.append((step, step.record())), limit=1)(1)
step, record = kept[0]
try:
    print(step.stack[0])
except debugop.StaleStep as error:
    print(type(error).__name__)
print(record.qualname, record.instruction.opname)

part("Afterwards every function has its own code again.")
print(any(isinstance(constant, debugop.Site) for constant in rate.__code__.co_consts + discount.__code__.co_consts))
