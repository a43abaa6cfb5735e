"""The loop's pure decisions: drift, budget, choice of attempts."""

from __future__ import annotations

import asyncio
import json

import pytest

from agent.best_of import choose, run_attempts
from agent.decisions.budget import (
    FEWEST_MEASURED,
    exhausted,
    refusal,
    remaining,
    span,
    tokens_by_usage,
)
from agent.decisions.drift import answer_to, notice
from agent.errors import ModelAway
from agent.journal.events import GateJudged
from agent.journal.state import AttemptState, FinishedCall, Hypothesis
from agent.model import Usage
from agent.task import Budget
from sandbox.errors import PatchRefused

EMPTY = AttemptState()


def a_step(
    number: int, name: str = "bash", arguments: str = "{}", **fields: object
) -> FinishedCall:
    given = {
        "call_id": f"c{number}",
        "name": name,
        "arguments": arguments,
        "status": "ok",
        "digest": f"d{number}",
        "hypothesis": "",
        "changed_tree": False,
        **fields,
    }
    return FinishedCall(**given)


def after(*steps: FinishedCall, hypotheses: tuple[Hypothesis, ...] = ()) -> AttemptState:
    return AttemptState(recent=steps, calls_used=len(steps), hypotheses=hypotheses)


def test_different_results_are_no_drift():
    assert notice(after(*(a_step(i) for i in range(20)))) is None
    assert notice(EMPTY) is None


def test_the_same_call_with_the_same_result_is_repetition():
    steps = [a_step(i, digest="same") for i in range(3)]
    assert notice(after(*steps)).kind == "repetition"
    assert notice(after(*steps[:2])) is None


def test_a_change_of_the_tree_in_between_makes_it_a_new_question():
    same = [a_step(i, "run_tests", digest="same") for i in range(3)]
    edit = a_step(9, "edit", changed_tree=True)
    assert notice(after(same[0], same[1], edit, same[2])) is None


def test_edits_made_and_undone_are_thrashing():
    steps = []
    for i in range(3):
        there = json.dumps({"path": "a.py", "old": f"x{i}", "new": f"y{i}"})
        back = json.dumps({"path": "a.py", "old": f"y{i}", "new": f"x{i}"})
        steps += [
            a_step(2 * i, "edit", there, changed_tree=True),
            a_step(2 * i + 1, "edit", back, changed_tree=True),
        ]
    assert notice(after(*steps)).kind == "thrashing"


def test_long_stretches_of_the_same_few_results_are_noticed():
    steps = [a_step(i, arguments=f'{{"n": {i}}}', digest=f"d{i % 4}") for i in range(25)]
    assert notice(after(*steps)).kind == "no new evidence"
    progress = [*steps[:20], a_step(99, "hypothesis"), *steps[20:24]]
    assert notice(after(*progress)) is None


def test_edits_without_any_hypothesis_are_wandering():
    steps = [a_step(i, "edit" if i % 9 == 0 else "bash") for i in range(40)]
    assert notice(after(*steps)).kind == "outside the hypothesis"
    under = [a_step(i, "edit" if i % 9 == 0 else "bash", hypothesis="H1") for i in range(40)]
    assert notice(after(*under)) is None


def test_edits_of_files_that_the_hypothesis_does_not_name_do_not_belong_to_it():
    claim = Hypothesis(
        "H1", "the sign in shop/prices.py is wrong", "sum is right", "run a.b()", "s"
    )

    def edits(*paths: str) -> AttemptState:
        steps = [
            a_step(
                i,
                "edit",
                json.dumps({"path": path, "old": f"x{i}", "new": f"y{i}"}),
                hypothesis="H1",
                changed_tree=True,
            )
            for i, path in enumerate(paths)
        ]
        return after(*steps, hypotheses=(claim,))

    noticed = notice(edits("shop/cart.py", "shop/tax.py", "shop/cart.py"))
    assert noticed.kind == "outside the hypothesis"
    assert "prices.py" in noticed.text and "shop/cart.py, shop/tax.py." in noticed.text
    assert notice(edits("shop/cart.py", "shop/tax.py")) is None
    assert notice(edits("shop/cart.py", "shop/tax.py", "shop/cart.py", "shop/prices.py")) is None
    assert notice(edits("tests/test_a.py", "tests/test_b.py", "/tmp/c.py")) is None
    vague = Hypothesis("H1", "the sum is wrong", "p", "t", "s")
    stray = edits("shop/cart.py", "shop/tax.py", "shop/cart.py")
    assert notice(after(*stray.recent, hypotheses=(vague,))) is None


def test_what_was_answered_is_not_noticed_again():
    steps = [a_step(i, digest="same") for i in range(3)]
    assert notice(after(*steps), since=3) is None
    assert [answer_to(n) for n in range(4)] == ["nudge", "rollback", "rollback", "end"]


