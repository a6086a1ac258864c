# Writes <this folder>/3.N.txt for the interpreter that runs it: the code objects behind ../examples.rs.
import pathlib
import sys
import textwrap

FUNCTIONS = {
    "loop": """
        def loop(values):
            for value in values:
                if value == 3:
                    break
            return value
    """,
    "call": """
        def call(f, x):
            return f(x, y=len(x))
    """,
    "handler": """
        def handler(f):
            try:
                f()
            except ValueError:
                pass
    """,
    "context": """
        def context(lock):
            with lock:
                pass
    """,
    "delegate": """
        def delegate(xs):
            yield from xs
            yield 1
    """,
    "async_for": """
        async def async_for(xs):
            async for x in xs:
                await x
    """,
}

lines = []
for name, source in FUNCTIONS.items():
    namespace = {}
    exec(compile(textwrap.dedent(source), "functions.py", "exec"), namespace)
    code = namespace[name].__code__
    parts = (code.co_code, code.co_exceptiontable, code.co_linetable)
    lines += [name, f"{code.co_firstlineno} {code.co_stacksize}", *(part.hex() for part in parts)]
minor = sys.version_info[1]
pathlib.Path(__file__).with_name(f"3.{minor}.txt").write_text("\n".join(lines) + "\n")
