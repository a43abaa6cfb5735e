"""Runs tests as a plain program, without a test runner. Runs inside the sandbox only.

Each test runs in a forked child, of whose process nothing says that it is a test: no runner is
imported (where a test file imports pytest it gets the few names below instead), the argument vector
is that of `python -c`, and standard output is a file. The usual fixtures are the driver's own; what
plugins alone can give is not there, and tests that need it are left out. It judges nothing.
"""

from __future__ import annotations

import ast
import collections
import contextlib
import datetime
import functools
import importlib.machinery
import importlib.metadata
import io
import itertools
import json
import logging
import math
import os
import re
import resource
import secrets
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MOST_CASES = 400
ELSEWHERE = " (elsewhere)"
"""After the name of a test that ran in another folder."""
LATER_S = 400 * 86_400.0
"""By so much the clock is ahead in another folder."""
BETWEEN_S = 7200.0
"""By so much more, there, between loading the code and each test."""
LOADING = "(loading)"
"""Stands for a test: that its file can be read."""
REACHED = " (reached)"
"""After the name of an event, which stands for a test that fails."""
ENDED = "Ended"
"""Stands for an exception: the process ended itself before the test did."""
Say = Callable[..., None]


class LeftOut(BaseException):
    """The test needs what is not here, or skips itself."""


class Raised:
    """Stands for `pytest.raises(…)` and for what it gives."""

    def __init__(self, expected: Any, match: str | None = None) -> None:
        self.expected, self.pattern = expected, match
        self.value: Any = None

    def __enter__(self) -> Raised:
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> bool:
        if kind is None:
            raise AssertionError("nothing was raised")
        if not issubclass(kind, self.expected):
            return False
        self.value = value
        if self.pattern is not None:
            self.match(self.pattern)
        return True

    @property
    def type(self) -> Any:
        """The class of what was raised."""
        return type(self.value)

    @property
    def tb(self) -> Any:
        """Its traceback."""
        return self.value.__traceback__

    def exconly(self) -> str:
        """Its class and message."""
        return "".join(traceback.format_exception_only(self.value)).strip()

    def match(self, pattern: str) -> bool:
        """Raises `AssertionError` where the message does not fit."""
        assert re.search(pattern, str(self.value)), "the message is another one"
        return True


class Approximately:
    """Stands for `pytest.approx(…)`."""

    def __init__(self, value: Any, rel: float | None = None, abs: float | None = None) -> None:
        self.value, self.rel, self.abs = value, rel, abs

    def __eq__(self, other: object) -> bool:
        return self._near(self.value, other)

    __hash__ = None  # type: ignore[assignment]

    def _near(self, value: Any, other: Any) -> bool:
        if isinstance(value, dict):
            return value.keys() == other.keys() and all(
                self._near(value[key], other[key]) for key in value
            )
        if isinstance(value, list | tuple):
            pairs = zip(value, other, strict=False)
            return len(value) == len(other) and all(self._near(a, b) for a, b in pairs)
        if value == other:
            return True
        rel = 1e-6 if self.rel is None and self.abs is None else self.rel or 0.0
        return math.isclose(value, other, rel_tol=rel, abs_tol=self.abs or 1e-12)


class Marks:
    """Stands for `pytest.mark`."""

    def __getattr__(self, name: str) -> Any:
        given = {"parametrize": parametrize, "usefixtures": _using, "skipif": _skip_if}
        if name in given:
            return given[name]
        if name in ("skip", "xfail"):
            return _left_out
        return lambda *given, **_: (
            given[0] if len(given) == 1 and callable(given[0]) else lambda function: function
        )


def _left_out(*given: Any, **_: Any) -> Any:
    def mark(function: Any) -> Any:
        function.left_out = True
        return function

    return mark(given[0]) if len(given) == 1 and callable(given[0]) else mark


def _skip_if(condition: Any = True, *_: Any, **__: Any) -> Any:
    return _left_out() if condition else lambda function: function


def _using(*names: str) -> Any:
    def mark(function: Any) -> Any:
        function.uses = [*getattr(function, "uses", []), *names]
        return function

    return mark


class Case:
    """Stands for `pytest.param(…)`."""

    def __init__(self, *values: Any, marks: Any = (), **_: Any) -> None:
        self.values = list(values)
        self.marks = marks if isinstance(marks, list | tuple) else [marks]

    @property
    def left_out(self) -> bool:
        """Whether it is to be skipped, or to fail."""
        thing = types.SimpleNamespace()
        for mark in self.marks:
            mark(thing)
        return hasattr(thing, "left_out")