def test_budgets_end_an_attempt_each_with_its_reason():
    budget = Budget(calls=10, wall_s=60, tokens=100)
    assert exhausted(EMPTY, budget, 0) == ""
    assert "10 tool calls" in exhausted(AttemptState(calls_used=10), budget, 0)
    assert "1 minute " in exhausted(EMPTY, budget, 61)
    used = AttemptState(usage=Usage(prompt_tokens=90, completion_tokens=10))
    assert "100 tokens" in exhausted(used, budget, 0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.05, "0.05 seconds"),
        (1, "1 second"),
        (20, "20 seconds"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (150, "2.5 minutes"),
        (3600, "1 hour"),
        (5400, "90 minutes"),
        (10_800, "3 hours"),
    ],
)
def test_a_time_limit_is_never_said_to_be_nothing(seconds: float, words: str):
    assert span(seconds) == words
    assert f"the time limit of {words} is" in exhausted(EMPTY, Budget(wall_s=seconds), seconds)


def test_a_hypothesis_that_used_its_calls_must_be_resolved_first():
    spent = Hypothesis("H1", "c", "p", "t", "s", calls_used=15)
    state = AttemptState(hypotheses=(spent,))
    assert "H1 has used its 15 calls" in refusal(state, Budget(), "bash")
    assert refusal(state, Budget(), "hypothesis") == ""
    assert refusal(state, Budget(), "submit") == ""
    fresh = Hypothesis("H1", "c", "p", "t", "s", calls_used=3)
    assert refusal(AttemptState(hypotheses=(fresh,)), Budget(), "bash") == ""
    line = remaining(AttemptState(hypotheses=(fresh,), calls_used=8), Budget())
    assert line == "[291 of 300 calls left; H1: 11 of 15]"


def patch(lines: int, files: int = 1) -> str:
    return "".join(
        f"diff --git a/f{n}.py b/f{n}.py\n--- a/f{n}.py\n+++ b/f{n}.py\n@@ -1 +1,{lines} @@\n-x\n"
        + "+y\n" * lines
        for n in range(files)
    )


def ended(outcome: str, patch_text: str = "") -> AttemptState:
    verdict = GateJudged(verdict="proven", patch=patch_text) if patch_text else None
    return AttemptState(outcome=outcome, verdict=verdict)


def test_the_gate_decides_then_fewer_lines_then_fewer_files():
    big, small = ended("proven", patch(9)), ended("proven", patch(2))
    assert choose([ended("diagnosis"), big, small]).number == 3
    assert choose([big, ended("draft", patch(1))]).number == 1
    # Two changed lines in one file against one line in each of two files: equal lines, so files.
    assert choose([ended("proven", patch(1, files=2)), ended("proven", patch(3))]).number == 2
    assert choose([small, small]).number == 1


async def test_an_attempt_that_fails_by_itself_does_not_spoil_the_others():
    async def attempt(number: int) -> AttemptState:
        if number == 1:
            raise PatchRefused("the snapshot no longer applies")
        return ended("proven", patch(2))

    states = await run_attempts(2, attempt)
    assert [s.outcome for s in states] == ["failed", "proven"]
    assert "no longer applies" in states[0].diagnosis
    assert choose(states).number == 2

    async def all_fail(number: int) -> AttemptState:
        raise PatchRefused(f"attempt {number}")

    with pytest.raises(PatchRefused, match="attempt 1"):
        await run_attempts(2, all_fail)


async def test_a_server_that_is_away_ends_all_attempts():
    async def attempt(number: int) -> AttemptState:
        if number == 2:
            raise ModelAway("no answer")
        await asyncio.Event().wait()
        return EMPTY

    with pytest.raises(ModelAway):
        await run_attempts(2, attempt)


async def test_one_attempt_that_fails_cancels_the_others_and_raises_its_own_error():
    cancelled = asyncio.Event()

    async def attempt(number: int) -> AttemptState:
        if number == 1:
            raise LookupError("no model")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return EMPTY

    with pytest.raises(LookupError, match="no model"):
        await run_attempts(2, attempt)
    assert cancelled.is_set()


@pytest.mark.parametrize(
    ("measured", "tokens"),
    [
        ([], 1_000),
        ([10] * (FEWEST_MEASURED - 1), 1_000),
        ([10] * FEWEST_MEASURED, 20),
        ([*range(10, 100, 10), 900], 180),  # one of ten that went astray counts for nothing
        ([400] * 5 + [600] * 5, 1_000),
    ],
)
def test_tokens_follow_what_proven_attempts_took(measured: list[int], tokens: int) -> None:
    assert tokens_by_usage(measured, 1_000) == tokens
