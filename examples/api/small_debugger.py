"""A small debugger in a few lines: `n` goes on to the next line, `p EXPRESSION` prints, `q` quits.

    python examples/api/small_debugger.py SCRIPT

Without a script it debugs examples/lol.py, and the commands are those below.
"""

import sys

import debugop

script = sys.argv[1] if len(sys.argv) > 1 else "examples/lol.py"
typed = ["n", "n", "n", "p x", "n", "n", "p (i, x)", "p nothing", "n", "n", "q"]
with open(script) as file:
    source = file.read()


def command():
    if len(sys.argv) > 1:
        return input("> ")
    print(">", typed[0])
    return typed.pop(0)


def trace(frame, event, _):
    if frame.f_code.co_filename != script:
        return None
    if event == "line":
        print(f"{frame.f_code.co_name}:{frame.f_lineno}  {source.splitlines()[frame.f_lineno - 1]}")
        while (line := command()) != "n":
            if line == "q":
                raise SystemExit
            try:
                print(eval(line.removeprefix("p "), frame.f_globals, frame.f_locals))
            except Exception as error:
                print("***", repr(error))
    return trace


code = compile(source, script, "exec")
debugop.settrace(trace)
exec(code, {"__name__": "__main__"})
debugop.settrace(None)
