"""How far a publication came, from its journal."""

from __future__ import annotations

from typing import Any

from agent.journal.events import AnyEvent, AttemptEnded, PublicationStep, RunEnded
from app.publishing.publication import Publication, kept_change, kept_proof, publication_of
from tests.support.runs.proven import HYPOTHESES, PROVEN, REPRODUCED, STARTED, SUBMITTED, UNPROVEN

REFUSED = PublicationStep(attempt=0, step="push", status="refused", kind="signatures", words=("w",))
PUSHED = PublicationStep(attempt=0, step="push", status="done", branch="b", commit="c")


def attempt(number: int, *events: AnyEvent) -> list[AnyEvent]:
    return [event.model_copy(update={"attempt": number}) for event in (STARTED, *events)]


def test_a_later_step_takes_an_obstacle_away() -> None:
    refused = publication_of([REFUSED])
    assert refused.obstacle is not None
    assert (refused.obstacle.kind, refused.obstacle.words) == ("signatures", ("w",))
    assert publication_of([REFUSED, PUSHED]) == Publication(branch="b", commit="c")
    opened = PublicationStep(attempt=0, step="pull", status="done", branch="b", pull=4, url="u")
    assert publication_of([PUSHED, opened]).pull == 4


def test_a_proof_on_another_base_ends_with_a_refusal_of_that_step() -> None:
    again = PublicationStep(attempt=0, step="prove", status="done", base="tip")
    moved = PublicationStep(attempt=0, step="prove", status="refused", kind="base_moved")
    assert publication_of([again]).base == "tip"
    assert publication_of([again, REFUSED]).base == "tip"
    assert publication_of([again, moved]).base == ""


def test_what_was_left_out_is_no_obstacle() -> None:
    left = PublicationStep(attempt=0, step="labels", status="left_out", detail="no")
    assert publication_of([PUSHED, left]) == publication_of([PUSHED])


def test_the_proven_attempt_is_kept_and_not_the_last() -> None:
    proven = attempt(1, REPRODUCED, *HYPOTHESES, SUBMITTED, PROVEN, AttemptEnded(outcome="proven"))
    later = attempt(2, REPRODUCED, AttemptEnded(outcome="diagnosis"))
    draft = attempt(3, REPRODUCED, SUBMITTED, UNPROVEN, AttemptEnded(outcome="draft"))
    assert kept_proof(proven + later) == 1
    assert kept_proof(later + draft) == 3
    assert kept_proof(draft + proven) == 1
    assert kept_proof(later) == 0
    assert kept_proof([]) == 0
    chosen = RunEnded(attempt=0, outcome="draft", chosen_attempt=3)
    assert kept_proof([*proven, *draft, chosen]) == 3


def change(number: int, step: Any, status: Any, **more: Any) -> PublicationStep:
    return PublicationStep(attempt=0, step=step, status=status, change=number, **more)


def test_a_change_is_kept_until_one_is_pushed() -> None:
    refused = change(2, "push", "refused", kind="signatures", base="t", commit="h")
    told = change(2, "tell", "done", kind="comment")
    kept = kept_change([PUSHED, refused, told])
    assert kept is not None
    assert (kept.attempt, kept.obstacle.kind, kept.tree, kept.head, kept.told) == (
        2,
        "signatures",
        "t",
        "h",
        "comment",
    )
    again = kept_change([refused, told, refused])
    assert again is not None
    assert again.told == "comment", "of the same change people know"
    newer = kept_change([refused, told, change(3, "push", "refused", kind="rule")])
    assert newer is not None
    assert (newer.attempt, newer.told) == (3, "")
    assert kept_change([refused, change(3, "push", "done")]) is None


def test_a_change_does_not_alter_how_far_the_first_publication_came() -> None:
    refused = change(2, "push", "refused", kind="rule")
    assert publication_of([PUSHED, refused]) == publication_of([PUSHED])
    assert kept_change([REFUSED]) is None
