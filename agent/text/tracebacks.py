"""Stack traces of Python, JavaScript, Go, Java and Rust, and their frames in the tree."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from agent.text.log_errors import bare

Language = Literal["python", "javascript", "go", "java", "rust"]
LONGEST = 2_000_000
"""Characters looked at; the rest of a larger text is left out."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One place that a stack trace names."""

    language: Language
    path: str
    """As the trace writes it; for Java package and file, `com/acme/Shop.java`."""
    line: int
    function: str


_PATTERNS: tuple[tuple[Language, re.Pattern[str]], ...] = (
    (
        "python",
        re.compile(
            r'^ {0,8}File "(?P<path>[^"\n]{1,400})", line (?P<line>\d+)(?:, in (?P<fn>\S+))?'
        ),
    ),
    # pytest's short form: `tests/test_a.py:12: AssertionError`
    ("python", re.compile(r"^(?P<path>[\w./-]{1,300}\.py):(?P<line>\d+): (?P<fn>)")),
    (
        "javascript",
        re.compile(
            r"^\s{1,20}at (?:(?P<fn>[^\s(]{1,200}(?: \[as [^\]]{1,80}\])?) \()?"
            r"(?:file://)?(?P<path>[^\s():]{1,400}\.[cm]?[jt]sx?):(?P<line>\d+):\d+"
        ),
    ),
    ("go", re.compile(r"^\s(?P<path>\S{1,400}\.go):(?P<line>\d+)(?: \+0x[0-9a-f]+)?(?P<fn>)")),
    ("go", re.compile(r"^\s{4,}(?P<path>[\w./-]{1,300}_test\.go):(?P<line>\d+): (?P<fn>)")),
    (
        "java",
        re.compile(
            r"^\s{1,20}at (?:[\w.]{1,100}/)?(?P<fn>[\w.$<>]{1,300})"
            r"\((?P<path>\w{1,100}\.(?:java|kt|scala)):(?P<line>\d+)\)"
        ),
    ),
    ("rust", re.compile(r"^\s{4,}at (?P<path>\S{1,400}\.rs):(?P<line>\d+)(?::\d+)?(?P<fn>)")),
    (
        "rust",
        re.compile(r"panicked at (?:'.{0,300}', )?(?P<path>\S{1,400}\.rs):(?P<line>\d+)(?P<fn>)"),
    ),
)


def frames(text: str) -> list[Frame]:
    """Every frame of every stack trace in the text, in the order in which they stand."""
    return list(_frames(text[:LONGEST]))


def _frames(text: str) -> Iterator[Frame]:
    for whole in text.split("\n"):
        if len(whole) > 1000:
            continue
        line = bare(whole)
        for language, pattern in _PATTERNS:
            found = pattern.search(line)
            if found is None:
                continue
            path, function = found["path"], found["fn"] or ""
            if language == "java":
                path = _java_path(function, path)
            yield Frame(language, path, int(found["line"]), function)
            break


def _java_path(function: str, file: str) -> str:
    """`com.acme.Shop.total` in `Shop.java` → `com/acme/Shop.java`."""
    package = function.split(".")[:-2]
    return "/".join([*package, file])


def in_tree(found: Collection[Frame], files: Collection[str]) -> list[Frame]:
    """The frames whose file is in the repository, with its path there; each place once.

    Traces name files from where the program ran (`/app/src/shop/basket.py`); a file is taken for
    the one whose path ends in the longest same tail, if only one does.
    """
    by_name: dict[str, list[str]] = {}
    for path in files:
        by_name.setdefault(PurePosixPath(path).name, []).append(path)
    seen: dict[tuple[str, int], Frame] = {}
    for frame in found:
        placed = _best(frame.path.replace("\\", "/"), by_name)
        if placed is not None:
            seen.setdefault(
                (placed, frame.line), Frame(frame.language, placed, frame.line, frame.function)
            )
    return list(seen.values())


def _best(path: str, by_name: dict[str, list[str]]) -> str | None:
    parts = PurePosixPath(path).parts
    if not parts or "site-packages" in parts or "node_modules" in parts:
        return None
    lengths = [(_shared_tail(parts, PurePosixPath(c).parts), c) for c in by_name.get(parts[-1], [])]
    if not lengths:
        return None
    longest = max(length for length, _ in lengths)
    best = [c for length, c in lengths if length == longest]
    return best[0] if len(best) == 1 else None


def _shared_tail(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for left, right in zip(reversed(a), reversed(b), strict=False):
        if left != right:
            break
        count += 1
    return count


def describe(placed: Collection[Frame]) -> str:
    """One line that names the places, innermost last as Python prints them."""
    if not placed:
        return "no frame of a stack trace lies in this repository"
    places = (f"{f.path}:{f.line}" + (f" in {f.function}" if f.function else "") for f in placed)
    return "frames in this repository: " + "; ".join(places)
