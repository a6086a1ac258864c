"""The ways to observe every instruction that are compared."""

import importlib.util
import operator
import os
import pathlib
import sys
import tempfile
import types
from collections import namedtuple


class UnsupportedError(Exception):
    """This variant does not exist here; the text says why."""


def nested(code):
    """`code` and every code object among its constants, at any depth."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested(constant)


class Plain:
    """The program as it is, and what the other variants have in common."""

    def probe(self, code, module):
        """The code object to run in place of `code`, the body of `module`."""
        return code

    def arm(self, code):
        """Start observing the code objects in `code`, the body of the program. Not timed."""

    def settle(self, run):
        """What comes once before the timed run, under observation: nothing."""

    def disarm(self):
        """End observing. Not timed."""

    def steps(self):
        """Instructions reported so far, or None where that is not counted."""

    def facts(self):
        """What is known of the last run besides, or None."""


class Viztracer(Plain):
    """Every call, without values, kept in memory."""

    def __init__(self):
        if importlib.util.find_spec("viztracer") is None:
            raise UnsupportedError("viztracer has no wheel for this version")

    def arm(self, code):
        """Trace."""
        import viztracer

        self.tracer = viztracer.VizTracer(verbose=0)
        self.tracer.start()

    def disarm(self):
        """And no more."""
        self.tracer.stop()
        self.tracer.clear()


class DebugOp(Plain):
    """DEBUG_OP before every instruction of the program, class bodies and nested functions included.

    `make_callback` gives what is done at each: nothing but counting for None.
    """

    def __init__(self, make_callback=lambda core: None):
        from debugop import _core

        self.tracer = _core.Tracer(make_callback(_core))

    def probe(self, code, module):
        """The probed copy."""
        return self.tracer.watch(code, module)

    def steps(self):
        """What the tracer counted."""
        return self.tracer.steps


class Whole(Plain):
    """The whole program, libraries included, with nothing but counting done at each instruction."""

    def __init__(self, engine, **filters):
        from debugop import _core, _libraries

        if engine == "monitoring" and not hasattr(sys, "monitoring"):
            raise UnsupportedError("sys.monitoring came with 3.12")
        everywhere = _core.Follow(
            libraries=_libraries.library_directories(), own=_libraries.own_directories(), **filters
        )
        self.make = lambda: _core.Tracer(None, engine=engine, everywhere=everywhere)

    def arm(self, code):
        """Watch every function."""
        self.tracer = self.make()
        self.tracer.enter()

    def disarm(self):
        """And no more."""
        self.tracer.stop()


class Stopped(Whole):
    """The same, ended before the program runs."""

    def arm(self, code):
        """Watch every function, and no more."""
        super().arm(code)
        self.tracer.stop()

    def disarm(self):
        """It is over."""


class Recorded(Plain):
    """The whole program recorded into a file, libraries included, with the limits that `debugop record` has."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="debugop-bench-")
        self.path = os.path.join(self.directory.name, "run.debugop")

    def arm(self, code):
        """Record every function."""
        import debugop

        self.recording = debugop.record(self.path, all=True)
        self.recording.start()
        self.core = self.recording._recording

    def settle(self, run):
        """Has all code met: a program that takes longer than these meets it once, too."""
        run()

    def disarm(self):
        """And no more."""
        self.recording.stop()


class RecordedFirst(Recorded):
    """The same in a run of 10 to 60 ms in which all code is met for the first time: it is planned in it, and specialised by the interpreter."""

    def settle(self, run):
        """Nothing."""

    def facts(self):
        """What is in the file, how large it is, how much of that is source text and code, and how large it is when it has been packed."""
        import debugop
        from recorders import captured, chunks, pack

        size = os.path.getsize(self.path)
        parts = chunks(self.path)
        index = pathlib.Path(self.path + ".index")
        replay = debugop.open(self.path)
        facts = {**captured(self.core.said), "steps": len(replay), "bytes": size, "parts": parts}
        del replay
        facts["packed"] = pack(self.path)
        index.unlink(missing_ok=True)
        return facts


def untouched(step):
    """A callback that looks at nothing."""


def slice_and_frame(step):
    """A callback that takes the whole stack as a list, and the frame."""
    stack = step.stack[:]  # noqa: F841
    frame = step.frame  # noqa: F841


def list_and_frame(step):
    """The same, spelt with list()."""
    stack = list(step.stack)  # noqa: F841
    frame = step.frame  # noqa: F841


class Article(Plain):
    """`debugop.article`: DEBUG_OP as first described, calling the global `op_target(stack, frame)` with a list."""

    def probe(self, code, module):
        """A copy with DEBUG_OPs, in nested code too; `op_target` is found once `arm` has put it there."""
        from debugop import article

        self.module = module
        return article.add_debug_op_everywhere(code, nested=True)

    def arm(self, code):
        """Define `op_target` in the program's globals."""

        def op_target(stack, frame):
            pass

        vars(sys.modules[self.module])["op_target"] = op_target

    def disarm(self):
        """Take it out again."""
        del vars(sys.modules[self.module])["op_target"]


