"""Instances in SWE-bench's format: read, checked and written as JSON lines.

Fields of the format and their meaning: https://www.swebench.com (dataset card). `FAIL_TO_PASS` and
`PASS_TO_PASS` are there as JSON lists inside strings; plain lists are read as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Self

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.errors import AgentError
from agent.model import Record


class BadInstances(AgentError):
    """A file of instances cannot be used; the message names the line and what is wrong."""


class Instance(Record):
    """One bug with its hidden tests. Texts are untrusted."""

    # Data sets have fields of their own (version, created_at, difficulty …): they are passed over.
    model_config = ConfigDict(frozen=True, extra="ignore")

    instance_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")
    repo: str = Field(min_length=1)
    """`owner/name`, which is looked for in the folder of mirrors; or an address; or a path."""
    base_commit: str = Field(pattern=r"^[0-9a-f]{7,64}$")
    problem_statement: str = Field(min_length=1)
    test_patch: str = Field(min_length=1)
    """The hidden tests; the run never sees them."""
    FAIL_TO_PASS: tuple[str, ...] = Field(min_length=1)
    """Tests that fail before the fix and must pass after."""
    PASS_TO_PASS: tuple[str, ...] = ()
    """Tests that pass before and must pass after."""
    patch: str = ""
    """The fix that was merged, where it is known; nothing is judged by it."""
    hints_text: str = ""
    image: str = ""
    """Ours: the sandbox image; empty: found from the repository."""
    test_command: str = ""
    """Ours: how the tests run; empty: found from the repository."""

    @field_validator("FAIL_TO_PASS", "PASS_TO_PASS", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("is neither a list nor a JSON list in a string") from None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        both = set(self.FAIL_TO_PASS) & set(self.PASS_TO_PASS)
        if both:
            raise ValueError(f"{sorted(both)[0]} is in FAIL_TO_PASS and in PASS_TO_PASS")
        return self


def read_instances(text: str) -> tuple[Instance, ...]:
    """The instances of a text of JSON lines, or of one JSON list, in order.

    Raises `BadInstances`.
    """
    if text.lstrip().startswith("["):
        text = _as_lines(text)
    found: list[Instance] = []
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        instance = _read(line, number)
        if instance.instance_id in seen:
            raise BadInstances(f"line {number}: the instance {instance.instance_id} occurs twice")
        seen.add(instance.instance_id)
        found.append(instance)
    if not found:
        raise BadInstances("there are no instances in the file")
    return tuple(found)


def _as_lines(text: str) -> str:
    try:
        listed = json.loads(text)
    except ValueError as problem:
        raise BadInstances(f"this is neither JSON lines nor a JSON list: {problem}") from None
    return "\n".join(map(json.dumps, listed))


def _read(line: str, number: int) -> Instance:
    try:
        return Instance.model_validate(json.loads(line))
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the instance"
        raise BadInstances(f"line {number}: {where}: {first['msg']}") from None
    except ValueError as problem:
        raise BadInstances(f"line {number}: this is not JSON: {problem}") from None


def write_instances(instances: Iterable[Instance]) -> str:
    """The instances as JSON lines that `read_instances` and SWE-bench's own tools read."""
    return "".join(json.dumps(_row(i), ensure_ascii=False) + "\n" for i in instances)


def _row(instance: Instance) -> dict[str, object]:
    row = instance.model_dump()
    for name in ("FAIL_TO_PASS", "PASS_TO_PASS"):
        row[name] = json.dumps(list(row[name]), ensure_ascii=False)
    return {name: value for name, value in row.items() if value != ""}


_LONGEST_TITLE = 200
_HEADING = re.compile(r"^#+\s*")


def title_and_body(statement: str) -> tuple[str, str]:
    """A problem statement as an issue: its first line with words is the title."""
    title, _, body = statement.strip().partition("\n")
    title = _HEADING.sub("", title).strip()
    if len(title) > _LONGEST_TITLE:
        return title[:_LONGEST_TITLE].rstrip() + "…", statement.strip()
    return title, body.strip()
