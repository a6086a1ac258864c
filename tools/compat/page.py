"""What the comparison came to: lines while it runs, a summary, and docs/compatibility.md."""

from compat import compare, reasons


class File:
    """One test file, compared."""

    def __init__(self, minor, test, plains, traceds):
        self.test, self.plain, self.traced = test, plains[0], traceds[0]
        self.flaky, self.once, different = compare.verdicts(plains, traceds)
        if "" in different:
            # The tests of a file that did not run to its end are counted, but the file is the one difference.
            self.lost = len(different) - 1
            different = {""}
        else:
            self.lost = 0
        self.explained, self.unexplained = [], []
        for name in sorted(different):
            why = reasons.reason(minor, name or test)
            row = (name or test, compare.outcome(self.plain, name), compare.outcome(self.traced, name), why)
            (self.explained if why else self.unexplained).append(row)

    def run(self):
        """How many tests were run, those that skipped themselves included."""
        return sum(map(len, self.plain["tests"].values()))

    def different(self):
        """How many of them differ."""
        if self.lost:
            return self.lost
        return len(self.explained) + len(self.unexplained)

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
        tests = sum(file.run() for file in self.files)
        different = sum(file.different() for file in self.files)
        return len(self.files), tests, tests - different, different, 100.0 * (tests - different) / max(tests, 1)

    def text(self):
        """A paragraph."""
        lines = ["CPython %s: %d files, %d tests, %d the same, %d different: %.2f %%" % ((self.version, *self.figures()))]
        for row in self.unexplained():
            lines.append("  %s: %s -> %s" % row[:3])
        return "\n".join(lines)

    def write(self, path):
        """Write this version's part of the page."""
        raise NotImplementedError
