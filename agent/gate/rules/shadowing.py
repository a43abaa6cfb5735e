"""Whether a new file takes the place of a module that code already imports."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from agent.gate.rules.paths import as_read
from agent.testing.paths import is_test

_ENTRY_FOLDERS = frozenset({"", "src", "lib"})
_OFTEN_REPEATED = frozenset({"conftest", "setup", "__main__", "__init__", "tests", "test"})


def shadowing(
    added: Iterable[str], base: Collection[str], installed: Collection[str] = ()
) -> tuple[str, ...]:
    """Why new files are refused for the module names they take; empty if they are not.

    `added` and `base` are paths of new and existing files, `installed` the names of top-level
    modules that the interpreter of the sandbox can import.
    """
    new = [path for path in added if PurePosixPath(path).suffix in (".py", ".pyi", ".so", ".pyd")]
    packages = {str(PurePosixPath(p).parent) for p in (*base, *new) if p.endswith("__init__.py")}
    tops = {_top(path, packages) for path in base if path.endswith(".py")}
    owned = {name: place for name, place in tops if _entry(place)}
    reasons = []
    for path in new:
        name, place = _top(path, packages)
        reachable = _entry(place) or is_test(path)
        foreign = name in sys.stdlib_module_names or (
            name in installed and not any(name == known for known, _ in tops)
        )
        if (name, place) in tops and _sibling(path) not in base:
            continue
        if _sibling(path) in base:
            reasons.append(f"{path} would take the place of {_sibling(path)}.")
        elif name in _OFTEN_REPEATED or not reachable:
            continue
        elif foreign:
            reasons.append(f"{path} would take the place of the module `{name}` that is installed.")
        elif owned.get(name, place) != place:
            reasons.append(f"{path} would take the place of the project's own module `{name}`.")
    return tuple(reasons)


def collisions(added: Iterable[str], base: Collection[str]) -> tuple[str, ...]:
    """New files that some file systems take for other ones of the tree, or their folders for such.

    What is checked out there is the one or the other, whatever was seen in the sandbox.
    """
    present = {start for path in base for start in _beginnings(path)}
    spelt = {as_read(start): start for start in present}
    reasons = []
    for path in sorted(added):
        for start in _beginnings(path):
            known = spelt.setdefault(as_read(start), start)
            if known != start and start not in present:
                reasons.append(f"{path}: {start} is {known} where a disk sees no case in names.")
                break
    return tuple(reasons)


def _beginnings(path: str) -> list[str]:
    """A path and the folders above it, the outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _entry(place: str) -> bool:
    """Whether a folder is one that Python is usually told to import from."""
    return place.removesuffix("/") in _ENTRY_FOLDERS or place.endswith("/src/")


def _top(path: str, packages: set[str]) -> tuple[str, str]:
    """The name by which a file's outermost package or module is imported, and from where."""
    pure = PurePosixPath(path)
    name = pure.name.partition(".")[0]
    folder = pure.parent
    if name == "__init__":
        name, folder = folder.name, folder.parent
    while str(folder) in packages and folder.name:
        name, folder = folder.name, folder.parent
    place = "" if str(folder) == "." else f"{folder}/"
    return name, place


def _sibling(path: str) -> str:
    """The path that Python would prefer or pass over for the same module: package or file."""
    pure = PurePosixPath(path)
    if pure.name == "__init__.py":
        return f"{pure.parent}.py"
    return str(pure.with_suffix("") / "__init__.py")
