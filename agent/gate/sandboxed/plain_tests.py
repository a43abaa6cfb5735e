"""Runs tests as a plain program, without a test runner. Runs inside the sandbox only.

Each test runs in a forked child, of whose process nothing says that it is a test: no runner is
imported (where a test file imports pytest it gets the few names below instead), the argument vector
is that of `python -c`, and standard output is a file. What the runner alone can give (fixtures,
plugins) is not there, and tests that need it are left out. It judges nothing.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import itertools
import json
import math
import os
import re
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MOST_CASES = 400
ELSEWHERE = " (elsewhere)"
"""After the name of a test that ran in another folder."""


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
        if name == "parametrize":
            return parametrize
        if name in ("skip", "skipif", "xfail", "usefixtures"):
            return _left_out
        return lambda *given, **_: (
            given[0] if len(given) == 1 and callable(given[0]) else lambda function: function
        )


def _left_out(*_: Any, **__: Any) -> Any:
    def mark(function: Any) -> Any:
        function.left_out = True
        return function

    return mark


def parametrize(names: Any, values: Any, **_: Any) -> Any:
    """As pytest's, with cases in the order of the values."""
    listed = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)

    def mark(function: Any) -> Any:
        cases = [dict(zip(listed, v if len(listed) > 1 else [v], strict=True)) for v in values]
        function.cases = [*getattr(function, "cases", []), cases]
        return function

    return mark


def _skip(*_: Any, **__: Any) -> Any:
    raise LeftOut


def _fail(reason: str = "", *_: Any, **__: Any) -> Any:
    raise AssertionError(reason)


def _fixture(*given: Any, **options: Any) -> Any:
    if options.get("autouse"):
        raise LeftOut
    return given[0] if given and callable(given[0]) else lambda function: function


def _raises(expected: Any, *call: Any, match: str | None = None, **options: Any) -> Any:
    found = Raised(expected, match)
    if not call:
        return found
    with found:
        call[0](*call[1:], **options)
    return found


RUNNER = types.SimpleNamespace(
    raises=_raises,
    approx=Approximately,
    mark=Marks(),
    fixture=_fixture,
    skip=_skip,
    importorskip=importlib.import_module,
    fail=_fail,
)


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


def main(job: dict[str, Any]) -> None:
    """Run the job's files and scripts, and print what became of each test."""
    deadline = time.monotonic() + job["total_s"]
    here = [(path, False) for path in (*job["scripts"], *job["files"])]
    for path, elsewhere in (*here, *((path, True) for path in job["elsewhere"])):
        script = path in job["scripts"]
        run = functools.partial(_run, path, script=script, elsewhere=elsewhere)
        for name, *outcome in _apart(run, until=deadline, limit_s=job["limit_s"]):
            print(job["mark"], json.dumps([name + ELSEWHERE * elsewhere, *outcome]), flush=True)


