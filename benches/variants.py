"""The ways to observe every instruction that are compared, each from the cheapest thing it can do upwards.

A variant has `start(code, module)`, called once with the compiled body of the program: it returns the code object to run
in its place. `arm(codes)` and `disarm()` surround each timed run, `events()` says how often it was called so far where
that is known without making it slower.
"""

import contextlib
import operator
import sys
import types


class Unsupported(Exception):
    """This variant does not exist on this interpreter; the text says why."""


def nested(code):
    """`code` and every code object among its constants, at any depth."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested(constant)


class Plain:
    """The program as it is."""

    def probe(self, code, module):
        """The code to run instead of the program's body."""
        return code

    def arm(self, code):
        """Start observing. `code` is the program's body."""

    def disarm(self):
        """End observing."""

    def steps(self):
        """Instructions reported so far, or None where that is not counted."""
        return None


class DebugOp(Plain):
    """DEBUG_OP before every instruction of the program."""

    def __init__(self, make_callback=lambda: None):
        from debugop._core import Tracer

        self.tracer = Tracer(make_callback())

    def probe(self, code, module):
        """The probed copy, with everything nested in it."""
        return self.tracer.watch(code, module)

    def steps(self):
        """What the tracer counted."""
        return self.tracer.steps


class DebugOpReplaced(DebugOp):
    """As `DebugOp`, on functions that existed before: their code is replaced."""

    def probe(self, code, module):
        return code

    def arm(self, code):
        if self.armed:
            return
        self.armed = True
        module = sys.modules[self.module]
        todo = list(vars(module).values())
        while todo:
            one = todo.pop()
            if isinstance(one, types.FunctionType) and one.__module__ == self.module:
                self.tracer.watch_function(one)
            elif isinstance(one, type) and one.__module__ == self.module:
                todo += [getattr(value, "__func__", value) for value in vars(one).values()]
                todo += [value.fget for value in vars(one).values() if isinstance(value, property)]

    armed = False


class Monitoring(Plain):
    """`sys.monitoring` INSTRUCTION events of the program's code objects."""

    TOOL = 4

    def __init__(self, callback):
        if not hasattr(sys, "monitoring"):
            raise Unsupported("sys.monitoring came with 3.12")
        self.callback = callback

    def arm(self, code):
        """Local events of the program's code objects only, as DEBUG_OP has them."""
        monitoring = sys.monitoring
        self.codes = list(nested(code))
        monitoring.use_tool_id(self.TOOL, "debugop-bench")
        monitoring.register_callback(self.TOOL, monitoring.events.INSTRUCTION, self.callback)
        for one in self.codes:
            monitoring.set_local_events(self.TOOL, one, monitoring.events.INSTRUCTION)

    def disarm(self):
        """Gives the tool id back."""
        for one in self.codes:
            sys.monitoring.set_local_events(self.TOOL, one, 0)
        sys.monitoring.free_tool_id(self.TOOL)


class Settrace(Plain):
    """Opcode events of `sys.settrace` in the program's frames, each calling a Python function that does nothing."""

    def arm(self, code):
        """A trace function that turns line events off and opcode events on."""
        filename = code.co_filename

        def local(frame, event, arg):
            return local

        def trace(frame, event, arg):
            if frame.f_code.co_filename != filename:
                return None
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True
            return local

        # 3.12 looks at the frames that run when settrace is called (gh-114480).
        sys._getframe().f_trace_opcodes = True
        sys.settrace(trace)

    def disarm(self):
        """Tracing off."""
        sys.settrace(None)


def untouched(step):
    """A callback that looks at nothing."""


def stack_and_frame(step):
    """A callback that takes the whole stack and the frame."""
    step.stack[:]  # noqa: B018
    step.frame  # noqa: B018


def instruction_noop(code, offset):
    """An INSTRUCTION callback that does nothing."""


VARIANTS = {
    "plain": Plain,
    "noop": DebugOp,
    "noop-replaced": DebugOpReplaced,
    "untouched": lambda: DebugOp(lambda: untouched),
    "list+frame": lambda: DebugOp(lambda: stack_and_frame),
    "monitoring-c": lambda: Monitoring(operator.is_),
    "monitoring-py": lambda: Monitoring(instruction_noop),
    "settrace": Settrace,
}
