"""How the policy speaks: it yields calls and receives their results. Nothing else passes."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call, and why it is made, in words for the journal's readers."""

    name: str
    arguments: dict[str, Any]
    why: str

    @property
    def json(self) -> str:
        """The arguments as a model would write them."""
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave."""

    text: str
    call_id: str
    lines: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(self.text.split("\n")))

    @property
    def accepted(self) -> bool:
        """Whether the tool did what it was asked."""
        return not self.text.startswith(("refused", "error", "[interrupted]"))


Steps = Generator[Call, Result, T]
"""A part of the policy that makes calls and ends with a T."""


def call(name: str, why: str, **arguments: Any) -> Steps[Result]:
    """Make a call; once more if the worker was interrupted in it."""
    request = Call(name, arguments, why)
    result = yield request
    if result.text.startswith("[interrupted]"):
        result = yield request
    return result