def _apart(run: Callable[[int], None], *, until: float, limit_s: float) -> list[Any]:
    """What a child of its own reports of one file: [test, outcome, exception, line]."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _child(run, write_end, limit_s=limit_s)
    os.close(write_end)
    chunks = []
    until = min(until, time.monotonic() + 4 * limit_s)
    while (left := until - time.monotonic()) > 0 and select.select([read_end], [], [], left)[0]:
        chunk = os.read(read_end, 65536)
        if not chunk:
            break
        chunks.append(chunk)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.close(read_end)
    os.waitpid(pid, 0)
    found = []
    for line in b"".join(chunks).split(b"\n")[:-1]:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def _child(run: Callable[[int], None], write_end: int, *, limit_s: float) -> None:
    with contextlib.suppress(OSError):
        os.setsid()
    whole = max(1, round(limit_s))
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
    shown, where = tempfile.mkstemp()
    Path(where).unlink()
    for fd, to in ((0, os.open(os.devnull, os.O_RDONLY)), (1, shown), (2, shown)):
        os.dup2(to, fd)
    try:
        run(write_end)
    except BaseException:  # noqa: BLE001, S110 - a file that cannot be read has no tests here
        pass
    finally:
        os._exit(0)


def _run(path: str, write_end: int, *, script: bool, elsewhere: bool) -> None:
    tree = Path.cwd()
    if elsewhere:
        os.chdir(tempfile.mkdtemp())
    alone = [("script", functools.partial(_script, path, tree))]
    tests = alone if script else list(_tests(path, tree))
    for name, test in tests[:MOST_CASES]:
        said = json.dumps([f"{path}::{name}", *_outcome(test, path)])
        os.write(write_end, said.encode() + b"\n")


def _outcome(test: Callable[[], Any], path: str) -> tuple[str, str, int]:
    try:
        test()
    except LeftOut:
        return "left out", "", 0
    except BaseException as error:  # noqa: BLE001 - whatever it raises is its outcome
        if type(error).__name__ in ("SkipTest", "Skipped"):
            return "left out", "", 0
        if isinstance(error, SystemExit) and not error.code:
            return "passed", "", 0
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f.lineno or 0 for f in frames if os.path.realpath(f.filename) == path]
        return "failed", type(error).__name__, lines[-1] if lines else 0
    return "passed", "", 0


def _compiled(path: str) -> Any:
    tree = ast.fix_missing_locations(_WithoutRunner().visit(ast.parse(Path(path).read_bytes())))
    return compile(tree, path, "exec")


def _script(path: str, tree: Path) -> None:
    sys.path[:0] = [str(Path(path).parent), str(tree)]
    exec(_compiled(path), {"__name__": "__main__", "__file__": path, "__runner__": RUNNER})  # noqa: S102


def _tests(path: str, tree: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    module = _module(path, tree)
    for name, thing in list(vars(module).items()):
        if getattr(thing, "__module__", None) != module.__name__:
            continue
        if isinstance(thing, types.FunctionType) and name.startswith("test"):
            yield from _cases(name, thing, thing)
        elif isinstance(thing, type) and hasattr(thing, "addCleanup"):
            for test in (n for n in dir(thing) if n.startswith("test")):
                yield f"{name}::{test}", functools.partial(_unittest, thing, test)
        elif isinstance(thing, type) and name.startswith("Test"):
            for test in (n for n in dir(thing) if n.startswith("test")):
                method = getattr(thing, test)
                yield from _cases(
                    f"{name}::{test}", method, functools.partial(_method, thing, test)
                )


def _module(path: str, tree: Path) -> types.ModuleType:
    parts, folder = [Path(path).stem], Path(path).parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    sys.path[:0] = list(dict.fromkeys(map(str, (folder, tree, tree / "src", tree / "lib"))))
    module = types.ModuleType(".".join(parts))
    module.__file__, module.__package__ = path, ".".join(parts[:-1])
    module.__dict__["__runner__"] = RUNNER
    sys.modules[module.__name__] = module
    exec(_compiled(path), module.__dict__)  # noqa: S102
    return module


def _cases(name: str, function: Any, call: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    code = getattr(function, "__code__", None)
    groups = getattr(function, "cases", [])
    given = {n for group in groups for case in group for n in case}
    count = getattr(code, "co_argcount", 0) - len(getattr(function, "__defaults__", None) or ())
    wanted = set(getattr(code, "co_varnames", ())[:count]) - {"self"}
    own = {"tmp_path"} & (wanted - given)
    if code is None or getattr(function, "left_out", False) or wanted - own != given:
        return
    if code.co_flags & 0x380:  # a coroutine or generator
        return
    for number, chosen in enumerate(itertools.product(*groups)):
        arguments = {k: v for case in chosen for k, v in case.items()}
        arguments |= {name: Path(tempfile.mkdtemp()) for name in own}
        yield f"{name}[{number}]" if groups else name, functools.partial(call, **arguments)


def _method(kind: type, name: str, **arguments: Any) -> None:
    made: Any = kind()
    for step in ("setup_class", "setup_method"):
        if hasattr(made, step):
            prepare = getattr(made, step)
            prepare() if step == "setup_class" or not prepare.__code__.co_argcount > 1 else prepare(
                getattr(made, name)
            )
    getattr(made, name)(**arguments)


def _unittest(kind: Any, name: str) -> None:
    case = kind(name)
    kind.setUpClass()
    try:
        case.setUp()
        try:
            getattr(case, name)()
        finally:
            case.tearDown()
    finally:
        case.doCleanups()
        kind.tearDownClass()
