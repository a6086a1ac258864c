"""Debugs a program with history, stops wherever it can, and writes down what is recorded at each stop."""

import json
import sys
from typing import ClassVar

from debugop import _console, _core, _history

KIND, PROGRAM, OUTPUT = sys.argv[1:4]
MOST = 400


class Driver(_history.HistoryConsole):
    stops: ClassVar[list] = []
    opened = None

    def interaction(self, frame, traceback=None):
        with _history._Held(self, frame):
            self.setup(frame, None)
            try:
                self.look(frame)
            finally:
                if len(self.stops) >= MOST or frame is None:
                    self.set_continue()
                else:
                    self.set_step()
                    if KIND == "stepi":
                        self._go_by_instruction()

    def bp_commands(self, frame):
        return 1

    def look(self, frame):
        standing = self._standing
        stop = {"at": [frame.f_code.co_qualname, frame.f_lasti, self._event], "last": None, "is_there": False}
        self.stops.append(stop)
        if standing is None:
            return
        stop["described"] = len(self.stops) % 2 == 1
        if stop["described"]:
            _core.describe_recording()
        if self.opened is None:
            Driver.opened = _history.PastOfSession(self, standing[:2], standing[2])
        else:
            self.opened.reopen(standing[:2], standing[2])
        past = self.opened
        stop["steps"] = past.steps
        if past.steps:
            moment = past.past.at(past.steps - 1)
            code = past.codes[moment.frames[-1][1]]
            stop["last"] = [code.co_qualname, moment.frames[-1][3]] if code.co_filename == PROGRAM else None
            stop["is_there"] = past.present < past.steps
        if stop["is_there"]:
            values = moment.locals(len(moment.frames) - 1)
            stop["locals"] = {name: value.data.short(50) for name, value in values.items()}
            # The step before is in the chunk that has ended.
            before = past.past.at(max(past.steps - 2, 0))
            slots = [*before.locals(len(before.frames) - 1).values(), *before.stack(len(before.frames) - 1)]
            stop["before"] = [slot.data.short(50) for slot in slots]
            variables = {*frame.f_code.co_varnames, *frame.f_code.co_cellvars, *frame.f_code.co_freevars}
            live = {name: value for name, value in frame.f_locals.items() if name in variables}
            stop["live"] = {name: _core.short_repr(value) for name, value in live.items()}


_history.begin(8 << 20)
Driver.history = _history.HistoryConsole.history
Driver.__name__ = Driver.__qualname__ = "Pdb"
_console.module.Pdb = Driver
console = Driver(readrc=False, nosigint=True)
target = vars(_console.module)
try:
    script = target["_ScriptTarget"](PROGRAM)
    getattr(script, "check", lambda: None)()
    sys.argv = [PROGRAM]
    console._run(script)
finally:
    path = Driver.history.path
    if Driver.history.is_here:
        Driver.history._record.stop()
        past = _core.Past(path)
        names = {code[0]: code[2] for code in past.codes()}
        files = {code[0]: code[1] for code in past.codes()}
        each = [past.at(step).frames[-1] for step in range(past.steps)]
        every = [(names[code], offset) for _, code, _, offset in each if files[code] == PROGRAM]
        others = [files[code] != PROGRAM for _, code, _, offset in each]
        with open(OUTPUT, "w") as out:
            told = {"stops": Driver.stops, "every": every, "replayed": _core.replay_recording(path)}
            # Those of what `pdb` executes for a script.
            told["others"] = sum(other for other in others)
            told["others_before"] = others.index(False)
            json.dump(told, out)
    Driver.history.end()
