"""A repository's own pull request template, filled in with what the run knows.

GitHub puts the template into its form only; who opens a pull request through its interface has to
do it himself. A part stands where the template names it (`<!-- patchwright:proof -->`), else in the
section whose heading is about it. What a section means that we have nothing for stays as the
template has it, boxes unticked: a person ticks them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.sanitize.markdown import Markdown, without_links

Part = Literal["summary", "cause", "proof", "risk", "issue"]

PLACES = tuple(
    f"{folder}{name}"
    for folder in (".github/", "", "docs/")
    for name in ("pull_request_template.md", "pull_request_template.txt", "pull_request_template")
)
"""Where GitHub looks for the template, in its order; letters' case does not matter."""

_TOPICS: Mapping[Part, str] = {
    "issue": r"related issues?|linked issues?|issues?|fixes|closes|tickets?",
    "proof": r"test(?:s|ed|ing)?|test plan|verification|how .*verified|proof",
    "cause": r"why|motivation|context|root cause|problem|background|reason",
    "risk": r"risks?|impact|breaking|side effects?|compatibility",
    "summary": r"description|summary|what|changes?|proposed|overview|solution",
}
"""Patterns of headings, the more specific topics first."""
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_BOLD_HEADING = re.compile(r"\*\*([^*]{1,80}?):?\*\*:?\s*$")
_NAMED = re.compile(r"<!--\s*patchwright:([a-z]+)\s*-->", re.IGNORECASE)
_MARK = "\ue000"
"""Around a named place while the template is read: a character of private use."""
_PLACE = re.compile(f"{_MARK}([a-z]+){_MARK}")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
LIMIT = 10_000
"""Characters of a template that are used."""


def places(named: str) -> tuple[str, ...]:
    """Paths at which the template may be, the best first. `named`: by the settings, if any."""
    return (named, *PLACES) if named else PLACES


@dataclass(frozen=True, slots=True)
class FilledTemplate:
    """The template with our parts filled in."""

    text: Markdown
    placed: frozenset[Part]
    """The parts that are in the template and need no other place."""


@dataclass(frozen=True, slots=True)
class _TemplateSection:
    heading: str
    """The line as the template has it; empty before the first."""
    title: str
    body: str


def fill(template: str, parts: Mapping[Part, Markdown]) -> FilledTemplate | None:
    """The template filled in; None when it has neither a place nor a heading that we understand."""
    text, named = _mark_places(template[:LIMIT].replace("\r\n", "\n"), parts)
    placed = set(named)
    out = []
    for section in _sections(_COMMENT.sub("", text)):
        body = without_links(section.body.strip("\n"))
        part = None if _PLACE.search(body) else _part_of(section.title, placed, parts)
        if part is not None:
            placed.add(part)
            # Boxes are questions to a person: they stay below our answer.
            checkboxes = "\n".join(line for line in body.split("\n") if _is_box(line))
            body = parts[part].strip("\n") + (f"\n\n{checkboxes}" if checkboxes else "")
        else:
            body = _PLACE.sub(lambda place: f"\n\n{_named(place[1], named)}\n\n", body).strip("\n")
        out.append(f"{without_links(section.heading)}\n\n{body}".strip("\n"))
    if not placed:
        return None
    text = re.sub(r"\n{3,}", "\n\n", "\n\n".join(piece for piece in out if piece))
    return FilledTemplate(Markdown(text), frozenset(placed))


def _mark_places(template: str, parts: Mapping[Part, Markdown]) -> tuple[str, dict[Part, Markdown]]:
    """The template with its named places marked, and the parts that stand there, each once."""
    named: dict[Part, Markdown] = {}

    def mark(found: re.Match[str]) -> str:
        part = next((part for part in parts if part == found[1].lower()), None)
        if part is None or part in named:
            return ""
        named[part] = parts[part]
        return f"{_MARK}{part}{_MARK}"

    return _NAMED.sub(mark, template.replace(_MARK, "")), named


def _named(name: str, named: Mapping[Part, Markdown]) -> str:
    return next(text.strip("\n") for part, text in named.items() if part == name)


def _part_of(title: str, placed: set[Part], parts: Mapping[Part, Markdown]) -> Part | None:
    for part, words in _TOPICS.items():
        free = part in parts and part not in placed
        if free and re.search(rf"\b(?:{words})\b", title, re.IGNORECASE):
            return part
    return None


def _sections(template: str) -> list[_TemplateSection]:
    sections = []
    heading = title = fence = ""
    body: list[str] = []
    for line in template.split("\n"):
        opened = _FENCE.match(line)
        if fence:
            fence = "" if opened and line.strip().startswith(fence) else fence
        elif opened:
            fence = opened[1]
        found = None if fence or opened else _HEADING.match(line) or _BOLD_HEADING.match(line)
        if found:
            sections.append(_TemplateSection(heading, title, "\n".join(body)))
            heading, title, body = line.strip(), str(found[found.lastindex or 1]), []
        else:
            body.append(line)
    sections.append(_TemplateSection(heading, title, "\n".join(body)))
    return sections


def _is_box(line: str) -> bool:
    return re.match(r"\s*[-*+] \[[ xX]\] ", line) is not None
