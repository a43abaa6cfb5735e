"""`.github/patchwright.yml` read: YAML to `RepoConfig`, or each mistake with its line.

The text is a stranger's until it is checked: size and depth are bounded, and aliases, tags and
doubled keys are refused rather than interpreted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ValidationError

from app.repo_config.schema import RepoConfig

LIMIT_BYTES = 32 * 1024
"""Longest file that is read: room for every setting many times over."""
DEEPEST = 12

_OFF = re.compile(rb"^enabled[ \t]*:[ \t]*(?:false|no|off)[ \t]*(?:#.*)?\r?$", re.I | re.M)

Source = Literal["repository", "organisation"]
Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file."""

    source: Source
    line: int
    """From 1; 0 where the file as a whole is meant."""
    reason: str


@dataclass(frozen=True, slots=True)
class ParsedYaml:
    """A file's content as plain data, and where each part of it stands."""

    values: Mapping[str, Any]
    lines: Mapping[Location, int]


@dataclass(frozen=True, slots=True)
class MergedConfig:
    """The settings in effect; with problems, the faulty files count as absent."""

    config: RepoConfig
    problems: tuple[Problem, ...] = ()
    organisation_off: bool = False
    """Whether the organisation turns the App off, whatever its repositories' files say."""


class _InvalidYaml(Exception):
    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def read_repo_config(repository: bytes | None, organisation: bytes | None = None) -> MergedConfig:
    """The repository's file over the organisation's defaults; None where there is no file.

    Sections are merged name by name, lists and values replace one another. A file with a mistake
    counts for nothing as a whole: half of somebody's rules may be worse than none. Only what turns
    the App off (`says_off`) counts in any case, and an organisation's holds for all repositories.
    """
    problems: list[Problem] = []
    merged: Mapping[str, Any] = {}
    sources: tuple[tuple[Source, bytes | None], ...] = (
        ("organisation", organisation),
        ("repository", repository),
    )
    for source, content in sources:
        if content is None:
            continue
        try:
            parsed = _parse(content)
        except _InvalidYaml as fault:
            problems.append(Problem(source, fault.line, fault.reason))
            continue
        wrong = _check(source, parsed)
        problems += wrong
        if not wrong:
            merged = _merge(merged, parsed.values)
    organisation_off = organisation is not None and says_off(organisation)
    if organisation_off or (repository is not None and says_off(repository)):
        merged = {**merged, "enabled": False}
    return MergedConfig(RepoConfig.model_validate(merged), tuple(problems), organisation_off)


def says_off(content: bytes) -> bool:
    """Whether a file has `enabled: false`, even one with mistakes elsewhere: who writes that wants
    nothing to be done."""
    try:
        return _parse(content).values.get("enabled") is False
    except _InvalidYaml:
        return _OFF.search(content) is not None


def _check(source: Source, parsed: ParsedYaml) -> list[Problem]:
    try:
        RepoConfig.model_validate(parsed.values)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        wrong = [Problem(source, _line(parsed, tuple(f["loc"])), _reason(f)) for f in found]
        return sorted(wrong, key=lambda problem: problem.line)
    return []


def _line(parsed: ParsedYaml, location: Location) -> int:
    """The line of a place, or of the nearest place around it that is in the file."""
    while location and location not in parsed.lines:
        location = location[:-1]
    return parsed.lines.get(location, 0)


def _reason(found: Any) -> str:
    place = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return f"{place}: there is no such setting{_nearest(tuple(found['loc']))}"
    message = str(found["msg"]).removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"


def _nearest(location: Location) -> str:
    model: type[BaseModel] = RepoConfig
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type):
            return ""
        model = field.annotation
    close = difflib.get_close_matches(str(location[-1]), list(model.model_fields), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[name] = _merge(below, value) if both and below is not None else value
    return merged


def _parse(content: bytes) -> ParsedYaml:
    if len(content) > LIMIT_BYTES:
        raise _InvalidYaml(0, f"the file is longer than {LIMIT_BYTES // 1024} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _InvalidYaml(line, "the file is not UTF-8 text") from None
    try:
        _refuse_yaml_features(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _InvalidYaml(
            mark.line + 1 if mark else 0, f"not valid YAML: {error.problem}"
        ) from None
    except yaml.YAMLError as error:  # characters that YAML does not take
        raise _InvalidYaml(0, f"not valid YAML: {str(error).splitlines()[0]}") from None
    if root is None:
        return ParsedYaml({}, {})
    if not isinstance(root, yaml.MappingNode):
        raise _InvalidYaml(
            root.start_mark.line + 1, "the file must be a list of `name: value` lines"
        )
    lines: dict[Location, int] = {}
    return ParsedYaml(_mapping(root, (), lines), lines)


def _refuse_yaml_features(text: str) -> None:
    """Refuse what no settings need, before anything is built from it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _InvalidYaml(
                line, "anchors and aliases (& and *) are not allowed; write the value out"
            )
        if getattr(event, "tag", None):
            raise _InvalidYaml(line, "tags (!) are not allowed")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise _InvalidYaml(line, "nested too deeply")


def _mapping(node: yaml.MappingNode, at: Location, lines: dict[Location, int]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise _InvalidYaml(line, "a name must be text")
        name = str(key.value)
        if name in values:
            raise _InvalidYaml(line, f"{'.'.join(map(str, (*at, name)))} is given twice")
        lines[(*at, name)] = line
        values[name] = _value(value, (*at, name), lines)
    # An empty section (`budget:` with nothing below) is as good as none.
    return {name: value for name, value in values.items() if value is not None}


def _value(node: yaml.Node, at: Location, lines: dict[Location, int]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, lines)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[(*at, number)] = item.start_mark.line + 1
        return [_value(item, (*at, number), lines) for number, item in enumerate(node.value)]
    try:
        # The safe constructor knows plain words, numbers, truth values and dates only.
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError, ArithmeticError):
        raise _InvalidYaml(node.start_mark.line + 1, "the value cannot be read") from None
