"""What the comparison came to: lines while it runs, a summary, and docs/compatibility.md."""

import re
from collections import Counter

from compat import compare, files, reasons

HEAD = """\
# Compatibility: CPython's own tests under debugop

`make test-cpython` runs each file of CPython's own tests in a process of its own, as `python -m test FILE` and as
`debugop run --all --format none -m test FILE`, and compares what became of every single test. Where a test differs without a
known reason, the file runs once more each way: a test whose outcome changes without debugop too is flaky, and no difference.
What needs the network, a GUI or much memory is not asked for (`-u none`), and skips itself. `FAST=1` takes the files that are part of `make test`,
`PY=3.13 ARGS="test_x test_y"` some files of one version.

Any difference that `tools/compat/reasons.py` does not explain makes it fail. The parts below were written by it.

"""
TABLE = "| CPython | files | tests | same | different | agree |\n|---|---|---|---|---|---|\n"


class File:
    """One test file, compared."""

    def __init__(self, minor, test, plains, traceds):
        self.test, self.plain, self.traced = test, plains[0], traceds[0]
        self.flaky, self.once, different = compare.verdicts(plains, traceds)
        # The tests of a file that did not run to its end count as different, but the file is the one difference to explain.
        self.different = len(different - {""})
        if "" in different:
            different = {""}
        self.explained, self.unexplained = [], []
        for name in sorted(different):
            why = reasons.reason(minor, name or test)
            row = (name or test, compare.outcome(self.plain, name), compare.outcome(self.traced, name), why)
            (self.explained if why else self.unexplained).append(row)

    def run(self):
        """How many tests were run, those that skipped themselves included."""
        return sum(map(len, self.plain["tests"].values()))

    def line(self):
        """What to print when the file is done."""
        words = "%-40s %4d tests, %5.1f s, %5.1f s" % (
            self.test,
            self.run(),
            self.plain["seconds"],
            self.traced["seconds"],
        )
        if self.plain["ended"] != "ok":
            words += ", without debugop: " + self.plain["ended"]
        for number, word in ((len(self.flaky), "flaky"), (len(self.once), "once"), (len(self.explained), "explained")):
            words += ", %d %s" % (number, word) if number else ""
        for row in self.unexplained:
            words += "\n    DIFFERENT %s: %s -> %s" % row[:3]
        return words


class Summary:
    """All files of one version."""

    def __init__(self, minor, version, compared):
        self.minor, self.version, self.files = minor, version, compared

    def unexplained(self):
        """The differences for which there is no reason."""
        return [row for file in self.files for row in file.unexplained]

    def figures(self):
        """Files, tests, the same, different, per cent the same."""
        ran = [file for file in self.files if file.plain["ended"] == "ok"]
        tests = sum(file.run() for file in ran)
        different = sum(file.different for file in ran)
        return len(ran), tests, tests - different, different, 100.0 * (tests - different) / max(tests, 1)

    def text(self):
        """A paragraph."""
        lines = [
            "CPython %s: %d files, %d tests, %d the same, %d different: %.2f %%" % ((self.version, *self.figures()))
        ]
        for row in self.unexplained():
            lines.append("  %s: %s -> %s" % row[:3])
        return "\n".join(lines)

    def section(self):
        """This version's part of the page."""
        parts = ["## CPython %s\n" % self.version]
        explained = Counter(why for file in self.files for _, _, _, why in file.explained)
        for why, _ in explained.most_common():
            rows = [row for file in self.files for row in file.explained if row[3] == why]
            parts.append("%s (%d)\n" % (why, len(rows)))
            parts.append("".join("- `%s`: %s, with debugop %s\n" % row[:3] for row in rows))
        unknown = self.unexplained()
        if unknown:
            parts.append("**Not explained** (%d)\n" % len(unknown))
            parts.append("".join("- `%s`: %s, with debugop %s\n" % row[:3] for row in unknown))
        for title, chosen in (
            ("Flaky without debugop too", [name for file in self.files for name in sorted(file.flaky)]),
            (
                "Different once, the same when run again",
                [name or file.test for file in self.files for name in sorted(file.once)],
            ),
            (
                "Not run to their end by CPython itself",
                [
                    "%s: %s" % (file.test, file.plain["ended"])
                    for file in self.files
                    if file.plain["ended"] not in ("ok", "skipped")
                ],
            ),
        ):
            if chosen:
                parts.append("%s (%d): %s.\n" % (title, len(chosen), ", ".join("`%s`" % name for name in chosen)))
        return "\n".join(parts)

    def amend(self, path):
        """Put what these files came to in the place of what the page says of them, and leave the rest of it."""
        old = path.read_text()
        head, *parts = re.split(r"^(?=## CPython )", old, flags=re.MULTILINE)
        names = [file.test if file.test.startswith("test.") else "test." + file.test for file in self.files]
        at = next(number for number, part in enumerate(parts) if part.startswith("## CPython %s." % self.minor))
        title, *paragraphs = parts[at].rstrip("\n").split("\n\n")
        reasons, rest = {}, []
        # A reason, and what it is the reason of; behind them paragraphs that are one line.
        while paragraphs and len(paragraphs) > 1 and paragraphs[1].startswith("- `"):
            why, rows = re.fullmatch(r"(.*) \(\d+\)", paragraphs.pop(0)).group(1), paragraphs.pop(0).split("\n")
            of = {row: row.split("`")[1] for row in rows}
            reasons[why] = [row for row in rows if not any(of[row] == n or of[row].startswith(n + ".") for n in names)]
        rest = paragraphs
        for file in self.files:
            for *row, why in file.explained + [(*row[:3], "**Not explained**") for row in file.unexplained]:
                reasons.setdefault(why, []).append("- `%s`: %s, with debugop %s" % tuple(row))
        parts[at] = title + "\n\n"
        for why, rows in sorted(reasons.items(), key=lambda pair: -len(pair[1])):
            parts[at] += "%s (%d)\n\n%s\n\n" % (why, len(rows), "\n".join(sorted(rows))) if rows else ""
        parts[at] = "\n\n".join([parts[at].rstrip("\n"), *rest]) + "\n"
        different = sum(map(len, reasons.values()))

        def figures(found):
            tests = int(found.group(2))
            same = tests - different
            return "%s| %d | %d | %d | %.2f %% |" % (found.group(1), tests, same, different, 100.0 * same / tests)

        row = r"^(\| %s\.\d+ \| \d+ )\| (\d+) \|.*$" % re.escape(self.minor)
        head = re.sub(row, figures, head, flags=re.MULTILINE)
        path.write_text(head + "\n".join(part.rstrip("\n") + "\n" for part in parts))

    def write(self, path):
        """Put this version's row and part into the page, and leave those of the others."""
        old = path.read_text() if path.exists() else ""
        rows = {minor: row for row, minor in re.findall(r"^(\| (\d\.\d+)\.\d+ \|.*\n)", old, re.MULTILINE)}
        rows[self.minor] = "| %s | %d | %d | %d | %d | %.2f %% |\n" % ((self.version, *self.figures()))
        sections = {}
        for part in re.split(r"^(?=## CPython )", old, flags=re.MULTILINE)[1:]:
            sections[re.match(r"## CPython (\d\.\d+)", part).group(1)] = part
        sections[self.minor] = self.section()
        left_out = "Left out: " + ", ".join("`%s` (%s)" % row for row in files.LEFT_OUT + files.IGNORED) + ".\n\n"
        order = sorted(rows)
        page = HEAD + TABLE + "".join(rows[minor] for minor in order) + "\n" + left_out
        path.write_text(page + "\n".join(sections[minor].rstrip("\n") + "\n" for minor in order))