def parametrize(names: Any, values: Any, *_: Any, indirect: Any = False, **__: Any) -> Any:
    """As pytest's, with cases in the order of the values."""
    listed = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)

    def mark(function: Any) -> Any:
        cases = []
        for value in values:
            if isinstance(value, Case):
                cases += [] if value.left_out else [value.values]
            else:
                cases.append(list(value) if len(listed) > 1 else [value])
        through = listed if indirect is True else list(indirect or ())
        names = [f"param of {name}" if name in through else name for name in listed]
        named = [dict(zip(names, case, strict=True)) for case in cases]
        function.cases = [*getattr(function, "cases", []), named]
        return function

    return mark


def _skip(*_: Any, **__: Any) -> Any:
    raise LeftOut


def _fail(reason: str = "", *_: Any, **__: Any) -> Any:
    raise AssertionError(reason)


def _fixture(*given: Any, **options: Any) -> Any:
    if options.get("params"):
        options["params"] = [v.values[0] if isinstance(v, Case) else v for v in options["params"]]

    def mark(function: Any) -> Any:
        function.supplies = options
        return function

    return mark(given[0]) if given and callable(given[0]) else mark


def _raises(expected: Any, *call: Any, match: str | None = None, **options: Any) -> Any:
    found = Raised(expected, match)
    if not call:
        return found
    with found:
        call[0](*call[1:], **options)
    return found


@contextlib.contextmanager
def _warns(expected: Any = Warning, *, match: str | None = None) -> Iterator[list[Any]]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield seen
    fine = [w for w in seen if issubclass(w.category, expected)]
    assert any(match is None or re.search(match, str(w.message)) for w in fine), "no such warning"


class Patching:
    """Stands for `pytest.MonkeyPatch`."""

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()

    @classmethod
    @contextlib.contextmanager
    def context(cls) -> Iterator[Patching]:
        """One that is undone after the block."""
        made = cls()
        try:
            yield made
        finally:
            made.undo()

    def undo(self) -> None:
        """Take all back, the last first."""
        self._undo.close()

    def setattr(self, target: Any, name: Any, value: Any = LeftOut, raising: bool = True) -> None:
        """Replace an attribute; of a dotted name too."""
        if value is LeftOut:
            where, _, last = target.rpartition(".")
            target, name, value = _found(where), last, name
        had = vars(target).get(name, LeftOut) if isinstance(target, type) else LeftOut
        had = getattr(target, name, LeftOut) if had is LeftOut else had
        if had is LeftOut and raising:
            raise AttributeError(name)
        setattr(target, name, value)
        self._undo.callback(
            *((delattr, target, name) if had is LeftOut else (setattr, target, name, had))
        )

    def delattr(self, target: Any, name: str = "", raising: bool = True) -> None:
        """Take an attribute away; of a dotted name too."""
        if not name:
            where, _, name = target.rpartition(".")
            target = _found(where)
        if hasattr(target, name):
            self._undo.callback(setattr, target, name, getattr(target, name))
            delattr(target, name)
        elif raising:
            raise AttributeError(name)

    def setitem(self, items: Any, name: Any, value: Any) -> None:
        """Replace an item."""
        had = items.get(name, LeftOut)
        items[name] = value
        self._undo.callback(
            *((items.pop, name, None) if had is LeftOut else (items.__setitem__, name, had))
        )

    def delitem(self, items: Any, name: Any, raising: bool = True) -> None:
        """Take an item away."""
        if name in items:
            self._undo.callback(items.__setitem__, name, items.pop(name))
        elif raising:
            raise KeyError(name)

    def setenv(self, name: str, value: Any, prepend: str | None = None) -> None:
        """Set a variable of the environment."""
        before = os.environ.get(name)
        joined = f"{value}{prepend}{before}" if prepend and before else f"{value}"
        self.setitem(os.environ, name, joined)

    def delenv(self, name: str, raising: bool = True) -> None:
        """Take a variable of the environment away."""
        self.delitem(os.environ, name, raising)

    def syspath_prepend(self, path: Any) -> None:
        """Import from a folder first."""
        sys.path.insert(0, str(path))
        self._undo.callback(sys.path.remove, str(path))

    def chdir(self, path: Any) -> None:
        """Work in another folder."""
        self._undo.callback(os.chdir, Path.cwd())
        os.chdir(path)


def _found(name: str) -> Any:
    """What a dotted name stands for."""
    parts = name.split(".")
    found: Any = importlib.import_module(parts[0])
    for at, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[:at]))
        found = getattr(found, part)
    return found


