"""Draws docs/pictures: what a terminal shows of debugop at work, as SVG.

Usage: python tools/pictures.py BIN

BIN is the bin directory of an environment with debugop, rich and pexpect; tools/dev makes one. Every picture is of a real
session, typed at a pseudo-terminal.
"""

import io
import os
import re
import sys
import tempfile
from pathlib import Path

import pexpect
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
COLUMNS = 92
PROMPT = r"\(Pdb\) $"

# A shell command, and what is typed at each prompt it shows.
SESSIONS = {
    "trace": ("debugop run --function lol examples/lol.py", ()),
    "backwards": (
        "debugop record account.py\ndebugop debug account.debugop",
        ("catch", "continue", "p self.total, amount", "watch self.total", "rc", "rsi", "stack", "dis", "quit"),
    ),
}

THEME = TerminalTheme(
    (30, 34, 42),
    (212, 216, 224),
    [
        (30, 34, 42),
        (224, 108, 117),
        (152, 195, 121),
        (229, 192, 123),
        (97, 175, 239),
        (198, 120, 221),
        (86, 182, 194),
        (212, 216, 224),
    ],
)

# Rich's own template asks for a font over the network; a picture must not.
TEMPLATE = """<svg class="rich-terminal" viewBox="0 28 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
<rect fill="#1e222a" y="28" width="{width}" height="{height}" rx="8"/>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def account():
    """The program `account.py` of the README."""
    found = re.search(r"`account\.py`:\n\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return found.group(1)


def play(commands, typed, folder, environment):
    """What the terminal shows of shell commands one after the other, the last of which is typed at."""
    shown = ""
    *before, last = commands.split("\n")
    for command in [*before, last]:
        shown += "\x1b[1m$ %s\x1b[0m\n" % command
        child = pexpect.spawn(
            "/bin/sh", ["-c", command], cwd=folder, env=environment, dimensions=(60, COLUMNS), encoding="utf-8"
        )
        for line in typed if command == last else ():
            child.expect(PROMPT)
            shown += child.before + child.after
            child.sendline(line)
        child.expect(pexpect.EOF)
        shown += child.before
    # Bracketed paste, and where the session happened to be.
    return re.sub(r"\x1b\[\?[0-9]+[hl]|\r", "", shown).replace("%s/" % folder, "")


def draw(name, shown):
    """Write one picture."""
    console = Console(width=COLUMNS, record=True, force_terminal=True, file=io.StringIO())
    console.print(Text.from_ansi(shown.rstrip()), soft_wrap=False)
    console.save_svg(str(PICTURES / (name + ".svg")), theme=THEME, code_format=TEMPLATE, unique_id=name)


def main(directory):
    """Draw them all."""
    PICTURES.mkdir(exist_ok=True)
    environment = dict(os.environ, PATH="%s:%s" % (directory, os.environ["PATH"]), TERM="xterm-256color")
    for name in ("NO_COLOR", "PYTHONSTARTUP", "PYTHONPATH"):
        environment.pop(name, None)
    with tempfile.TemporaryDirectory() as temporary:
        environment["HOME"] = temporary
        (Path(temporary) / "account.py").write_text(account())
        (Path(temporary) / "examples").symlink_to(ROOT / "examples")
        for name, (commands, typed) in SESSIONS.items():
            draw(name, play(commands, typed, temporary, environment))


if __name__ == "__main__":
    main(sys.argv[1])
