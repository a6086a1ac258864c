"""The callback changes the value stack of the function that it watches: every comparison comes out the other way."""

from debugop.article import FrameAnalyser, Trace


class Contrary(Trace):
    def callback(self, stack, frame, exc):
        if FrameAnalyser(frame).next_instr().opname.startswith("POP_JUMP"):
            print(f"line {frame.f_lineno}: {stack[0]} becomes {not stack[0]}")
            stack[0] = not stack[0]


def larger(a, b):
    if a > b:
        return a
    return b


print("larger(1, 2) =", larger(1, 2))
print("larger(1, 2) =", Contrary(larger).call(1, 2))
print("larger(1, 2) =", larger(1, 2))