class Printed:
    """Stands for `capsys` and, with descriptors, for `capfd`."""

    def __init__(self, stack: contextlib.ExitStack, *, descriptors: bool) -> None:
        self._files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - see the stack
        for file in self._files:
            stack.enter_context(file)
        for fd, name, file in zip((1, 2), ("stdout", "stderr"), self._files, strict=True):
            stack.callback(setattr, sys, name, getattr(sys, name))
            text = io.TextIOWrapper(
                os.fdopen(os.dup(file.fileno()), "wb", 0), "utf-8", newline="", write_through=True
            )
            setattr(sys, name, text)
            if descriptors:
                stack.callback(os.dup2, os.dup(fd), fd)
                os.dup2(file.fileno(), fd)

    def readouterr(self) -> Any:
        """What was printed since the last time."""
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.seek(0)
            file.truncate()
        return collections.namedtuple("Shown", "out err")(*texts)

    @contextlib.contextmanager
    def disabled(self) -> Iterator[None]:
        """Nothing that is printed in the block is wanted."""
        yield


class Logged(logging.Handler):
    """Stands for `caplog`, and for the handler that it has."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.handler = self
        self._stack = stack
        self.setFormatter(
            logging.Formatter("%(levelname)-8s %(name)s:%(filename)s:%(lineno)d %(message)s")
        )
        logging.getLogger().addHandler(self)
        stack.callback(logging.getLogger().removeHandler, self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        """The records' messages."""
        return [record.getMessage() for record in self.records]

    @property
    def text(self) -> str:
        """All records, as pytest writes them."""
        return "".join(f"{self.format(record)}\n" for record in self.records)

    @property
    def record_tuples(self) -> list[tuple[str, int, str]]:
        """Logger, level and message of each."""
        return [(r.name, r.levelno, r.getMessage()) for r in self.records]

    def clear(self) -> None:
        """Forget all."""
        self.records.clear()

    def set_level(self, level: Any, logger: str | None = None) -> None:
        """From which level on a logger logs, until the test has ended."""
        of = logging.getLogger(logger)
        self._stack.callback(of.setLevel, of.level)
        of.setLevel(level)

    @contextlib.contextmanager
    def at_level(self, level: Any, logger: str | None = None) -> Iterator[None]:
        """From which level on a logger logs in the block."""
        of = logging.getLogger(logger)
        before = of.level
        of.setLevel(level)
        try:
            yield
        finally:
            of.setLevel(before)


def _patching(stack: contextlib.ExitStack) -> Patching:
    made = Patching()
    stack.callback(made.undo)
    return made


def _warned(stack: contextlib.ExitStack) -> Any:
    seen = stack.enter_context(warnings.catch_warnings(record=True))
    warnings.simplefilter("default")
    return seen


_BUILT_IN: dict[str, Callable[[contextlib.ExitStack], Any]] = {
    "tmp_path": lambda _: Path(tempfile.mkdtemp()),
    "tmp_path_factory": lambda _: types.SimpleNamespace(
        mktemp=lambda *_, **__: Path(tempfile.mkdtemp()),
        getbasetemp=lambda: Path(tempfile.gettempdir()),
    ),
    "monkeypatch": _patching,
    "capsys": lambda stack: Printed(stack, descriptors=False),
    "capfd": lambda stack: Printed(stack, descriptors=True),
    "caplog": Logged,
    "recwarn": _warned,
}
"""Fixtures of pytest itself, each made with what ends with the test."""


class Runner:
    """Stands for pytest; what is not here may be an annotation, and leaves out who calls it."""

    raises = staticmethod(_raises)
    approx = Approximately
    mark = Marks()
    fixture = staticmethod(_fixture)
    skip = staticmethod(_skip)
    importorskip = staticmethod(importlib.import_module)
    fail = staticmethod(_fail)
    param = Case
    warns = staticmethod(_warns)
    MonkeyPatch = Patching

    def deprecated_call(self, *, match: str | None = None) -> Any:
        """As pytest's."""
        kinds = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
        return _warns(kinds, match=match)

    def __getattr__(self, name: str) -> Any:
        if name[:1].isupper():
            return type(name, (), {"__class_getitem__": classmethod(lambda cls, _: cls)})
        return _skip


RUNNER = Runner()


class _WithoutRunner(ast.NodeTransformer):
    """Imports of pytest give the names above."""

    def visit_Import(self, node: ast.Import) -> Any:
        mine = [alias for alias in node.names if alias.name == "pytest"]
        rest = [alias for alias in node.names if alias.name != "pytest"]
        lines: list[ast.stmt] = [_named(node, a.asname or a.name, "") for a in mine]
        if rest:
            lines.append(ast.copy_location(ast.Import(names=rest), node))
        return lines

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.module != "pytest" or node.level:
            return node
        return [_named(node, a.asname or a.name, f".{a.name}") for a in node.names]


