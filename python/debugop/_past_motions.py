"""Commands that go through a recording, forwards and backwards."""

from __future__ import annotations

from typing import Any


class Motions:
    """What goes to another step."""

    past: Any
    path: str
    step: int
    steps: int
    moment: Any
    curframe: Any
    message: Any
    error: Any
    _resume: Any
    _without_argument: Any
    _going: Any
    _beyond: str

    def do_step(self, arg: str) -> Any:
        """s(tep)

        Go to the next line, also of a function that is called, or to a
        function's beginning or end.
        """
        return self._resume(arg, "line")

    do_s = do_step

    def do_next(self, arg: str) -> Any:
        """n(ext)

        Go to the next line of this function, or to its end.
        """
        return self._resume(arg, "line over")

    do_n = do_next

    def do_stepi(self, arg: str) -> Any:
        """si | stepi

        Go to the next instruction.
        """
        return self._resume(arg, "instruction")

    do_si = do_stepi

    def do_nexti(self, arg: str) -> Any:
        """ni | nexti

        Go to the next instruction of this function, or of its caller.
        """
        return self._resume(arg, "instruction over")

    do_ni = do_nexti

    def do_return(self, arg: str) -> Any:
        """r(eturn)

        Go to where the current function returns.
        """
        return self._resume(arg, "out")

    do_r = do_return

    def do_until(self, arg: str) -> Any:
        """unt(il) [lineno]

        Go to a line of this function that is greater than the current one,
        or at least the given one, or to the function's end.
        """
        line = (self.curframe.f_lineno or 0) + 1
        if arg:
            try:
                line = int(arg)
            except ValueError:
                self.error(f"Error in argument: {arg!r}")
                return None
            if line <= (self.curframe.f_lineno or 0):
                self.error('"until" line number is smaller than current line number')
                return None
        return self._resume("", "until", line=line)

    do_unt = do_until

    def do_continue(self, arg: str) -> Any:
        """c(ont(inue))

        Go to the next breakpoint, watchpoint or catchpoint, or to the
        recording's end.
        """
        return self._resume(arg, "breaks")

    do_c = do_cont = do_continue

    def do_rs(self, arg: str) -> Any:
        """rs | reverse-step

        Go back to the line before, also of a function that was called.
        """
        return self._resume(arg, "line", backwards=True)

    def do_rn(self, arg: str) -> Any:
        """rn | reverse-next

        Go back to the line before of this function; at its beginning to
        the line that called it.
        """
        return self._resume(arg, "line over", backwards=True)

    def do_rsi(self, arg: str) -> Any:
        """rsi | reverse-stepi

        Go back one instruction.
        """
        return self._resume(arg, "instruction", backwards=True)

    def do_rni(self, arg: str) -> Any:
        """rni | reverse-nexti

        Go back one instruction of this function, over what it called.
        """
        return self._resume(arg, "instruction over", backwards=True)

    def do_rfinish(self, arg: str) -> Any:
        """rfinish | reverse-finish

        Go back to the call of the current function.
        """
        return self._resume(arg, "out", backwards=True)

    def do_rc(self, arg: str) -> Any:
        """rc | reverse-continue

        Go back to the previous breakpoint, watchpoint or catchpoint, or to
        the recording's beginning.
        """
        return self._resume(arg, "breaks", backwards=True)

    def do_goto(self, arg: str) -> Any:
        """goto step

        Go to a step of the recording. Steps are numbered from 0; negative
        numbers count from the end. "goto start" and "goto end" go to the
        first and the last one.
        """
        text = {"start": "0", "end": "-1"}.get(arg, arg)
        try:
            step = int(text)
        except ValueError:
            self.error(f"The number of a step is needed: {arg!r}" if arg else "The number of a step is needed")
            return None
        if not -self.steps <= step < self.steps:
            self.error(f"There is no step {step}: {self._beyond} has {self.steps} steps, numbered from 0")
            return None
        self._going = step % self.steps
        return 1

    def do_when(self, arg: str) -> None:
        """when

        Say which step this is, in which thread, and at what time of the run.
        """
        if self._without_argument(arg):
            self.message(f"step {self.step} of {self.steps}, {self._thread()}, {self.moment.time / 1e9:.6f} s")

    def _thread(self) -> str:
        for number, native, name, runs, _ in self.moment.threads:
            if runs:
                return f"thread {number} ({name or native})"
        return "no thread"

    def do_threads(self, arg: str) -> None:
        """threads

        List the threads with recorded frames, and where each of them is.
        """
        if not self._without_argument(arg):
            return
        for number, native, name, runs, frames in self.moment.threads:
            where = "no recorded frame"
            if frames:
                file, line, function = frames[-1]
                where = f"{file}({line})" if function == "<module>" else f"{file}({line}){function}()"
            self.message(f"{'>' if runs else ' '} {number} {name or native}: {where}")

    def do_info(self, arg: str) -> None:
        """info

        Say what the recording is of.
        """
        if self._without_argument(arg):
            command, version, status = self.past.run
            self.message(f"{self.path}: {self.steps} steps of {' '.join(command)}")
            failure = self.past.failure() if status is None else None
            if failure is not None:
                ended = f"ended by an exception that nothing has caught, {failure[1].short(200)}"
            else:
                ended = "how it ended is not recorded" if status is None else f"exit status {status}"
            self.message(f"CPython {'.'.join(map(str, version))}, {ended}")
            for step, what in self.past.losses():
                self.message(f"missing at step {step}: {what}")
