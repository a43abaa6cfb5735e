"""The dashboard in a real browser: live, hostile texts, small screens, keyboard, no script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from agent.events import (
    Check,
    GateJudged,
    HypothesisProposed,
    HypothesisResolved,
    ModelTurned,
    RunEnded,
    RunPhase,
    ToolFinished,
)
from agent.model import Usage
from app.service import Web, create_app
from app.settings import Settings
from app.store import SqlStore
from tests.e2e.test_setup_page import SIZES, browser, fits, shot
from tests.integration.serving import serving
from tests.unit.test_app_store import trigger

__all__ = ["browser"]  # a fixture

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b]0;t\x07"
PATCH = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return SqlStore(f"sqlite:///{tmp_path / 'p.db'}")


@pytest.fixture
def url(store: SqlStore, tmp_path: Path) -> Iterator[str]:
    web = Web(Settings(state_dir=tmp_path), store, lambda _run: None)
    with serving(create_app(web)) as address:
        yield address


@pytest.fixture
def run_id(store: SqlStore) -> str:
    """A run in the middle of its work, every text of it hostile or long."""
    started = store.accept("d", "issues", trigger(title=f"It breaks {EVIL}"), model="m").run_id
    usage = Usage(prompt_tokens=900, completion_tokens=100, cached_tokens=810)
    store.append(
        started,
        [
            RunPhase(phase="working", attempt=1),
            ModelTurned(attempt=1, content="I look. " + "long" * 500, usage=usage),
            ModelTurned(attempt=1, reasoning=EVIL, usage=usage),
            ToolFinished(
                attempt=1,
                call_id="c1",
                name="bash",
                status="ok",
                output=f"\x1b[31mFAILED\x1b[0m {EVIL}\n{'x' * 3000}",
            ),
            HypothesisProposed(
                attempt=1,
                hypothesis="H1",
                claim=f"off by one {EVIL}",
                prediction="p",
                test="t",
                snapshot="s",
            ),
            HypothesisResolved(
                attempt=1, hypothesis="H1", verdict="confirmed", evidence="c1 shows it"
            ),
            GateJudged(
                attempt=1,
                verdict="proven",
                patch=PATCH,
                checks=(Check(name="fails before", ok=True, detail=EVIL),),
            ),
        ],
    )
    return started


def watched(context: BrowserContext) -> tuple[Page, list[str]]:
    """A page, and all that it complains of."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    return page, complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_and_nothing_hostile_runs(
    browser: Browser, url: str, store: SqlStore, run_id: str, size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page, complaints = watched(context)
    for path in ("/runs", "/queue", "/statistics", f"/runs/{run_id}"):
        page.goto(url + path, wait_until="domcontentloaded")
        expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
        assert fits(page), f"{path} sticks out"
        shot(page, f"{path.strip('/').partition('/')[0]}-{size}-{scheme}")
    page.get_by_role("button", name="Open all").click()
    assert fits(page)
    expect(page.locator("#journal .ansi-fg-red")).to_have_text("FAILED")
    assert page.locator("#journal img, #journal script, #head img, h1 img").count() == 0
    expect(page.locator("#journal .unseen").first).to_have_text("U+202E")
    shot(page, f"run-{size}-{scheme}")
    assert complaints == []
    context.close()


def test_a_run_is_seen_live_and_steered(
    browser: Browser, url: str, store: SqlStore, run_id: str
) -> None:
    context = browser.new_context()
    page, complaints = watched(context)
    page.goto(f"{url}/runs/{run_id}", wait_until="domcontentloaded")
    expect(page.locator("#live")).to_have_text("Live.")
    page.get_by_role("button", name="Open all").click()
    store.append(run_id, [RunPhase(phase="publishing", attempt=0)])
    expect(page.locator("#journal > li").last).to_contain_text("publishing")
    # What was open stays open, and the head is renewed.
    assert page.locator("#e0 > details").get_attribute("open") is not None
    expect(page.locator("#head")).to_contain_text("publishing")
    page.get_by_label("Hint for the model").fill("look at <b>the sign</b>")
    page.get_by_role("button", name="Send the hint").click()
    page.wait_for_url(f"{url}/runs/{run_id}")
    assert [h.text for h in store.hints(run_id)] == ["look at <b>the sign</b>"]
    page.get_by_role("button", name="Stop the run").click()
    expect(page.get_by_role("button", name="Stopping")).to_be_disabled()
    assert store.stop_requested(run_id)
    expect(page.locator("#live")).to_have_text("Live.")
    lease = store.claim(run_id, "w")
    lease.finish(run_id, RunEnded(outcome="stopped", attempt=0))
    expect(page.locator("#live")).to_contain_text("The run is over.")
    page.reload(wait_until="domcontentloaded")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(re.compile(rf"{re.escape(url)}/runs/(?!{run_id})"))
    assert store.get_run(page.url.rpartition("/")[2]).status == "queued"
    assert complaints == []
    context.close()


def test_the_page_comes_back_after_a_lost_connection(
    browser: Browser, url: str, store: SqlStore, run_id: str
) -> None:
    context = browser.new_context()
    page, _ = watched(context)
    streams: list[str] = []

    def sometimes(route: object) -> None:
        streams.append("asked")
        if len(streams) == 1:
            route.fulfill(  # type: ignore[attr-defined]
                status=200,
                content_type="text/event-stream",
                body="retry: 50\n\nevent: head\ndata: <p>half</p>\n\n",
            )
        else:
            route.continue_()  # type: ignore[attr-defined]

    page.route("**/stream*", sometimes)
    page.goto(f"{url}/runs/{run_id}", wait_until="domcontentloaded")
    store.append(run_id, [RunPhase(phase="publishing", attempt=0)])
    expect(page.locator("#journal > li").last).to_contain_text("publishing")
    numbers = page.locator("#journal > li").evaluate_all("all => all.map(one => one.id)")
    assert numbers == [f"e{n}" for n in range(8)]
    assert len(streams) >= 2
    context.close()


def test_keyboard_alone_reaches_everything(browser: Browser, url: str, run_id: str) -> None:
    context = browser.new_context()
    page, _ = watched(context)
    page.goto(f"{url}/runs", wait_until="domcontentloaded")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(30):
        if page.evaluate("document.activeElement.getAttribute('href')") == f"/runs/{run_id}":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/runs/{run_id}", wait_until="domcontentloaded")
    first = page.locator("#journal summary").first
    first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#journal > li > details").first).to_have_attribute("open", "")
    context.close()


def test_without_script_everything_is_there(browser: Browser, url: str, run_id: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}/runs/{run_id}")
    assert page.locator("#journal > li").count() == 7
    assert page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]").count() == 1
    page.locator("#journal summary").first.click()
    assert page.locator("#journal > li > details").first.get_attribute("open") is not None
    page.get_by_label("Hint for the model").fill("no script")
    page.get_by_role("button", name="Send the hint").click()
    page.wait_for_url(f"{url}/runs/{run_id}")
    context.close()