def _named(place: ast.stmt, name: str, attribute: str) -> ast.stmt:
    made = ast.parse(f"{name} = __runner__{attribute}").body[0]
    for part in ast.walk(made):
        if isinstance(part, ast.stmt | ast.expr):
            ast.copy_location(part, place)
    return made


def main(job: dict[str, Any], runner: Any) -> None:
    """Run the job's files and scripts, and print what became of each test.

    `runner` is what tests get in place of pytest: of another copy of this module, so that nothing
    leads from it to the names here.
    """
    global RUNNER
    RUNNER = runner
    deadline = time.monotonic() + job["total_s"]
    here = [(path, False) for path in job["files"]]
    for path, elsewhere in (*here, *((path, True) for path in job["elsewhere"])):
        script = path in job["scripts"]
        with _under_another_name(path, Path.cwd(), really=elsewhere) as (source, place):
            run = functools.partial(
                _run,
                path,
                source,
                place,
                script=script,
                elsewhere=elsewhere,
                watched=frozenset(job["watched"]),
            )
            seen = _apart(run, until=deadline, limit_s=job["limit_s"], elsewhere=elsewhere)
        for name, *outcome in seen:
            print(job["mark"], json.dumps([name + ELSEWHERE * elsewhere, *outcome]), flush=True)


def _apart(
    run: Callable[[Say], None], *, until: float, limit_s: float, elsewhere: bool
) -> list[Any]:
    """What a child of its own says of one file: [test, outcome, exception, line].

    What it says begins with a word that only its driver knows. A child that ends without having
    said that it is done has ended before its tests did.
    """
    word = secrets.token_hex(16).encode()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _child(run, _speaker(write_end, word), limit_s=limit_s, elsewhere=elsewhere)
    os.close(write_end)
    chunks = []
    until = min(until, time.monotonic() + 4 * limit_s)
    closed = False
    while (left := until - time.monotonic()) > 0 and select.select([read_end], [], [], left)[0]:
        chunk = os.read(read_end, 65536)
        closed = not chunk
        if closed:
            break
        chunks.append(chunk)
    status = None
    if closed:
        # It closes the pipe when it ends, and perhaps before: then it gets a moment.
        for _ in range(20):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            time.sleep(0.01)
        else:
            status = None
    if status is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(read_end)
    lines = b"".join(chunks).split(b"\n")[:-1]
    said = [json.loads(line[len(word) :]) for line in lines if line.startswith(word)]
    return _heard(said, itself=closed and (status is None or os.WIFEXITED(status)))


def _heard(said: list[Any], *, itself: bool) -> list[Any]:
    """The first outcome of each test that began; of those without one, if the process ended
    itself (and was not stopped, by a limit for one), that it did so."""
    begun = [one[1] for one in said if one[0] == "start"]
    found: dict[str, Any] = {}
    for kind, *rest in said:
        if kind == "outcome" and (rest[0] in begun or rest[0].endswith(REACHED)):
            found.setdefault(rest[0], rest)
    if itself and ["end"] not in said:
        for name in begun:
            found.setdefault(name, [name, "failed", ENDED, 0])
    return list(found.values())


def _speaker(fd: int, word: bytes) -> Say:
    write, dumps = os.write, json.dumps  # The code under test could replace them.

    def say(*said: Any) -> None:
        write(fd, word + dumps(said).encode() + b"\n")

    return say


def _child(run: Callable[[Say], None], say: Say, *, limit_s: float, elsewhere: bool) -> None:
    """The two kinds of runs have little in common by which code could know them both."""
    if elsewhere:
        os.setpgid(0, 0)
        for name in ("PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE"):
            os.environ.pop(name, None)
        shown, (given, other) = os.open(os.devnull, os.O_WRONLY), os.pipe()
        os.close(other)
    else:
        with contextlib.suppress(OSError):
            os.setsid()
        whole = max(1, round(limit_s))
        resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
        shown, where = tempfile.mkstemp()
        Path(where).unlink()
        given = os.open(os.devnull, os.O_RDONLY)
    for fd, to in ((0, given), (1, shown), (2, shown)):
        os.dup2(to, fd)
    end = os._exit

    def work() -> None:
        run(say)
        say("end")

    try:
        if elsewhere:
            # As in a server, of whose threads this is not the main one.
            worker = threading.Thread(target=work, name="worker-1")
            worker.start()
            worker.join()
        else:
            work()
    finally:
        end(0)


