"""Prompts of a long run go on from each other, as each model's chat template renders them."""

from __future__ import annotations

import asyncio

import pytest

from agent.models.profiles import PROFILES
from tests.doubles.sglang.prompts import TEMPLATES, render
from tests.support.agent.long_conversation import LongRun, Sameness, long_run, requests, sameness


@pytest.fixture(scope="module")
def runs() -> dict[bool, LongRun]:
    """A run of a model that preserves its thinking, and one of a model that does not."""
    return {preserves: asyncio.run(long_run(preserves, 100, 81_920)) for preserves in (False, True)}


def seen(run: LongRun, profile: str, template: str) -> Sameness:
    rendered = [
        render(body["messages"], body["tools"], TEMPLATES[template], body)
        for body in requests(PROFILES[profile], run.prompts)
    ]
    return sameness(rendered, run.answers, TEMPLATES[template])


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_only_context_cuts_break_the_prefix(name: str, runs: dict[bool, LongRun]) -> None:
    run = runs[PROFILES[name].reasoning_history == "all"]
    assert min(run.hints, run.nudges, run.malformed, run.cuts) >= 1
    found = seen(run, name, name)
    assert found.turns > 100
    assert len(found.broken) == run.cuts
    # The more turns, the larger: docs/models.md has the figures of 300.
    assert found.cached >= 0.96


@pytest.mark.parametrize(
    ("profile", "template", "preserves"),
    [("k2.7-code", "k2-thinking", True), ("k2.6", "k2.5", True)],
)
def test_a_wrong_rule_costs_the_prefix(
    profile: str, template: str, preserves: bool, runs: dict[bool, LongRun]
) -> None:
    found = seen(runs[preserves], profile, template)
    assert len(found.broken) > runs[preserves].cuts