class Monitoring(Plain):
    """INSTRUCTION events of `sys.monitoring`, local to the program's code objects, as DEBUG_OP is."""

    TOOL = 4

    def __init__(self, callback):
        if not hasattr(sys, "monitoring"):
            raise UnsupportedError("sys.monitoring came with 3.12")
        self.callback = callback
        self.codes = []

    def arm(self, code):
        """Set the events of each code object."""
        monitoring = sys.monitoring
        self.codes = list(nested(code))
        monitoring.use_tool_id(self.TOOL, "debugop-bench")
        monitoring.register_callback(self.TOOL, monitoring.events.INSTRUCTION, self.callback)
        for one in self.codes:
            monitoring.set_local_events(self.TOOL, one, monitoring.events.INSTRUCTION)

    def disarm(self):
        """Clear them; local events outlive a tool id (gh-111963)."""
        for one in self.codes:
            sys.monitoring.set_local_events(self.TOOL, one, 0)
        sys.monitoring.free_tool_id(self.TOOL)


def instruction_noop(code, offset):
    """An INSTRUCTION callback that does nothing."""


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


class CrossHair(Plain):
    """CrossHair's tracer, reading the top of the stack through its `frame_stack_read`.

    It reads below the bottom without a check, so only where the instruction takes something off the stack, which
    flatters it.
    """

    TAKING = ("BINARY_", "CALL", "COMPARE_", "CONTAINS_", "FOR_ITER", "GET_ITER", "IS_OP", "LIST_", "LOAD_ATTR")
    TAKING += ("LOAD_METHOD", "POP_", "RETURN_VALUE", "STORE_", "TO_BOOL", "UNARY_", "UNPACK_", "YIELD_VALUE")

    def __init__(self):
        import dis

        tracers = self._tracers()
        read = tracers.frame_stack_read
        taking = frozenset(number for name, number in dis.opmap.items() if name.startswith(self.TAKING))

        class Top(tracers.TracingModule):
            opcodes_wanted = frozenset(number for number in dis.opmap.values() if number < 256)

            def __call__(self, frame, codeobj, opcode):
                if opcode in taking:
                    try:  # noqa: SIM105 - contextlib.suppress would be measured with it
                        read(frame, -1)
                    except ValueError:  # NULL
                        pass

        self.composite, self.module = tracers.COMPOSITE_TRACER, Top()

    @staticmethod
    def _tracers():
        """`crosshair.tracers`, without the package around it, which needs an SMT solver."""
        spec = importlib.util.find_spec("crosshair")
        if spec is None:
            raise UnsupportedError("crosshair-tool has no wheel for this version")
        package = types.ModuleType("crosshair")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["crosshair"] = package
        return importlib.import_module("crosshair.tracers")

    def arm(self, code):
        """Enter its tracer."""
        self.composite.push_module(self.module)
        self.composite.__enter__()

    def disarm(self):
        """Leave it."""
        self.composite.__exit__(None, None, None)
        self.composite.pop_config(self.module)


# `slow`: run fewer times, because one run takes seconds. `ns`, `slowdown`: the most that it should be.
Variant = namedtuple("Variant", "name make slow ns slowdown", defaults=(False, None, None))

VARIANTS = (
    Variant("plain", Plain),
    Variant("DEBUG_OP, native no-op", DebugOp, ns=10, slowdown=2.8),
    Variant("DEBUG_OP, top of stack encoded", lambda: DebugOp(lambda core: core.TopOfStack()), slowdown=3.0),
    Variant("DEBUG_OP, callback(step): nothing", lambda: DebugOp(lambda core: untouched), ns=60),
    Variant("DEBUG_OP, step.stack[:], step.frame", lambda: DebugOp(lambda core: slice_and_frame), True, ns=150),
    Variant("DEBUG_OP, op_target(stack, frame)", Article, True, ns=150),
    Variant("DEBUG_OP, list(step.stack), step.frame", lambda: DebugOp(lambda core: list_and_frame), True, ns=150),
    Variant("--all, inject, native no-op", lambda: Whole("inject", all=True), slowdown=3.0),
    Variant("--all, monitoring, native no-op", lambda: Whole("monitoring", all=True)),
    Variant("--all, settrace, native no-op", lambda: Whole("settrace", all=True), True),
    Variant("nothing followed", lambda: Whole("inject", exclude=["*"]), slowdown=1.05),
    Variant("after stop", lambda: Stopped("inject", all=True), slowdown=1.02),
    Variant("recorded", Recorded, slowdown=2.0),
    Variant("recorded, first run", RecordedFirst),
    Variant("viztracer, calls", Viztracer),
    # A builtin of two arguments that makes no object and cannot be mistaken for DISABLE.
    Variant("INSTRUCTION, C no-op", lambda: Monitoring(operator.is_)),
    Variant("INSTRUCTION, Python no-op", lambda: Monitoring(instruction_noop)),
    Variant("settrace opcodes, Python no-op", Settrace, True),
    Variant("CrossHair, top of stack read", CrossHair, True),
)
