"""What the attempts of each model came to."""

from __future__ import annotations

from agent.journal.events import AttemptEnded, AttemptStarted, ModelTurned, now
from agent.model import Money, Usage
from app.web.dashboard.efforts import AttemptEffort, Effort, _add_event
from app.web.dashboard.statistics import by_model

USAGE = Usage(prompt_tokens=900_000, cached_tokens=800_000, completion_tokens=100_000)
COST = 0.38


def attempt(model: str, outcome: str) -> AttemptEffort:
    return AttemptEffort(model, USAGE, 10.0, outcome, {"EUR": COST})


def test_all_that_a_model_used_counts_for_what_it_proved() -> None:
    climbed = Effort(attempts={1: attempt("cheap", "diagnosis"), 2: attempt("dear", "proven")})
    at_once = Effort(attempts={1: attempt("cheap", "proven")})
    in_vain = Effort(attempts={1: attempt("cheap", "draft"), 2: attempt("other", "failed")})
    cheap, dear, other = by_model([climbed, at_once, in_vain], "EUR")
    assert (cheap.model, cheap.attempts, cheap.proven) == ("cheap", 3, 1)
    assert cheap.tokens_per_fix == 3_000_000
    assert cheap.cost_per_fix is not None
    assert round(cheap.cost_per_fix, 2) == round(3 * COST, 2)
    assert (dear.model, dear.attempts, dear.proven) == ("dear", 1, 1)
    assert (other.tokens_per_fix, other.cost_per_fix) == (None, None)
    assert by_model([at_once], "USD")[0].cost_per_fix is None


def test_attempts_are_read_from_the_journal() -> None:
    effort = Effort()
    started = AttemptStarted(
        attempt=2,
        model="dear",
        prompt_version="1",
        base_commit="c",
        system_prompt="",
        task_prompt="",
        test_command="",
    )
    turned = ModelTurned(
        attempt=2, usage=USAGE, duration_ms=1500, cost=Money(amount=0.25, currency="EUR")
    )
    for event in (started, turned, turned, AttemptEnded(attempt=2, outcome="proven")):
        _add_event(effort, now(), event.model_dump(mode="json"))
    assert effort.attempts == {2: AttemptEffort("dear", USAGE + USAGE, 3.0, "proven", {"EUR": 0.5})}
    assert effort.prompt == 2 * USAGE.prompt_tokens
