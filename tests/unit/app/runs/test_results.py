"""Results of steps: as the durable engine keeps them, by whichever version."""

from __future__ import annotations

import pytest

from app.runs.results import (
    BaseMoved,
    BranchMoved,
    Debugged,
    Denied,
    Done,
    Failed,
    Gathered,
    NothingToDo,
    Prepared,
    Published,
    Pushed,
    Refused,
    StepJson,
    StepResult,
    from_json,
    to_json,
)

GATHERED = {
    "head": "h",
    "base_commit": "b",
    "tree": "t",
    "base_branch": "main",
    "clone_url": "u",
    "first": "2",
    "attached": "a b",
    "at": "2026-01-01T00:00:00+00:00",
    "pull": "p",
}
KEPT: list[tuple[StepResult, StepJson]] = [
    (Done(), {}),
    (Failed("why"), {"failed": "why"}),
    (Failed("why", post_comment=False), {"failed": "why", "untold": "1"}),
    (Failed("why", stopped=True), {"failed": "why", "stopped": "1"}),
    (Failed("why", attempt=3), {"failed": "why", "attempt": "3"}),
    (Denied("why"), {"denied": "why"}),
    (Refused("why"), {"refused": "why"}),
    (
        Prepared("c", "main", "u", '[{"id": "a"}]'),
        {"base_commit": "c", "base_branch": "main", "clone_url": "u", "attached": '[{"id": "a"}]'},
    ),
    (
        Prepared("c", "main", "u", pictures='[{"id": "b"}]'),
        {
            "base_commit": "c",
            "base_branch": "main",
            "clone_url": "u",
            "attached": "[]",
            "pictures": '[{"id": "b"}]',
        },
    ),
    (Debugged(2), {"attempt": "2"}),
    (
        Published("proven", 1, pull="https://p"),
        {"outcome": "proven", "attempt": "1", "pull": "https://p"},
    ),
    (
        Published("diagnosis", 1, reason=""),
        {"outcome": "diagnosis", "attempt": "1", "reason": ""},
    ),
    (BaseMoved("why", "c", 2), {"again": "why", "base_commit": "c", "first": "2"}),
    (NothingToDo("why"), {"quiet": "why"}),
    (
        Gathered("h", "b", "t", "main", "u", 2, "a b", "2026-01-01T00:00:00+00:00", "p"),
        GATHERED,
    ),
    (Pushed(2, "c", "draft"), {"attempt": "2", "commit": "c", "outcome": "draft"}),
    (BranchMoved("why"), {"moved": "1", "failed": "why"}),
]


@pytest.mark.parametrize(("result", "kept"), KEPT, ids=lambda part: type(part).__name__)
def test_a_result_is_kept_under_the_keys_of_earlier_versions(
    result: StepResult, kept: StepJson
) -> None:
    assert to_json(result) == kept
    assert from_json(kept) == result
