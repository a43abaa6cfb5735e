"""Stories of money: what a run cost, what it may cost, and a month's budget that is used up."""

from __future__ import annotations

from agent.model import Usage
from app.storage.notices import Notices
from tests.stories.table import published, story
from tests.stories.world import StoryWorld

PRICED = {"currency": "EUR", "price_prompt_tokens": 10.0}
EURO = Usage(prompt_tokens=100_000)


@story(options={**PRICED, "cost_per_run": 3.0, "cost_per_run_most": 8.0})
async def a_run_gets_a_budget_and_tells_what_it_cost(world: StoryWorld) -> None:
    world.usage = EURO
    ann, eve = world.person("ann"), world.person("eve", "read")
    issue = world.person(world.reporter, "read").open_issue(world.repo, "Wrong", "See the title.")
    ann.comment(world.repo, issue, "/patchwright fix budget=5,50")
    ann.comment(world.repo, issue, "/patchwright fix budget=9")
    eve.comment(world.repo, issue, "/patchwright fix budget=1")
    await world.work()
    assert world.runs() == 0
    no_amount, too_much = world.said(issue)
    assert "must be an amount above 0 with a decimal point" in no_amount
    assert "A run may cost 8.00 EUR at most here" in too_much
    ann.comment(world.repo, issue, "/patchwright fix budget=5 Look at the start.")
    await world.work()
    published(world, issue)
    assert world.run().trigger.hint == "Look at the start."
    assert "cost: 1.00 / 5.00 EUR" in world.status(issue)
    assert "Cost of this run until here: 1.00 / 5.00 EUR." in world.pull()["body"]
    # On its pull request another one, with which the review is answered.
    number = world.pull()["number"]
    ann.comment(world.repo, number, "/patchwright fix budget=7.50")
    await world.work()
    assert "The run may cost 7.50 EUR in all now." in world.said(number)[-1]
    world.review()
    await world.work()
    # After a crash an attempt may have been made twice, and was paid twice.
    assert f"cost: {world.attempts:.2f} / 7.50 EUR" in world.status(issue)


@story(options={**PRICED, "repository_cost_per_month": 1.0, "cost_in_comments": False})
async def a_months_budget_is_used_up(world: StoryWorld) -> None:
    world.usage = EURO
    first = world.labelled()
    await world.work()
    published(world, first)
    assert "EUR" not in world.status(first)
    assert "EUR" not in world.pull()["body"]
    second = world.labelled()
    await world.work()
    assert world.run().outcome == "stopped"
    said = world.status(second)
    assert "This repository's budget of 1.00 EUR for 20" in said
    assert "is used up. Runs begin again on" in said
    assert world.attempts == 1
    told: list[str] = []
    Notices(world.store.database).share_out(lambda notice: told.append(notice.kind) or [])  # type: ignore[func-returns-value]
    assert [kind for kind in told if "budget" in kind] == ["near_budget", "over_budget"]


@story()
async def without_prices_there_is_no_budget(world: StoryWorld) -> None:
    issue = world.person(world.reporter, "read").open_issue(world.repo, "Wrong", "See the title.")
    world.person("ann").comment(world.repo, issue, "/patchwright plan budget=5")
    await world.work()
    assert world.runs() == 0
    assert "No prices are set here" in world.said(issue)[0]
