"""A plugin of pytest that writes what became of each test, a line of JSON each.

This file is copied into the sandbox under a name of its own and loaded there by the repository's
own pytest: it uses the standard library only and the syntax of Python 3.7. It reads and changes no
option that a project could forbid, so a run means with it what it means without it.
"""

# mypy: ignore-errors
# Untyped on purpose: it must run with old versions of pytest.

import json
import os

REPORT = os.environ.pop("PATCHWRIGHT_TEST_REPORT", "")
SCRATCH = os.path.dirname(REPORT)  # noqa: PTH120 - text, in the sandbox
LONGEST = 4000

# Runs of pytest that tests start are none of ours.
os.environ.pop("PYTEST_PLUGINS", "")

_owner = []


def pytest_configure(config):
    """The first run in this process is reported; workers of xdist send theirs to it."""
    if _owner or not REPORT or hasattr(config, "workerinput"):
        return
    _owner.append(config)
    # As if asked on the command line: one failure or unreadable file hides no other test.
    config.option.maxfail = 0
    config.option.continue_on_collection_errors = True
    config.pluginmanager.register(_Writer(config))


pytest_configure.tryfirst = True


class _Writer:
    def __init__(self, config):
        self._config = config
        root = getattr(config, "rootpath", None) or getattr(config, "rootdir", "")
        # Names as the runner takes them back from where it was started.
        self._prefix = os.path.relpath(str(root), os.getcwd())  # noqa: PTH109
        self._file = open(REPORT, "a", encoding="ascii")  # noqa: SIM115, PTH123
        self._write({"started": True})
        # The cache of earlier runs decides nothing, and none is left in the tree.
        known = getattr(config, "_inicache", None)
        if isinstance(known, dict):
            known["cache_dir"] = os.path.join(SCRATCH, "cache")  # noqa: PTH118

    def _write(self, record):
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def _name(self, nodeid):
        path, colons, rest = nodeid.partition("::")
        if self._prefix not in ("", "."):
            path = os.path.normpath(os.path.join(self._prefix, path))  # noqa: PTH118
        return path + colons + rest

    def _keep(self, nodeid, outcome, report, seconds=0.0):
        text = ""
        if outcome != "passed":
            try:
                text = str(report.longreprtext)
            except Exception:  # noqa: BLE001 - whatever a plugin put there
                text = str(report.longrepr)
        if len(text) > LONGEST:
            text = text[: LONGEST // 2] + "\n[…]\n" + text[-LONGEST // 2 :]
        name = self._name(nodeid)
        self._write({"name": name, "outcome": outcome, "message": text, "seconds": seconds})

    def pytest_runtest_logreport(self, report):
        """Set-up, call and tear-down of one test."""
        seconds = getattr(report, "duration", 0.0)
        if report.outcome == "failed":
            outcome = "failed" if report.when == "call" else "error"
            self._keep(report.nodeid, outcome, report, seconds)
        elif report.outcome == "skipped":
            self._keep(report.nodeid, "skipped", report, seconds)
        elif report.outcome == "passed" and report.when == "call":
            self._keep(report.nodeid, "passed", report, seconds)

    def pytest_collectreport(self, report):
        """A file that could not be read, or that skips itself."""
        if report.outcome == "failed":
            self._keep(report.nodeid, "error", report)
        elif report.outcome == "skipped":
            self._keep(report.nodeid, "skipped", report)

    def pytest_sessionfinish(self, exitstatus):
        """The run went to its end, whatever it found."""
        self._write({"ended": int(exitstatus)})
