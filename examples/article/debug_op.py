"""DEBUG_OP before every instruction of a function: what is on the value stack, top first, before each of them."""

from debugop.article import FrameAnalyser, add_debug_op_everywhere


def lol(x):
    for i in range(10):
        if i > x:
            break
    return i


def op_target(stack, frame):
    instruction = FrameAnalyser(frame).next_instr()
    print(f"{instruction.offset:4} {instruction.opname:36} {stack}")


lol.__code__ = add_debug_op_everywhere(lol.__code__)
print("lol returned", lol(1))
