"""Which test files can reach a change, by the imports in the tree.

What cannot be told (another language, a command of several parts) is None: then all tests run.
Imports that are made at run time are not seen, so the answer may only save time where a test that
is left out costs a proof nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from agent.gate.compare import file_of
from agent.testing.report import SuiteRun
from agent.testing.runners import kind_of
from sandbox.protocol import WORKDIR, Sandbox

_LINE = re.compile(r"\./([^:]+):\s*(?:from\s+([.\w]+)\s+import\s+(.*)|import\s+(.*))")
_SEVERAL_PARTS = re.compile(r"[;&|<>`$()]")
_MOST_SHARE = 0.7
"""Where more of the test files reach the change, running them all is simpler."""


async def tests_reaching(
    sandbox: Sandbox, command: str, run: SuiteRun, changed: Collection[str]
) -> tuple[str, ...] | None:
    """The test files of a run from which the changed files are imported; None: not known."""
    if kind_of(command) != "pytest" or _SEVERAL_PARTS.search(command):
        return None
    if not changed or not all(path.endswith(".py") for path in changed):
        return None
    found = await sandbox.run(
        f"cd {WORKDIR} && grep -rnE --include='*.py' '^[[:space:]]*(from|import)[[:space:]]' . "
        "| sed -E 's/^([^:]+):[0-9]+:/\\1:/'; find . -name '*.py' -printf '%p:\\n'"
    )
    imports = read_imports(found.text.splitlines())
    tests = {file_of(result.name) for result in run.results}
    if not tests <= imports.keys():
        return None
    chosen = tuple(sorted(path for path in tests if reachable_files(path, imports) & set(changed)))
    return chosen if chosen and len(chosen) <= _MOST_SHARE * len(tests) else None


def read_imports(lines: Iterable[str]) -> dict[str, frozenset[str]]:
    """Files → the files that they import, from lines `./path:import …`."""
    stated: dict[str, list[re.Match[str]]] = {}
    for line in lines:
        path, separator, _ = line.removeprefix("./").partition(":")
        if separator and path.endswith(".py"):
            known = stated.setdefault(path, [])
            if match := _LINE.match(line):
                known.append(match)
    by_name: dict[str, list[str]] = {}
    for path in stated:
        parts = _module(path)
        for start in range(len(parts)):
            by_name.setdefault(".".join(parts[start:]), []).append(path)
    return {
        path: frozenset(
            target
            for match in matches
            for name in _names(path, match)
            for target in by_name.get(name, ())
        )
        | _implied(path, stated)
        for path, matches in stated.items()
    }


def reachable_files(path: str, imports: Mapping[str, frozenset[str]]) -> set[str]:
    """All files that are imported from a file, itself included."""
    seen, open_paths = {path}, [path]
    while open_paths:
        for target in imports.get(open_paths.pop(), frozenset()) - seen:
            seen.add(target)
            open_paths.append(target)
    return seen


def _module(path: str) -> list[str]:
    parts = list(PurePosixPath(path).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


def _names(path: str, match: re.Match[str]) -> Iterable[str]:
    """The modules that an import statement may mean."""
    source, taken, plain = match[2], match[3], match[4]
    if plain is not None:
        for part in plain.split("#")[0].split(","):
            words = part.split()
            if words:
                yield from _parents(words[0])
        return
    dots = len(source) - len(source.lstrip("."))
    if dots:
        above = PurePosixPath(path).parts[:-1]
        above = above[: len(above) - (dots - 1)]
        source = ".".join([*above, *filter(None, [source.lstrip(".")])])
    yield from _parents(source)
    for word in re.findall(r"\w+", taken.split("#")[0]):
        yield f"{source}.{word}"


def _parents(name: str) -> Iterable[str]:
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def _implied(path: str, files: Collection[str]) -> frozenset[str]:
    """The `conftest.py` files that pytest loads for a file."""
    above = PurePosixPath(path).parents
    return frozenset(str(folder / "conftest.py") for folder in above) & frozenset(files)
