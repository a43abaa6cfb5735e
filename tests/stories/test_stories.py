"""A few stories with a crash in their middle; `make check-stories` tells all, after every act."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.stories import (
    expiry_table,
    fields_table,
    history_table,
    money_table,
    off_table,
    outcome_table,
    question_table,
    review_rules_table,
    signed_table,
)
from tests.stories.crashes import Crashes
from tests.stories.failed_checks import rerun_table
from tests.stories.table import STORIES
from tests.stories.world import StoryWorld

assert expiry_table
assert fields_table
assert history_table
assert money_table
assert off_table
assert outcome_table
assert question_table
assert rerun_table
assert review_rules_table
assert signed_table  # their stories are listed, too
WHOLE = bool(os.environ.get("PATCHWRIGHT_CHECK_STORIES"))
REPRESENTATIVE = {
    "a-review-that-leads-to-nothing": 9,
    "change-refused-then-published": 10,
    "branch-of-the-open-pull-request-deleted": 9,
    "issue-locked-and-unlocked": 3,
    "push-refused-then-published": 4,
    "lists-are-stale": 2,
    "who-broke-it-and-who-wrote-the-line-are-asked": 7,
    "strangers-and-who-asked-for-the-run-are-not-asked": 0,
    "a-refused-reviewer-is-no-loss": 0,
    "another-pull-request-claims-the-issue": 3,
    "a-claim-is-no-reason-to-wait-where-that-is-not-wanted": 0,
    "mentions-branches-and-earlier-runs-are-told": 0,
    "which-commit-broke-it": 4,
    "which-commit-since-a-tag-broke-it": 0,
    "no-such-commit-to-bisect-from": 4,
    "bisect-by-somebody-who-may-not": 0,
    "asked-for-a-fix-while-the-commit-is-looked-for": 2,
    "a-question-is-answered-by-its-number": 4,
    "nobody-answers-in-time": 5,
    "two-answer-and-one-is-first": 0,
    "the-issue-is-closed-while-it-waits": 4,
    "stopped-while-it-waits": 0,
    "what-is-no-answer": 0,
    "a-plan-is-sent-back-and-then-approved": 6,
    "the-repository-wants-plans-and-asks-for-a-decision-first": 7,
    "nobody-approves-the-plan": 5,
    "merged-as-proven-then-taken-back-and-put-back": 9,
    "merged-with-somebodys-edits": 8,
    "closed-and-nobody-told-us": 0,
    "a-run-gets-a-budget-and-tells-what-it-cost": 15,
    "a-months-budget-is-used-up": 3,
    "webhooks-twice-and-backwards": 6,
    "titles-begin-as-the-repository-wants": 3,
    "the-proof-block-follows-the-commits-and-comes-back": 7,
    "a-lost-runner-is-run-again-and-passes": 7,
    "no-more-pull-requests-than-are-wanted": 4,
    "nobody-looks-at-a-pull-request-and-then-it-is-wanted": 10,
    "the-organisations-own-file-turns-it-off": 5,
    "an-organisation-turns-it-off-while-a-run-is-in-hand": 0,
    "a-rule-wants-signatures-on-every-branch": 3,
    "a-rule-wants-signatures-on-the-default-branch": 2,
    "a-change-is-signed-too": 10,
    "types-and-fields-of-an-issue-are-told-as-data": 3,
    "a-bots-pull-request-needs-two-reviews": 3,
    "branch-protection-wants-signatures-and-only-its-refusal-tells": 3,
    "the-projects-ways-are-read-from-its-default-branch-and-followed": 3,
}
"""Stories that are told with the tests, and the act that a crash follows."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(STORIES) if WHOLE else list(REPRESENTATIVE))
async def test_a_story_ends_the_same_with_a_crash_after_any_outward_act(
    name: str,
    server: GithubServer,
    github: GithubWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = STORIES[name]

    async def told(at: int) -> StoryWorld:
        folder = tmp_path / str(at)
        folder.mkdir()
        world = StoryWorld(
            server,
            github,
            folder,
            f"{name}-{at}/shop",
            Crashes(at),
            pull_request=dict(story.pull_request),
            options=dict(story.options),
        )
        world.give_results(monkeypatch)
        try:
            await story.tell(world)
        except AssertionError as error:
            error.add_note(f"with a crash after act {at} of {world.crashes.acts}")
            raise
        return world

    if not WHOLE:
        await told(REPRESENTATIVE[name])
        return
    plain = await told(0)
    for at in range(1, len(plain.crashes.acts) + 1) if story.crashes else ():
        struck = await told(at)
        if story.one_end:
            assert struck.picture() == plain.picture(), f"after {struck.crashes.acts[:at]}"
