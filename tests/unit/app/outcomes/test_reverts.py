"""Messages that say to take something back, as git, GitHub and people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.outcomes.reverts import (
    LaterCommit,
    MergedChange,
    named_ids,
    reverted_by,
    takes_back,
    titles_of,
)

SHA, OTHER = "a1b2c3d4" * 5, "0123456789" * 4
MERGED = MergedChange((SHA,), titles_of("Count from zero (#12)\n\nOr not."), 12, "acme/shop")


@pytest.mark.parametrize(
    "message",
    [
        f'Revert "Count from zero (#12)"\n\nThis reverts commit {SHA}.',
        f"Whatever\n\nThis reverts commit {SHA}, reversing\nchanges made to {OTHER}.",
        f"Undo\n\nthis reverts commit {SHA[:10]}",
        f"Undo two\n\nThis reverts commits {OTHER} and {SHA}.",
        'Revert "Count from zero" (#15)\n\nReverts acme/shop#12',
        'Revert "Count from zero" (#15)\n\nReverts #12.\n',
        'Revert "Count from zero (#12)"',
        'Revert "Count from zero" (#15)',
        'Revert "Count from zero (#12)" (#15)\n\nIt broke the till.',
    ],
)
def test_a_revert_is_known_by_its_words(message: str) -> None:
    assert takes_back(message, MERGED)


@pytest.mark.parametrize(
    "message",
    [
        f"Revert something else\n\nThis reverts commit {OTHER}.",
        f"Fix what was left of {SHA}",
        f"This partially reverts commit {SHA}.",
        f"Count again\n\nThis reverts commit {OTHER}, reversing changes of {SHA}.",
        "Revert\n\nReverts acme/till#12",
        "Revert\n\nReverts #121",
        'Revert "Count from one"',
        'Revert "Count from zero (#13)"',
        'We must not Revert "Count from zero"',
        "It reverts #12 in spirit",
    ],
)
def test_other_words_are_none(message: str) -> None:
    assert not takes_back(message, MERGED)


def test_a_revert_that_is_reverted_is_none() -> None:
    def commit(own: str, says: str) -> LaterCommit:
        return LaterCommit(
            own * 40, datetime(2026, 11, 1, tzinfo=UTC), f"This reverts commit {says}."
        )

    first, again, third = commit("b", SHA), commit("c", "b" * 40), commit("d", SHA)
    assert reverted_by(MERGED, [first]) == first
    assert reverted_by(MERGED, [first, again]) is None
    assert reverted_by(MERGED, [first, again, third]) == third
    assert reverted_by(MERGED, [first, third]) == first
    assert reverted_by(MERGED, [first, third], lambda one: one is third) == third
    assert reverted_by(MERGED, []) is None


def test_a_merge_is_called_as_its_pull_request() -> None:
    message = "Merge pull request #12 from acme/zero\n\nCount from zero\n\nMore."
    assert "Count from zero" in titles_of(message)
    assert "Or not." not in titles_of("Count from zero (#12)\n\nOr not.")


def test_hostile_messages_take_no_time() -> None:
    assert named_ids("This reverts commit " + "a1b2c3d " * 50_000)
    assert not takes_back("Reverts " * 100_000, MERGED)
    assert not takes_back('Revert "' + "(" * 200_000, MERGED)
