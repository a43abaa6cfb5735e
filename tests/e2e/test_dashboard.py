"""The dashboard's pages in a real browser: hostile texts, small screens, keyboard, no script."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from agent.journal.events import Recorded, RunEnded, now
from app.github.records import Permission, Role
from app.journal_view.html import trace_page
from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from app.web.auth.github_sign_in import Account
from app.web.auth.visitors import Place, RoleSource
from tests.e2e.axe import barriers
from tests.e2e.dashboard_world import (
    EVIL,
    IMAGES,
    SIZES,
    hostile_events,
    keep_hostile_alerts,
    keep_hostile_onboarding,
    keep_hostile_proof,
    keep_hostile_question,
    keep_images,
    laid_out,
    of_operator,
    run_id,
    store,
    url,
    watched,
)
from tests.support.browser import browser, fits, shot
from tests.support.runs.stored import trigger
from tests.support.serving import serving

__all__ = ["browser", "run_id", "store", "url"]  # fixtures

pytestmark = pytest.mark.slow


def test_images_of_an_issue_are_seen(browser: Browser, url: str, run_id: str) -> None:
    context = of_operator(browser)
    page, complaints = watched(context)
    page.goto(f"{url}/runs/{run_id}")
    shown = page.locator("section[aria-labelledby=images] img")
    expect(shown).to_have_count(len(IMAGES))
    for number in range(len(IMAGES)):
        # A live page may have put a new one in its place meanwhile.
        shown.nth(number).evaluate("image => image.scrollIntoView()")
        expect(shown.nth(number)).to_have_js_property("naturalWidth", 640)
    assert "<script>" in (shown.first.get_attribute("alt") or "")
    assert page.locator(".images a").first.inner_text() == ""
    page.goto(f"{url}/runs/{run_id}/images/1")  # alone: a browser shows it as an image
    expect(page.locator("img")).to_have_js_property("naturalHeight", 360)
    assert not [text for text in complaints if "Content Security Policy" not in text]
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_has_no_barriers_and_runs_nothing_hostile(
    browser: Browser, url: str, store: SqlStore, run_id: str, size: str, scheme: str
) -> None:
    ended = store.accept("e", "issues", trigger(2, title="It is over"), model="m").run_id
    lease = store.claim(ended, "w")
    keep_images(lease, ended)
    lease.append(ended, hostile_events())
    lease.finish(ended, RunEnded(outcome="proven", diagnosis=EVIL))
    keep_hostile_question(store, run_id)
    keep_hostile_proof(store)
    keep_hostile_onboarding(store)
    keep_hostile_alerts(store)
    width, height = SIZES[size]
    context = of_operator(
        browser,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page, complaints = watched(context)
    pages = {
        "runs": "/runs",
        "queue": "/queue",
        "statistics": "/statistics",
        "proofs": "/proofs",
        "proof": "/proofs/hostile",
        "onboarding": "/onboarding",
        "alerts": "/alerts",
        "compare": f"/runs/{run_id}/compare?left=1-s1&right=1-s2",
        "ended": f"/runs/{ended}",
        "hostile": f"/runs/{run_id}",
    }
    for name, path in pages.items():
        page.goto(url + path)
        expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
        laid_out(page)
        assert fits(page), f"{path} sticks out"
        assert barriers(page) == [], path
        assert page.locator("main img:not(.images img), main script, main iframe").count() == 0
        shot(page, f"{name}-{size}-{scheme}")
    page.get_by_role("button", name="Open all").click()
    for reasoning in page.locator("#journal details.inner summary").all():
        reasoning.click()
    assert fits(page)
    assert barriers(page) == []
    expect(page.locator("#journal .ansi-fg-red")).to_have_text("FAILED")
    expect(page.locator("#journal .unseen").first).to_have_text("U+202E")
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_attached()
    not_ours = "#journal img:not(.images img), #journal script, #head img:not(.images img), h1 img"
    assert page.locator(not_ours).count() == 0
    expect(page.locator("#journal")).to_contain_text("characters left out")
    assert len(page.locator("#journal").inner_text()) < 200_000
    shot(page, f"hostile-open-{size}-{scheme}")
    assert complaints == []
    context.close()


def test_on_a_phone_long_words_of_an_alert_leave_its_state_in_sight(
    browser: Browser, url: str, store: SqlStore
) -> None:
    keep_hostile_alerts(store)
    width, height = SIZES["phone"]
    context = of_operator(browser, viewport={"width": width, "height": height})
    page, complaints = watched(context)
    page.goto(f"{url}/alerts")
    laid_out(page)
    shot(page, "alerts-long-words")
    for cell in page.locator("td:nth-child(2), td:nth-child(5)").all():
        box = cell.bounding_box()
        assert box is not None and box["x"] + box["width"] <= width
    assert page.locator("tbody tr").count() == 4
    assert complaints == []
    context.close()


def test_a_run_shows_its_tree_its_tests_and_its_tokens(
    browser: Browser, url: str, run_id: str
) -> None:
    context = of_operator(browser)
    page, complaints = watched(context)
    page.goto(f"{url}/runs/{run_id}")
    below = page.locator(".tree > li.confirmed > ul > li.open")
    expect(below).to_contain_text("H2")
    row = page.get_by_role("row").filter(has_text="t.py::")
    expect(row.get_by_role("cell").nth(1)).to_have_text("failed")
    expect(row.get_by_role("cell").nth(2)).to_have_text("passed")
    expect(page.get_by_text("90.0 %")).to_be_visible()
    expect(page.locator(".line-read, .line-cached")).to_have_count(2)
    expect(page.locator(".stages [aria-current=step]")).to_have_text("testing hypotheses")
    # Evidence leads to its call, which opens.
    page.locator(".tree a.call").click()
    expect(page.locator("#e4 > details")).to_have_attribute("open", "")
    expect(page.locator("#e4 pre").last).to_be_visible()
    page.locator("#e4").get_by_role("link", name="Full text").click()
    assert page.url == f"{url}/runs/{run_id}/logs/bash%3A1"
    assert page.evaluate("document.contentType") == "text/plain"
    page.go_back()
    page.get_by_label("with").select_option("1-s2")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="m.py")).to_be_visible()
    assert complaints == []
    context.close()


@pytest.mark.parametrize("size", SIZES)
def test_an_exported_trace_is_read_without_the_service(
    browser: Browser, tmp_path: Path, size: str
) -> None:
    journal = [Recorded(seq=n, at=now(), event=e) for n, e in enumerate(hostile_events())]
    file = tmp_path / "trace.html"
    file.write_text(trace_page(f"octo/calc#1 {EVIL}", journal), "utf-8")
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height})
    page, complaints = watched(context)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    laid_out(page)
    for entry in page.locator(".journal > li > details > summary").all():
        entry.click()
    assert fits(page)
    assert barriers(page) == []
    expect(page.locator(".journal .ansi-fg-red")).to_have_text("FAILED")
    page.locator(".tree a.call").click()
    assert page.url == f"{file.as_uri()}#e4"
    assert page.locator("main img, script, iframe").count() == 0
    shot(page, f"trace-{size}")
    assert asked == [file.as_uri()]
    assert complaints == []
    context.close()


@pytest.mark.parametrize(("size", "scheme"), [("wide", "light"), ("phone", "dark")])
def test_the_operator_signs_in_and_out(
    browser: Browser, store: SqlStore, run_id: str, tmp_path: Path, size: str, scheme: str
) -> None:
    settings = Settings(
        state_dir=tmp_path,
        operator_token="operators-token",
        github_client_id="Iv1.a",
        github_client_secret="secret",
    )
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page, complaints = watched(context)
    asking = RoleSource(nobody, admins, private)
    with serving(create_app(Web(settings, store, lambda _run: None, asking=asking))) as url:
        page.goto(f"{url}/sign-in?next=/runs/{run_id}")
        expect(page.get_by_role("link", name="Sign in with GitHub")).to_be_visible()
        assert fits(page)
        assert barriers(page) == []
        shot(page, f"sign-in-{size}-{scheme}")
        page.get_by_label("Operator token").fill("operators-token")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{url}/runs/{run_id}")
        expect(page.locator(".who")).to_have_text("operator")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{url}/sign-in")
        assert complaints == []
        # The door is closed again, in words.
        assert page.goto(f"{url}/runs").status == 401  # type: ignore[union-attr]
        expect(page.get_by_role("link", name="Sign in")).to_be_visible()
        assert barriers(page) == []
    context.close()


async def private(_place: Place) -> bool:
    return True


async def admins(_place: Place) -> Role:
    return "admin"


async def nobody(_place: Place, _account: Account) -> Permission:
    return Permission("none", "none")


def test_keyboard_alone_reaches_everything(browser: Browser, url: str, run_id: str) -> None:
    context = of_operator(browser)
    page, _ = watched(context)
    page.goto(f"{url}/runs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(30):
        if page.evaluate("document.activeElement.getAttribute('href')") == f"/runs/{run_id}":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/runs/{run_id}")
    first = page.locator("#journal summary").first
    first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#journal > li > details").first).to_have_attribute("open", "")
    context.close()


def test_without_script_everything_is_there(browser: Browser, url: str, run_id: str) -> None:
    context = of_operator(browser, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}/runs/{run_id}")
    assert page.locator("#journal > li").count() == 12
    assert page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]").count() == 1
    page.locator("#journal summary").first.click()
    assert page.locator("#journal > li > details").first.get_attribute("open") is not None
    page.get_by_label("Hint for the model").fill("no script")
    page.get_by_role("button", name="Send the hint").click()
    page.wait_for_url(f"{url}/runs/{run_id}")
    context.close()
