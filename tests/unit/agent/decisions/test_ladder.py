"""A ladder of models: the next one only where the one before proved nothing."""

from __future__ import annotations

import pytest

from agent.best_of import choose, climb
from agent.errors import ModelRefused
from agent.journal.state import AttemptState


async def climbed(rungs: int, count: int, *outcomes: str | None) -> tuple[list[int], int]:
    """Which attempts were run, and which is taken."""
    ran: list[int] = []

    async def attempt(number: int) -> AttemptState:
        ran.append(number)
        return AttemptState(outcome=outcomes[number - 1])

    states = await climb(rungs, count, attempt)
    assert len(states) == len(ran)
    return sorted(ran), choose(states).number


@pytest.mark.parametrize(
    ("rungs", "count", "outcomes", "ran", "taken"),
    [
        (1, 1, ("diagnosis",), [1], 1),
        (2, 1, ("proven",), [1], 1),
        (2, 1, ("diagnosis", "proven"), [1, 2], 2),
        (3, 1, ("failed", "draft", "diagnosis"), [1, 2, 3], 2),
        (2, 2, ("diagnosis", "proven"), [1, 2], 2),
        (2, 2, ("draft", "diagnosis", "diagnosis", "proven"), [1, 2, 3, 4], 4),
        (2, 1, ("stopped",), [1], 1),
        (2, 1, (None,), [1], 1),
    ],
    ids=[
        *("none", "at once", "the strong one", "best of all", "side by side", "two each"),
        *("stopped", "waits for an answer"),
    ],
)
async def test_the_next_rung_is_for_what_was_not_proven(
    rungs: int, count: int, outcomes: tuple[str | None, ...], ran: list[int], taken: int
) -> None:
    assert await climbed(rungs, count, *outcomes) == (ran, taken)


async def test_what_no_attempt_can_begin_with_is_no_rungs_to_repair() -> None:
    async def attempt(_: int) -> AttemptState:
        raise ModelRefused("The key is refused.")

    with pytest.raises(ModelRefused):
        await climb(2, 1, attempt)