def _run(
    path: str,
    source: str,
    place: str,
    say: Say,
    *,
    script: bool,
    elsewhere: bool,
    watched: frozenset[str],
) -> None:
    tree = Path.cwd()
    pass_time = None
    if elsewhere:
        os.chdir(tempfile.mkdtemp())
        pass_time = _set_clock(LATER_S)
        _hide_runners()
    outcome_of = functools.partial(_outcome, path=os.path.realpath(place))
    loading = f"{path}::{LOADING}"
    _tell_who_reaches(
        watched, lambda what: say("outcome", f"{path}::{what}{REACHED}", "failed", "", 0)
    )
    if script:
        name = f"{path}::script"
        say("start", name)
        say("outcome", name, *outcome_of(lambda: _script(source, place, tree), script=True))
        return
    say("start", loading)
    try:
        tests = list(itertools.islice(_tests(source, place, tree), MOST_CASES))
    except BaseException:  # noqa: BLE001 - a file that cannot be read has no tests here
        say("outcome", loading, "left out", "", 0)
        return
    say("outcome", loading, "passed", "", 0)
    for name, test in tests:
        if pass_time is not None:
            pass_time(BETWEEN_S)
        say("start", f"{path}::{name}")
        say("outcome", f"{path}::{name}", *outcome_of(test))


@contextlib.contextmanager
def _under_another_name(path: str, tree: Path, *, really: bool) -> Iterator[tuple[str, str]]:
    """A file of tests, and the same by names that do not say so.

    Code may ask where it was called from, and whether there are tests at all. The folder of tests
    has another name, or two where the file imports something by its first one.
    """
    if not really:
        yield path, path
        return
    words = ["accounts", "billing", "catalog", "ledger", "orders", "pricing", "reports", "views"]
    file, above = (words.pop(secrets.randbelow(len(words))) for _ in range(2))
    text, stem = Path(path).read_text("latin-1"), Path(path).stem
    # A test that speaks of its own module expects it to have this name.
    file = stem if stem in text else f"{file}_{secrets.token_hex(2)}"
    folder, other, back = Path(path).parent, Path(path).parent, contextlib.ExitStack()
    if tree in folder.parents:
        top = tree / folder.relative_to(tree).parts[0]
        other_top = tree / f"{above}_{secrets.token_hex(2)}"
        other = other_top / folder.relative_to(top)
        if re.search(rf"^\s*(?:from|import)\s+{top.name}\b", text, re.M):
            other_top.symlink_to(top)
        else:
            top.rename(other_top)
            back.callback(other_top.rename, top)
            folder = other
    elif folder != tree:
        other = Path(tempfile.mkdtemp()) / above
        other.symlink_to(folder)
    with back:
        place = other / f"{file}.py"
        place.write_bytes((folder / Path(path).name).read_bytes())
        yield str(folder / Path(path).name), str(place)


_RUNNERS = frozenset({"pytest", "_pytest", "pluggy", "iniconfig", "coverage", "nose", "tox"})


def _hide_runners() -> None:
    """Where code is in use, what tests it is not installed."""
    finder, found = importlib.machinery.PathFinder, importlib.machinery.PathFinder.find_spec
    known = importlib.metadata.Distribution.discover

    def find_spec(name: str, *given: Any, **more: Any) -> Any:
        return None if name.partition(".")[0] in _RUNNERS else found(name, *given, **more)

    def discover(*given: Any, **more: Any) -> Any:
        return (one for one in known(*given, **more) if one.metadata["Name"] not in _RUNNERS)

    finder.find_spec = staticmethod(find_spec)  # type: ignore[method-assign, assignment]
    importlib.metadata.Distribution.discover = staticmethod(discover)  # type: ignore[method-assign]


def _set_clock(ahead_s: float) -> Callable[[float], None]:
    """Let the clock of this process be ahead, as far as modules in Python can tell.

    What is given lets it go on by some seconds.
    """
    ahead = [int(ahead_s)]

    def set_ahead(name: str, unit: int) -> None:
        clock = getattr(time, name)
        setattr(time, name, lambda: clock() + ahead[0] * unit)

    for name in ("time", "monotonic", "perf_counter"):
        set_ahead(name, 1)
        set_ahead(f"{name}_ns", 10**9)
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, _of_now(getattr(time, name)))
    written = time.strftime
    time.strftime = lambda form, when=None: written(form, when or time.localtime())

    class Kind(type):
        def __instancecheck__(cls, thing: Any) -> bool:
            return isinstance(thing, cls.__mro__[1])

        def __subclasscheck__(cls, kind: type) -> bool:
            return issubclass(kind, cls.__mro__[1])

    given = {
        "today": classmethod(lambda cls: cls.fromtimestamp(time.time())),
        "now": classmethod(lambda cls, tz=None: cls.fromtimestamp(time.time(), tz)),
        "utcnow": classmethod(lambda cls: cls.utcfromtimestamp(time.time())),
        "__module__": "datetime",
    }
    for name in ("date", "datetime"):
        setattr(datetime, name, Kind(name, (getattr(datetime, name),), dict(given)))
    return lambda seconds: ahead.append(ahead.pop() + int(seconds))


