"""The commands for style that a text for developers names, and those that scripts stand for.

Texts are of the repository: they are read within bounds, and what is found is one of the known
programs or a plain `make lint`, never a line of shell as somebody wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from agent.model import Record
from agent.style.tools import TOOLS

_MOST_TEXT = 100_000
_MOST_FOUND = 12
_FENCE = re.compile(r"^[ \t]{0,12}(```+|~~~+)", re.M)
_INLINE = re.compile(r"(?<!`)`([^`\n]{2,200})`(?!`)")
_PROMPT = re.compile(r"^\s*(?:[$>%#]\s+|[-*]\s+)?")
_RUNNERS = re.compile(
    r"(?:(?:[A-Z_][A-Z0-9_]*=\S+|sudo|exec|env|uv(?:\s+tool)?\s+run|uvx|pipx\s+run|poetry\s+run"
    r"|pipenv\s+run|pdm\s+run|rye\s+run|hatch(?:\s+run|\s+-e\s+\S+\s+run)|python[\d.]*\s+-m"
    r"|npx(?:\s+--no(?:-install)?)?|bunx|pnpm\s+(?:exec|dlx)|yarn\s+(?:exec|dlx)|bundle\s+exec)\s+)+"
)
_STYLE_NAME = re.compile(
    r"(?:lint|linting|linter|lint[:_-](?:check|all|ci|code|js|ts|py|python)|check[:_-](?:lint|style|format|fmt)"
    r"|(?:format|fmt|style|prettier|formatting|code-?style)[:_-]?check|style|stylecheck|codestyle"
    r"|eslint|prettier|flake8|black|ruff|rubocop|standard|biome|test:lint|lint:eslint|lint:prettier)"
)
"""Names of targets and scripts that look at style and, by their name, change nothing."""
_CHANGING_NAME = re.compile(
    r"(?:(?:format|fmt|formatting|prettify|pretty|check|checks|fix|quality|qa)(?:[:_-][\w-]{1,20})?"
    r"|lint[:_-]fix|fix[:_-]lint)"
)
"""Names of others that may: they stand for the known programs that they run, and nothing else."""
_TARGET = re.compile(
    r"(?P<by>make|just|task|npm|pnpm|yarn|bun|tox|nox|rake)(?P<flags>(?:\s+-{1,2}[\w=-]+)*)"
    r"(?:\s+run(?:-script)?)?\s+(?P<name>[\w:.-]{2,40})"
)
_WORDS = re.compile(r"[A-Za-z][\w.-]{1,30}")
_PROGRAMS = {
    ("ruff", "check"): "ruff check",
    ("ruff", "format"): "ruff format",
    ("go", "vet"): "go vet",
    ("golangci-lint", "run"): "golangci-lint",
    ("cargo", "fmt"): "cargo fmt",
    ("cargo", "clippy"): "cargo clippy",
    ("pre-commit", "run"): "pre-commit",
    ("prek", "run"): "pre-commit",
    **{
        (name, ""): name
        for name in (
            *("black", "isort", "flake8", "pylint", "eslint", "prettier", "biome", "standard"),
            *("gofmt", "rubocop"),
        )
    },
}


class Named(Record):
    """A command for style that was found in a text."""

    tool: str = ""
    """Name of a known tool, or `pre-commit`; empty: a script or target."""
    by: str = ""
    """What runs it: `make`, `npm`, …"""
    name: str = ""
    """The script's or target's name."""


def named_commands(text: str) -> tuple[Named, ...]:
    """The commands for style in a Markdown or reStructuredText document, in order, each once."""
    found: dict[Named, None] = {}
    for line in _code(text[:_MOST_TEXT]):
        for part in re.split(r"&&|\|\||;|\|", line)[:10]:
            for one in _read(part):
                found[one] = None
        if len(found) >= _MOST_FOUND:
            break
    return tuple(found)[:_MOST_FOUND]


def tools_in_script(text: str, scripts: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The known tools that a script or recipe runs, with those of scripts that it calls."""
    found: dict[str, None] = {}
    left = [text]
    seen: set[str] = set()
    while left and len(seen) < _MOST_FOUND:
        for part in re.split(r"&&|\|\||;|\n", left.pop()[:4000])[:40]:
            for one in _read(part.lstrip("@-\t "), only_style=False):
                if one.tool:
                    found[one.tool] = None
                elif one.name in (scripts or {}) and one.name not in seen:
                    seen.add(one.name)
                    left.append((scripts or {})[one.name])
    return tuple(name for name in found if name in TOOLS)


def is_style_name(name: str) -> bool:
    """Whether a script's or target's name says that it looks at style."""
    return _STYLE_NAME.fullmatch(name) is not None


def may_run_style(name: str) -> bool:
    """Whether a script or target of this name may run style programs, perhaps to change files."""
    return is_style_name(name) or _CHANGING_NAME.fullmatch(name) is not None


def _read(command: str, *, only_style: bool = True) -> Iterator[Named]:
    text = _PROMPT.sub("", command[:300]).strip()
    text = _RUNNERS.sub("", f"{text} ", count=1).strip()
    words = [word.group() for word in list(_WORDS.finditer(text))[:3]]
    if not words or not text.startswith(words[0]):
        return
    second = text[len(words[0]) :].split()[:1]
    tool = _PROGRAMS.get((words[0], second[0] if second else "")) or _PROGRAMS.get((words[0], ""))
    if tool is None and words[0] == "ruff" and second and not second[0].isalpha():
        tool = "ruff check"  # as it was called before it could format
    if tool is not None:
        yield Named(tool=tool)
        return
    target = _TARGET.match(text)
    if target is not None and (not only_style or may_run_style(target["name"])):
        yield Named(by=target["by"], name=target["name"])


def _code(text: str) -> Iterator[str]:
    """The lines of code blocks, and what stands between backquotes elsewhere."""
    inside, fence = False, ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark is not None and (not inside or mark[1].startswith(fence)):
            inside, fence = not inside, mark[1]
        elif inside or (line.startswith(("    ", "\t")) and line.strip()):
            yield line
        else:
            yield from _INLINE.findall(line)
