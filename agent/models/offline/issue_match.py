"""Whether what an example gave is the bug of the issue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agent.models.offline.issue_examples import Example, IssueReport
from agent.models.offline.render import LATE, ShownExample


def judge(example: Example, seen: dict[str, object], report: IssueReport) -> ShownExample | None:
    """Whether what an example gave is the bug of the issue."""
    if "timeout" in seen:
        hangs = bool(
            report.words & {"hang", "hangs", "forever", "infinite", "stuck", "never", "loop"}
        )
        if not hangs:
            return None
        what, wanted = f"{example.expr} does not end", [*example.expected, ""][0]
        kind: Literal["equals", "ends"] = "equals" if wanted else "ends"
        return ShownExample(example, kind, wanted, what, LATE, 3 if wanted else 2)
    if "type" in seen:
        return _judge_error(example, str(seen["type"]), seen, report)
    value = str(seen["value"])
    equal = list(seen["equal"]) if isinstance(seen["equal"], list) else []
    if example.raises:
        name = example.raises[0]
        what = f"{example.expr} gives {value} and does not raise {name}"
        return ShownExample(example, "raises", name, what, "DID NOT RAISE", 3)
    wrong = [text for text, same in zip(example.expected, equal, strict=False) if same is False]
    if not wrong:
        return None
    confirmed = True in equal or value in report.text or value.strip("'\"") in report.text
    if example.unquoted and not (confirmed and value.startswith(("'", '"'))):
        return None
    what = f"{example.expr} gives {value}, not {wrong[0]}"
    return ShownExample(example, "equals", wrong[0], what, "AssertionError", 4 if confirmed else 1)


def kinds_of(seen: dict[str, object]) -> Sequence[object]:
    """The exception's class and its bases, by name."""
    kinds = seen.get("kinds")
    return kinds if isinstance(kinds, list) else ()


_ANY = ("Exception", "BaseException", "object")
"""Bases that say nothing of an exception."""


def _judge_error(
    example: Example, error: str, seen: dict[str, object], report: IssueReport
) -> ShownExample | None:
    named = {example.crashed, *(t.exception for t in report.traces)} | report.words
    wanted = [text for text in example.expected if error not in text]
    kinds = {error, *(str(k) for k in kinds_of(seen) if k not in _ANY)}
    if kinds & set(example.raises) or not kinds & named:
        return None
    if (
        error in ("NameError", "SyntaxError", "ImportError", "ModuleNotFoundError")
        and not seen["frames"]
    ):
        return None
    what = f"{example.expr} raises {error}: {seen['message']}"
    frames = seen["frames"] if isinstance(seen["frames"], list) else []
    if example.raises:
        return ShownExample(example, "raises", example.raises[0], what, error, 3)
    if wanted:
        return ShownExample(example, "equals", wanted[0], what, error, 4 if frames else 1)
    return ShownExample(example, "ends", "", what, error, 3 if frames else 0)