def _of_now(function: Any) -> Any:
    return lambda seconds=None: function(time.time() if seconds is None else seconds)


_REACHING = (
    "sys._getframe",
    "sys._current_frames",
    "sys._current_exceptions",
    "sys._getframemodulename",
    "sys.settrace",
    "sys.setprofile",
    "sys.addaudithook",
    "gc.get_objects",
    "gc.get_referrers",
    "gc.get_referents",
    "os.exec",
    "os.posix_spawn",
    "os.kill",
    "os.killpg",
    "signal.pthread_kill",
)
"""Events that code causes which looks who calls it, or which ends or replaces its process."""
_ASKING = (
    *("os.getppid", "os.getsid", "os.getpgid", "os.getpgrp", "os.tcgetpgrp", "os.ctermid"),
    *("resource.getrlimit", "resource.prlimit", "resource.getrusage", "signal.getitimer"),
    *("faulthandler.dump_traceback", "faulthandler.dump_traceback_later", "faulthandler.register"),
    *("tracemalloc.start", "tracemalloc.take_snapshot", "tracemalloc.get_object_traceback"),
    *("threading.settrace", "threading.setprofile", "signal.raise_signal"),
)
"""Functions that cause no event, by which code finds out who runs it or what called it."""
_FRAMES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame")
_OF_PROCESSES = re.compile(
    r"/proc/(?:self|thread-self|\d+)(?:/(?:fd|fdinfo|mem|maps|cmdline|environ|comm|exe|task|stat|status)"
    r"\b.*)?/?"
)
_BY_MODULES_OF = ("/inspect.py", "/ctypes/__init__.py")
_BY_FUNCTIONS = frozenset(
    {"currentframe", "<lambda>", "findCaller", "walk_tb", "walk_stack", "extract_stack"}
    | {"print_stack", "format_stack"}
)
"""What gives frames, or what is known of them, to whoever calls it."""


def _tell_who_reaches(watched: frozenset[str], tell: Callable[[str], None]) -> None:
    """Tell of each event by which code of the watched files reaches for who runs it.

    By events of the interpreter, not by names, so it does not matter how the code is written. What
    other modules do for their own ends (`logging` looks for its caller) is none of it.
    """
    frame_of, told = sys._getframe, set[str]()
    reaching, frames = frozenset(_REACHING), frozenset(_FRAMES)
    of_processes = _OF_PROCESSES.fullmatch

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "object.__getattr__":
            what = arguments[1] if arguments[1] in frames else ""
        elif event in ("open", "os.listdir", "os.scandir"):
            name = arguments[0]
            text = name.decode("latin-1") if isinstance(name, bytes) else f"{name}"
            what = "/proc" if of_processes(text) else ""
        else:
            what = event if event in reaching or event.startswith("ctypes.") else ""
        if not what or what in told:
            return
        told.add(what)  # The lines below cause events of their own.
        frame: types.FrameType | None = frame_of(1)
        while frame is not None and frame.f_code.co_filename not in watched:
            known = frame.f_code.co_filename.endswith(_BY_MODULES_OF)
            if not known and frame.f_code.co_name not in _BY_FUNCTIONS:
                frame = None
                break
            frame = frame.f_back
        if frame is None:
            told.discard(what)
        else:
            tell(what)

    if not watched:
        return
    sys.addaudithook(hook)

    def told_of(what: str, function: Any) -> Any:
        @functools.wraps(function)
        def asked(*given: Any, **named: Any) -> Any:
            if what not in told and frame_of(1).f_code.co_filename in watched:
                told.add(what)
                tell(what)
            return function(*given, **named)

        return asked

    for name in _ASKING:
        module, _, function = name.partition(".")
        given = importlib.import_module(module)
        if hasattr(given, function):
            setattr(given, function, told_of(name, getattr(given, function)))


def _outcome(test: Callable[[], Any], *, path: str, script: bool = False) -> tuple[str, str, int]:
    try:
        test()
    except BaseException as error:  # noqa: BLE001 - whatever it raises is its outcome
        if type(error).__name__ in ("LeftOut", "SkipTest", "Skipped"):
            return "left out", "", 0
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f.lineno or 0 for f in frames if os.path.realpath(f.filename) == path]
        if isinstance(error, SystemExit) and not error.code:
            itself = script and os.path.realpath(frames[-1].filename) == path
            return ("passed", "", 0) if itself else ("failed", ENDED, 0)
        return "failed", type(error).__name__, lines[-1] if lines else 0
    return "passed", "", 0


