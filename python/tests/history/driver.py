"""Debugs a program with history, stops wherever it can, and writes down what is recorded at each stop."""

import json
import sys

from debugop import _console, _core, _history

KIND, PROGRAM, OUTPUT = sys.argv[1:4]
MOST = 400


class Driver(_history.HistoryConsole):
    stops = []
    names = {}

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
        stop = {"at": [frame.f_code.co_qualname, frame.f_lasti, self._event]}
        self.stops.append(stop)
        if standing is None:
            return
        past = _core.Past(self.history.path, standing[:2])
        stop["stands"] = standing[2]
        stop["steps"] = past.steps
        if past.steps:
            self.names.update({code[0]: code[2] for code in past.codes()})
            moment = past.at(past.steps - 1)
            number, code, _, offset = moment.frames[-1]
            stop["last"] = [self.names[code], offset]
            if standing[2] == "before":
                stop["locals"] = {name: value.data.short(50) for name, value in moment.locals(len(moment.frames) - 1).items()}
                stop["live"] = {name: _core.short_repr(value) for name, value in frame.f_locals.items() if name in frame.f_code.co_varnames}


_history.begin(8 << 20)
Driver.history = _history.HistoryConsole.history
Driver.__name__ = Driver.__qualname__ = "Pdb"
_console.module.Pdb = Driver
console = Driver(readrc=False)
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
        before = sum(files[code] != PROGRAM for _, code, _, offset in each)
        with open(OUTPUT, "w") as out:
            json.dump({"stops": Driver.stops, "every": every, "others": before, "replayed": _core.replay_recording(path)}, out)
    Driver.history.end()
