"""A plugin of pytest that writes what became of each test, a line of JSON each.

This file is copied into the sandbox under its own name and loaded there by the repository's
own pytest: it uses that and the standard library, and the syntax of Python 3.7. It changes no
option that a project could forbid, so a run means with it what it means without it.
"""

# mypy: ignore-errors
# Untyped on purpose: it must run with old versions of pytest.

import ast
import builtins
import json
import os
import sys
from importlib.machinery import SourceFileLoader

import pytest

REPORT = os.environ.pop("PATCHWRIGHT_TEST_REPORT", "")
SCRATCH = os.path.dirname(REPORT)  # noqa: PTH120 - text, in the sandbox
LONGEST = 4000
ROOT, *PATHS = os.environ.pop("PATCHWRIGHT_WATCHED", "").split(os.pathsep)
WATCHED = {os.path.realpath(os.path.join(ROOT, path)): path for path in PATHS}  # noqa: PTH118
"""Files of which it is written down which of their functions each test enters."""
STARTS_PROGRAMS = (
    "subprocess.Popen",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.exec",
    "os.system",
)
STARTS_UNSEEN = ("multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver")
"""Modules that start programs without an event that tells of it."""

# Runs of pytest that tests start are none of ours.
os.environ.pop("PYTEST_PLUGINS", "")

_owner = []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """The first run in this process is reported; workers of xdist send theirs to it."""
    if _owner or not REPORT or hasattr(config, "workerinput"):
        return
    _owner.append(config)
    # As if asked on the command line: one failure or unreadable file hides no other test.
    config.option.maxfail = 0
    config.option.continue_on_collection_errors = True
    writer = _Writer(config)
    config.pluginmanager.register(writer)
    if _watcher is not None:
        _watcher.writer = writer
        config.pluginmanager.register(_watcher)


class _Writer:
    def __init__(self, config):
        self._config = config
        root = getattr(config, "rootpath", None) or getattr(config, "rootdir", "")
        # Names as the runner takes them back from where it was started.
        self._prefix = os.path.relpath(str(root), os.getcwd())  # noqa: PTH109
        self._file = open(REPORT, "a", encoding="ascii")  # noqa: SIM115, PTH123
        self.write({"started": True})
        # The cache of earlier runs decides nothing, and none is left in the tree.
        known = getattr(config, "_inicache", None)
        if isinstance(known, dict):
            known["cache_dir"] = os.path.join(SCRATCH, "cache")  # noqa: PTH118

    def write(self, record):
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def name(self, nodeid):
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
        name = self.name(nodeid)
        self.write({"name": name, "outcome": outcome, "message": text, "seconds": seconds})

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
        self.write({"ended": int(exitstatus)})


class _Watcher:
    """Writes for each test which functions of the watched files it enters.

    Each function of a watched file gets a first statement that tells of it, when the file is
    imported; a tracer would slow down all other code as well. Nothing is written for a test that
    starts programs or runs elsewhere: what it enters is then not known. What is entered on import
    and in set-ups, which tests can share, is written apart.
    """

    def __init__(self):
        self.writer = None
        self._outside = set()
        self._entered = None
        self._in_set_up = True
        self._unknown = False
        self._unwatched = set()
        self._codes = {}
        builtins.__patchwright_entered__ = self._enter
        # Cannot be taken away again; asks two questions for each event.
        sys.addaudithook(self._audit)
        self._original = SourceFileLoader.get_code
        SourceFileLoader.get_code = lambda loader, name: self._get_code(loader, name)

    def _get_code(self, loader, name):
        """The code of a module; of a watched one, with the statements that tell about functions."""
        path = _watched_path(loader.get_filename(name))
        if not path:
            return self._original(loader, name)
        filename = loader.get_filename(name)
        try:
            tree = ast.parse(loader.get_data(filename), filename)
        except (SyntaxError, ValueError):
            return self._original(loader, name)
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                _tell_of(node, path)
        code = compile(ast.fix_missing_locations(tree), filename, "exec", dont_inherit=True)
        self._codes[path] = code
        return code

    def _enter(self, path, line):
        shared = self._entered is None or self._in_set_up
        (self._outside if shared else self._entered).add((path, line))

    def _audit(self, event, arguments):
        if event in STARTS_PROGRAMS:
            self._unknown = True
        elif event == "exec" and getattr(arguments[0], "co_name", "") == "<module>":
            path = _watched_path(arguments[0].co_filename)
            if path and arguments[0] is not self._codes.get(path):
                self._unwatched.add(path)

    def pytest_runtest_setup(self):
        """A test is set up in this process."""
        self._entered, self._in_set_up, self._unknown = set(), True, False

    def pytest_runtest_logreport(self, report):
        """A test's set-up is over: from here on what is entered is its own."""
        if report.when == "setup":
            self._in_set_up = False

    def pytest_runtest_logfinish(self, nodeid):
        """A test has ended, with its set-up and tear-down."""
        entered, self._entered = self._entered, None
        unseen = any(name in sys.modules for name in STARTS_UNSEEN)
        if entered is not None and not self._unknown and not unseen:
            self.writer.write({"entered": sorted(entered), "by": self.writer.name(nodeid)})

    def pytest_sessionfinish(self):
        """All tests have run."""
        files = sorted(set(self._codes) - self._unwatched)
        self.writer.write({"entered": sorted(self._outside), "watched": files})


def _watched_path(filename):
    """The path below the root of a watched file; empty for others."""
    if filename not in _known:
        try:
            _known[filename] = WATCHED.get(os.path.realpath(filename), "")
        except (OSError, ValueError):
            _known[filename] = ""
    return _known[filename]


def _tell_of(function, path):
    line = min([function.lineno] + [d.lineno for d in function.decorator_list])
    told = ast.parse(f"__patchwright_entered__({path!r}, {line})").body[0]
    at = 0 if ast.get_docstring(function, clean=False) is None else 1
    near = function.body[min(at, len(function.body) - 1)]
    for node in ast.walk(told):
        ast.copy_location(node, near)
    function.body.insert(at, told)


_known = {}
# From here on, as a `conftest.py` may import what is watched before any hook is called.
_watcher = _Watcher() if WATCHED and REPORT and hasattr(sys, "addaudithook") else None
