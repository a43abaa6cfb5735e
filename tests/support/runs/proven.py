"""A proven run, as reports tell of it."""

from datetime import UTC, datetime

from agent.journal.events import (
    AnyEvent,
    AttemptStarted,
    Check,
    GateJudged,
    HypothesisProposed,
    HypothesisResolved,
    ReproductionDeclared,
    Submitted,
)
from agent.journal.state import fold
from app.publishing.facts import RunFacts

FACTS = RunFacts(
    run_id="01J0RUN",
    repository="acme/shop",
    issue_number=7,
    issue_title="Total is wrong for empty carts",
    base_branch="main",
    base_commit="a" * 40,
    started_at=datetime(2026, 1, 2, tzinfo=UTC),
    run_url="https://pw.example/runs/01J0RUN",
    budget_calls=300,
)


PATCH = (
    "diff --git a/shop/cart.py b/shop/cart.py\n--- a/shop/cart.py\n+++ b/shop/cart.py\n"
    "@@ -1,2 +1,3 @@\n a\n-b\n+c\n+d\n"
)


STARTED = AttemptStarted(
    model="offline",
    prompt_version="1",
    base_commit="a" * 40,
    system_prompt="s",
    task_prompt="t",
    test_command="pytest -q",
)


REPRODUCED = ReproductionDeclared(
    command="pytest -q tests/test_cart.py",
    expected_failure="AssertionError",
    observed="E assert 1 == 0",
    accepted=True,
    runs=3,
    failures=3,
)


HYPOTHESES: tuple[AnyEvent, ...] = (
    HypothesisProposed(hypothesis="H1", claim="rounding", prediction="p", test="t", snapshot="s"),
    HypothesisResolved(hypothesis="H1", verdict="refuted", evidence="same with integers"),
    HypothesisProposed(
        hypothesis="H2", claim="shop/cart.py:12 starts at 1", prediction="p", test="t", snapshot="s"
    ),
    HypothesisResolved(hypothesis="H2", verdict="confirmed", evidence="starts at 0: passes"),
)


SUBMITTED = Submitted(
    root_cause="The sum starts at `1`.", summary="Start at `0`.", patch=PATCH, risk="None known."
)


PROVEN = GateJudged(
    verdict="proven",
    patch=PATCH,
    checks=(
        Check(
            name="reproduction",
            ok=True,
            detail="fails before, passes after",
            command="pytest -q tests/test_cart.py",
            before="1 failed in 0.1s",
            after="1 passed in 0.1s",
        ),
    ),
)


UNPROVEN = GateJudged(verdict="unproven", reasons=("A test that passed fails now.",))


WHOLE = fold([STARTED, REPRODUCED, *HYPOTHESES, SUBMITTED, PROVEN])
