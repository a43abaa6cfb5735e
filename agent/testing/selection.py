"""Selections of tests: from the words a caller gives to the arguments a runner takes."""

from __future__ import annotations

import re
import shlex

_NAME = re.compile(r"[^\s\[]+(?:\[.*?\](?=\s|$))?|\S+")

_OPTIONS_WITH_VALUE = frozenset(
    {"-k", "-m", "-p", "-c", "-o", "-n", "-W", "-r", "--rootdir", "--confcutdir", "--cov", "--tb"}
    | {"--durations", "--timeout", "--color", "--ignore", "--deselect", "--import-mode", "--dist"}
)


def words(selection: str) -> tuple[str, ...]:
    """The single tests or options in a selection.

    One test a line, or several in a line; a parameter in brackets may hold spaces
    (`test_a.py::test_b[x y]`). A selection that starts with an option is read as a shell would.
    """
    text = selection.strip()
    if text.startswith("-"):
        try:
            return tuple(shlex.split(text))
        except ValueError:
            return tuple(text.split())
    if "\n" in text:
        return lines(text)
    return tuple(_NAME.findall(text))


def lines(selection: str) -> tuple[str, ...]:
    """The selection's lines, one test each."""
    return tuple(line.strip() for line in selection.splitlines() if line.strip())


def quote_selection(selection: str) -> str:
    """The selection as shell words, safe against anything in it."""
    return " ".join(shlex.quote(word) for word in words(selection))


def without_paths(command: str) -> str:
    """A pytest command without the paths it names, so that a selection can take their place.

    Commands of several parts (`&&`, pipes) are left as they are.
    """
    if re.search(r"[;&|<>`$()]", command):
        return command
    try:
        parts = shlex.split(command)
    except ValueError:
        return command
    start = next((i for i, p in enumerate(parts) if p.rpartition("/")[2] in _PYTEST_NAMES), None)
    if start is None:
        return command
    kept = parts[: start + 1]
    for before, part in zip(parts[start:], parts[start + 1 :], strict=False):
        if part.startswith("-") or before in _OPTIONS_WITH_VALUE:
            kept.append(part)
    return shlex.join(kept)


_PYTEST_NAMES = frozenset({"pytest", "py.test"})