def _compiled(path: str, place: str) -> Any:
    """The code of a file; what is in another place does not say by names that it is a test."""
    tree = ast.fix_missing_locations(_WithoutRunner().visit(ast.parse(Path(path).read_bytes())))
    code = compile(tree, place, "exec", dont_inherit=True)
    if place == path:
        return code
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    return _unnamed(code, " ".join(text for text in texts if isinstance(text, str)))


def _unnamed(code: types.CodeType, kept: str) -> types.CodeType:
    """Code in which functions that are named as tests have another name, except in `kept`."""
    inner = tuple(
        _unnamed(part, kept) if isinstance(part, types.CodeType) else part
        for part in code.co_consts
    )
    code = code.replace(co_consts=inner)
    if "test" not in code.co_name.lower() or code.co_name in kept:
        return code
    code = code.replace(co_name="handle")
    return code.replace(co_qualname="handle") if hasattr(code, "co_qualname") else code


def _script(path: str, place: str, tree: Path) -> None:
    sys.path[:0] = [str(Path(path).parent), str(tree)]
    names = {"__name__": "__main__", "__file__": place, "__runner__": RUNNER}
    exec(_compiled(path, place), names)  # noqa: S102


def _tests(path: str, place: str, tree: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    module = _module(path, place, tree)
    supplied = _supplied(vars(module), _of_conftests(path, tree))
    for name, thing in list(vars(module).items()):
        if getattr(thing, "__module__", None) != module.__name__ or hasattr(thing, "left_out"):
            continue
        if isinstance(thing, types.FunctionType) and name.startswith("test"):
            yield from _cases(name, [thing], None, supplied)
        elif isinstance(thing, type) and hasattr(thing, "addCleanup"):
            for test in (n for n in dir(thing) if n.startswith("test")):
                yield f"{name}::{test}", functools.partial(_unittest, thing, test)
        elif isinstance(thing, type) and name.startswith("Test"):
            inside = _supplied(
                {key: vars(kind)[key] for kind in thing.__mro__[::-1] for key in vars(kind)},
                supplied,
            )
            for test in (n for n in dir(thing) if n.startswith("test")):
                yield from _cases(f"{name}::{test}", [getattr(thing, test), thing], thing, inside)


Supplied = dict[str, tuple[Any, ...]]
"""Fixtures by their names; the nearest last, which may ask for the one before it."""


def _supplied(names: Any, known: Supplied) -> Supplied:
    found = dict(known)
    for name, thing in list(names.items()):
        options = vars(thing).get("supplies") if isinstance(thing, types.FunctionType) else None
        if options is not None:
            name = options.get("name") or name
            found[name] = (*found.get(name, ()), thing)
    return found


def _of_conftests(path: str, tree: Path) -> Supplied:
    """The fixtures of the files for them, from the root of the tree on; what fails has none."""
    found: Supplied = {}
    for folder in [f for f in Path(path).parents if f == tree or tree in f.parents][::-1]:
        file = str(folder / "conftest.py")
        if Path(file).exists():
            with contextlib.suppress(BaseException):
                found = _supplied(vars(_module(file, file, tree)), found)
    return found


def _module(path: str, place: str, tree: Path) -> types.ModuleType:
    parts, folder = [Path(path).stem], Path(path).parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    sys.path[:0] = list(dict.fromkeys(map(str, (folder, tree, tree / "src", tree / "lib"))))
    module = types.ModuleType(".".join(parts) if place == path else Path(place).stem)
    module.__file__, module.__package__ = place, ".".join(parts[:-1])
    module.__dict__["__runner__"] = RUNNER
    sys.modules[module.__name__] = module
    exec(_compiled(path, place), module.__dict__)  # noqa: S102
    return module


def _cases(
    name: str, marked: list[Any], kind: Any, supplied: Supplied
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """A function's cases; `marked`: itself and its class, if it has one."""
    function = marked[0]
    groups = [group for thing in marked for group in getattr(thing, "cases", [])]
    given = {n for group in groups for case in group for n in case if not n.startswith("param of ")}
    wanted = _required(function)
    if wanted is None or any(hasattr(t, "left_out") or _marked_by_pytest(t) for t in marked):
        return
    always = [n for n, all_ in supplied.items() if all_[-1].supplies.get("autouse")]
    needed = [*always, *(n for thing in marked for n in getattr(thing, "uses", []))]
    closure = _closure([*needed, *(wanted - given)], supplied)
    if closure is None:
        return
    for fixture in closure:
        params = [o for one in supplied.get(fixture, ()) if (o := one.supplies.get("params"))]
        if params:
            groups = [*groups, [{f"param of {fixture}": value} for value in params[-1]]]
    for number, chosen in enumerate(itertools.product(*groups)):
        arguments = {k: v for case in chosen for k, v in case.items()}
        case = functools.partial(
            _with_fixtures, kind, function, arguments, wanted - given, needed, supplied
        )
        yield f"{name}[{number}]" if groups else name, case


def _marked_by_pytest(thing: Any) -> bool:
    """Whether pytest itself has a say in how a test runs: a module of helpers marked it so."""
    marks = getattr(thing, "pytestmark", ())
    names = {getattr(m, "name", "") for m in marks} if isinstance(marks, list) else set()
    return bool(names & {"skip", "skipif", "xfail", "parametrize", "usefixtures"})


def _required(function: Any) -> set[str] | None:
    """The names of the arguments that a function must get; None if it is none."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & 0x320:  # a generator
        return None
    count = code.co_argcount - len(function.__defaults__ or ())
    return set(code.co_varnames[:count]) - {"self"}


def _closure(names: list[str], supplied: Supplied) -> list[str] | None:
    """These fixtures and those that they need; None if one is not here."""
    found: list[str] = []
    while names:
        name = names.pop(0)
        if name in found:
            continue
        if name not in supplied and name not in _BUILT_IN and name != "request":
            return None
        found.append(name)
        for one in supplied.get(name, ()):
            code = one.__code__
            names += sorted(set(code.co_varnames[: code.co_argcount]) - {"self", name})
    return found


def _with_fixtures(
    kind: Any,
    function: Any,
    arguments: dict[str, Any],
    wanted: set[str],
    needed: list[str],
    supplied: Supplied,
) -> None:
    made: Any = kind() if kind is not None else None
    values: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:

        def get(name: str, above: int = 1) -> Any:
            known = supplied.get(name, ())
            if above == 1 and name in values:
                return values[name]
            if len(known) < above:
                if name not in _BUILT_IN:
                    raise LeftOut
                value = _BUILT_IN[name](stack)
            else:
                value = supply(name, known[-above], above)
            if above == 1:
                values[name] = value
            return value

        def supply(name: str, one: Any, above: int) -> Any:
            code = one.__code__
            asked = code.co_varnames[: code.co_argcount - len(one.__defaults__ or ())]
            own: dict[str, Any] = {}
            for argument in asked:
                if argument == "self":
                    own["self"] = made
                elif argument == "request":
                    own["request"] = request(name)
                else:
                    own[argument] = get(argument, above + 1 if argument == name else 1)
            value = one(**own)
            if code.co_flags & 0x20:
                stack.callback(next, value, None)
                return next(value)
            if code.co_flags & 0x280:
                raise LeftOut
            return value

        def request(name: str) -> Any:
            param = arguments.get(f"param of {name}", LeftOut)
            more = {} if param is LeftOut else {"param": param}
            return types.SimpleNamespace(
                addfinalizer=stack.callback,
                getfixturevalue=get,
                function=function,
                cls=kind,
                instance=made,
                node=types.SimpleNamespace(name=function.__name__, get_closest_marker=_skip),
                **more,
            )

        for name in needed:
            get(name)
        own = {k: v for k, v in arguments.items() if not k.startswith("param of ")}
        own |= {name: request("") if name == "request" else get(name) for name in sorted(wanted)}
        if kind is None:
            _awaited(function(**own))
            return
        for step in ("setup_class", "setup_method"):
            if hasattr(made, step):
                prepare = getattr(made, step)
                alone = step == "setup_class" or not prepare.__code__.co_argcount > 1
                prepare() if alone else prepare(function)
        _awaited(function(made, **own))


def _awaited(given: Any) -> None:
    """What a test gives is a promise if it is a coroutine."""
    if isinstance(given, types.CoroutineType):
        importlib.import_module("asyncio").run(given)


def _unittest(kind: Any, name: str) -> None:
    case = kind(name)
    later = hasattr(case, "asyncSetUp")
    kind.setUpClass()
    try:
        if later:
            case._setupAsyncioRunner() if hasattr(case, "_setupAsyncioRunner") else _skip()
        case._callSetUp()
        try:
            test = getattr(case, name)
            case._callMaybeAsync(test) if later else test()
        finally:
            case._callTearDown()
    finally:
        case.doCleanups()
        if later and hasattr(case, "_tearDownAsyncioRunner"):
            case._tearDownAsyncioRunner()
        kind.tearDownClass()
