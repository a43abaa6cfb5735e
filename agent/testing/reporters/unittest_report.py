"""`python -m unittest`, with the results as JUnit XML as well.

This file is copied into the sandbox and run there by the repository's own Python: it uses the
standard library only and the syntax of Python 3.7. First argument: the file to write; the rest
is what `python -m unittest` would take; or `--program` and a script (or `-m` and a module) with its
arguments that runs tests by `unittest.TextTestRunner`, as Django's `manage.py test` does.
"""

# mypy: ignore-errors
# Untyped on purpose: it must run on old interpreters, and overrides untyped private parts.

import os
import re
import runpy
import sys
import time
import unittest
from xml.etree import ElementTree

LONGEST = 4000


class ReportingResult(unittest.TextTestResult):
    """Remembers what became of each test."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cases = []
        self._started = 0.0

    def startTest(self, test):
        """Note the time."""
        super().startTest(test)
        self._started = time.monotonic()

    def _keep(self, test, tag, text=""):
        self.cases.append((test.id(), tag, text, time.monotonic() - self._started))

    def addSuccess(self, test):
        """Passed."""
        super().addSuccess(test)
        self._keep(test, "")

    def addFailure(self, test, err):
        """An assertion failed."""
        super().addFailure(test, err)
        self._keep(test, "failure", self._exc_info_to_string(err, test))

    def addError(self, test, err):
        """Something else was raised, in the test or in its set-up."""
        super().addError(test, err)
        self._keep(test, "error", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        """Skipped."""
        super().addSkip(test, reason)
        self._keep(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        """Failed as marked: it says nothing about the code, like a skip."""
        super().addExpectedFailure(test, err)
        self._keep(test, "skipped", "expected failure")

    def addUnexpectedSuccess(self, test):
        """Passed although marked as failing."""
        super().addUnexpectedSuccess(test)
        self._keep(test, "failure", "unexpected success")

    def addSubTest(self, test, subtest, err):
        """One part of a test; a failing part fails the test."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            tag = "failure" if issubclass(err[0], test.failureException) else "error"
            self._keep(test, tag, self._exc_info_to_string(err, test))


class ReportingRunner(unittest.TextTestRunner):
    """Writes the report after the run."""

    resultclass = ReportingResult
    report = ""

    def __init__(self, *args, **kwargs):
        # Results of another class would not be reported.
        kwargs.pop("resultclass", None)
        super().__init__(*args, **kwargs)

    def run(self, test):
        """Run, then write."""
        result = super().run(test)
        root = ElementTree.Element("testsuite")
        for name, tag, text, seconds in result.cases:
            case = ElementTree.SubElement(
                root, "testcase", name=_without_unprintable(name), time=str(seconds)
            )
            if tag:
                ElementTree.SubElement(case, tag).text = _without_unprintable(_short(text))
        ElementTree.ElementTree(root).write(self.report, encoding="utf-8")
        return result


def _short(text):
    """Head and tail of a text that may hold all that a test printed."""
    return (
        text if len(text) <= LONGEST else text[: LONGEST // 2] + "\n[…]\n" + text[-LONGEST // 2 :]
    )


def _without_unprintable(text):
    """Without what XML cannot hold: control characters, halves of characters, U+FFFE, U+FFFF."""
    return re.sub("[^\\t\\n\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def main():
    """Run as `unittest` does, from the current folder."""
    ReportingRunner.report = sys.argv.pop(1)
    sys.path[0] = os.getcwd()  # noqa: PTH109 - text, as the import system wants it
    if sys.argv[1:2] == ["--program"]:
        _run_program(sys.argv[2:])
        return
    sys.argv[0] = "python -m unittest"
    unittest.main(module=None, testRunner=ReportingRunner)


def _run_program(words):
    """As `python` would run a script or module, with our runner in place of unittest's."""
    unittest.TextTestRunner = unittest.runner.TextTestRunner = ReportingRunner
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path[0] = os.path.dirname(os.path.abspath(words[0]))  # noqa: PTH100, PTH120 - text
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main()
