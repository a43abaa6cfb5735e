"""Costs, budgets of the month and outcomes, as the pages show them: on a desk, on a phone, dark."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from agent.journal.events import AttemptEnded, AttemptStarted, ModelTurned, RunEnded, now
from agent.model import Money, Usage
from app.outcomes.rows import Outcomes, PullOutcome
from app.settings.schema import Settings
from app.spending.account import Payer, add, keep_budget
from app.storage.inbox import Inbox
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from tests.support.browser import browser, fits, shot
from tests.support.runs.stored import trigger
from tests.support.serving import serving

__all__ = ["browser"]
TOKEN = "operators-token"
LONG = "acme-with-a-rather-long-name/shop-and-everything-that-belongs-to-it"


def a_fix(store: SqlStore, number: int, repository: str, cost: float, became: Any) -> str:
    """A proven run whose pull request ended so."""
    asked = trigger(number, repository, f"Total is wrong, the {number}th")
    run_id = store.accept(f"d{number}", "issues", asked, model="k2").run_id
    lease = store.claim(run_id, "worker-0")
    lease.set_running(run_id)
    price = Money(amount=cost, currency="EUR")
    usage = Usage(prompt_tokens=900_000, cached_tokens=800_000, completion_tokens=20_000)
    started = AttemptStarted(
        model="k2-thinking/kimi",
        prompt_version="1",
        base_commit="c" * 40,
        system_prompt="",
        task_prompt="",
        test_command="pytest",
    )
    turned = ModelTurned(usage=usage, duration_ms=90_000, cost=price)
    lease.append(run_id, [started, turned, AttemptEnded(outcome="proven")])
    url = f"https://github.com/{repository}/pull/{number + 100}"
    lease.set_pull(run_id, number + 100)
    lease.finish(run_id, RunEnded(attempt=0, outcome="proven", chosen_attempt=1, pull_request=url))
    run = store.get_run(run_id)
    add(store.database, Payer.of(run), price, now())
    keep_budget(store.database, run_id, 5_000_000, 0)
    Inbox(store.database).close(run_id, "closed" if became["kind"] == "closed" else "merged")
    Outcomes(store.database).queue_due()
    hours = timedelta(hours=3 + number)
    times = {"opened_at": now() - hours, "ended_at": now()}
    Outcomes(store.database).keep(PullOutcome(run_id=run_id, commit="a" * 40, **times, **became))
    return run_id


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    store = SqlStore(f"sqlite:///{tmp_path / 'p.db'}")
    settings = Settings(
        state_dir=tmp_path,
        operator_token=TOKEN,
        currency="EUR",
        price_prompt_tokens=1.0,
        cost_per_run=5.0,
        cost_per_month=8.0,
        repository_cost_per_month=4.0,
    )
    a_fix(store, 1, "acme/shop", 1.0, {"kind": "untouched"})
    a_fix(store, 2, "acme/shop", 2.5, {"kind": "edited", "lines_edited": 3})
    a_fix(store, 3, LONG, 4.25, {"kind": "closed"})
    by = {"reverted_by": "b" * 40, "reverted_at": now()}
    a_fix(store, 4, "acme/shop", 0.01, {"kind": "untouched", **by})
    with serving(create_app(Web(settings, store, lambda _run_id: None))) as found:
        yield found
    store.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark")])
def test_money_and_outcomes_are_shown(url: str, browser: Browser, width: int, scheme: Any) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        extra_http_headers={"Authorization": f"Bearer {TOKEN}"},
    )
    page = context.new_page()
    page.goto(f"{url}/statistics")
    text = page.inner_text("main")
    for words in ("all together", "7.76", "97 %", LONG, "106 %", "Cost per merged fix", "3.88"):
        assert words in text, words
    assert fits(page)
    shot(page, f"statistics-{width}-{scheme}")
    page.goto(f"{url}/runs?search=4th")
    page.click("main table a >> nth=0")
    text = page.inner_text("main")
    assert "0.0100 EUR of 5.00" in text.replace("\xa0", " ")
    assert "Its pull request was merged as it was proven, 7.0 h after it was opened." in text
    assert "reverted later by bbbbbbbbbbbb" in text
    assert fits(page)
    shot(page, f"run-{width}-{scheme}")
    context.close()
