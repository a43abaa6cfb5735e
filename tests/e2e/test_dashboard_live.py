"""The dashboard in a real browser while things happen, and with a long journal."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, CDPSession, expect

from agent.journal.events import (
    AnyEvent,
    CommitOutcome,
    CommitTried,
    CulpritSearched,
    RunEnded,
    RunPhase,
    ToolFinished,
)
from agent.journal.store import Answer
from app.storage.questions import Questions
from app.storage.store import SqlStore
from tests.e2e.axe import barriers
from tests.e2e.dashboard_world import (
    EVIL,
    SIZES,
    hostile_events,
    keep_hostile_question,
    keep_images,
    of_operator,
    run_id,
    store,
    url,
    watched,
)
from tests.support.browser import browser, fits, shot
from tests.support.runs.stored import trigger

__all__ = ["browser", "run_id", "store", "url"]  # fixtures

pytestmark = pytest.mark.slow

PAINTED = """() => new Promise(done => new PerformanceObserver(list => {
    const [painted] = list.getEntriesByName("first-contentful-paint");
    if (painted) done(painted.startTime);
}).observe({type: "paint", buffered: true}))"""
"""When a page's first contents were painted, in ms since it was asked for."""


def test_a_run_is_seen_live_and_steered(
    browser: Browser, url: str, store: SqlStore, run_id: str
) -> None:
    context = of_operator(browser)
    page, complaints = watched(context)
    page.goto(f"{url}/runs/{run_id}")
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
    assert store.stop_reason(run_id)
    expect(page.locator("#live")).to_have_text("Live.")
    lease = store.claim(run_id, "w")
    lease.finish(run_id, RunEnded(outcome="stopped", attempt=0))
    expect(page.locator("#live")).to_have_text("The run is over.")
    page.get_by_role("button", name="Start over").click()
    page.wait_for_url(re.compile(rf"{re.escape(url)}/runs/(?!{run_id})"))
    assert store.get_run(page.url.rpartition("/")[2]).status == "queued"
    assert complaints == []
    context.close()


def test_a_question_comes_up_live_and_is_answered(
    browser: Browser, url: str, store: SqlStore
) -> None:
    run_id = store.accept("d", "issues", trigger(), model="m").run_id
    lease = store.claim(run_id, "w")
    lease.set_running(run_id)
    lease.append(run_id, hostile_events())
    keep_images(lease, run_id)
    context = of_operator(browser)
    page, complaints = watched(context)
    page.goto(f"{url}/runs/{run_id}")
    expect(page.locator("#live")).to_have_text("Live.")
    keep_hostile_question(store, run_id)
    kept = Questions(store.database).of_run(run_id)
    assert kept is not None
    lease.append(run_id, [kept.asked])
    lease.wait_for_answer(run_id, kept.asked)
    first = page.locator("#asked .options button").first
    expect(first).to_contain_text("<script>alert(1)</script>")
    page.get_by_label("Anything to add").fill("as <b>documented</b>")
    first.click()
    page.wait_for_url(f"{url}/runs/{run_id}")
    expect(page.locator("#asked")).to_contain_text("Chosen by operator")
    answer = store.answer(run_id, kept.asked)
    assert answer == Answer(option=1, author="operator", text="as <b>documented</b>")
    assert store.get_run(run_id).status == "queued"
    assert complaints == []
    context.close()


@pytest.mark.parametrize(("size", "scheme"), [("wide", "light"), ("phone", "dark")])
def test_a_search_for_the_culprit_is_a_strip_that_grows(
    browser: Browser, url: str, store: SqlStore, size: str, scheme: str
) -> None:
    run = store.accept("s", "issues", trigger(3, title="It broke"), model="m").run_id
    store.append(run, [RunPhase(phase="debugging", attempt=0), tried(90, "bad")])
    width, height = SIZES[size]
    context = of_operator(browser, viewport={"width": width, "height": height}, color_scheme=scheme)
    page, complaints = watched(context)
    page.goto(f"{url}/runs/{run}")
    commits = page.locator(".strip > li:not(.gap)")
    expect(commits).to_have_count(1)
    expect(page.locator("#live")).to_have_text("Live.")
    store.append(run, [tried(160, "good"), tried(120, "skipped", EVIL * 20), tried(121, "bad")])
    expect(commits).to_have_text([re.compile(each) for each in ("good", "bad", "skipped", "bad")])
    found = CulpritSearched(
        finding="found", commit=f"{121:040x}", subject=EVIL, author=EVIL, runs=4, commits=200
    )
    store.append(run, [found])
    expect(page.locator(".strip .culprit")).to_contain_text("introduced it")
    expect(page.locator(".strip .gap")).to_have_text(
        ["39 not tried", "38 not tried", "29 not tried", "90 not tried"]
    )
    assert page.locator("#head img, #head script").count() == 0
    assert fits(page)
    assert barriers(page) == []
    shot(page, f"strip-{size}-{scheme}")
    assert complaints == []
    context.close()


def tried(place: int, outcome: CommitOutcome, subject: str = "Sum prices") -> CommitTried:
    """A try at one of 200 commits."""
    return CommitTried(
        commit=f"{place:040x}", subject=subject, outcome=outcome, place=place, of=200
    )


def test_the_page_comes_back_after_a_lost_connection(
    browser: Browser, url: str, store: SqlStore, run_id: str
) -> None:
    context = of_operator(browser)
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
    page.goto(f"{url}/runs/{run_id}")
    store.append(run_id, [RunPhase(phase="publishing", attempt=0)])
    expect(page.locator("#journal > li").last).to_contain_text("publishing")
    numbers = page.locator("#journal > li").evaluate_all("all => all.map(one => one.id)")
    assert numbers == [f"e{n}" for n in range(13)]
    assert len(streams) >= 2
    context.close()


def test_the_queue_renews_itself_and_keeps_the_focus(
    browser: Browser, url: str, store: SqlStore, run_id: str
) -> None:
    context = of_operator(browser)
    page, complaints = watched(context)
    page.goto(f"{url}/queue")
    page.locator(f"a[href='/runs/{run_id}']").focus()
    later = store.accept("q", "issues", trigger(7, title="I wait"), model="m").run_id
    expect(page.locator(f"a[href='/runs/{later}']")).to_be_visible(timeout=60_000)
    assert page.evaluate("document.activeElement.getAttribute('href')") == f"/runs/{run_id}"
    assert complaints == []
    context.close()


def test_a_long_run_opens_like_a_short_one(
    browser: Browser, url: str, store: SqlStore, capsys: pytest.CaptureFixture[str]
) -> None:
    lengths = {}
    for number, wanted in ((1, 50), (2, 5000)):
        started = store.accept(f"l{number}", "issues", trigger(number), model="m").run_id
        turns = [*(hostile_events() * (wanted // 12 + 1))[: wanted - 1]]
        for start in range(0, len(turns), 250):
            store.append(started, [small(event) for event in turns[start : start + 250]])
        store.append(started, [RunPhase(phase="publishing", attempt=0)])
        keep_images(store, started)
        lengths[wanted] = started
    figures = {wanted: opened(browser, f"{url}/runs/{run}") for wanted, run in lengths.items()}
    with capsys.disabled():
        for wanted, seen in figures.items():
            print(
                f"\n{wanted} events: first paint {seen['cold']:.0f} ms when opened first, "
                f"{seen['paint']:.0f} ms when opened again, "
                f"{seen['heap'] / 1e6:.1f} MB of heap, {seen['nodes']:.0f} nodes"
            )
    # Windowed: no more is on the page than its window, whatever the journal's length.
    assert figures[5000]["entries"] <= 200
    assert figures[5000]["nodes"] < 30 * figures[50]["nodes"]


def small(event: AnyEvent) -> AnyEvent:
    """The same event with an output of common size."""
    if isinstance(event, ToolFinished):
        return event.model_copy(update={"output": event.output[:4000]})
    return event


def opened(browser: Browser, address: str) -> dict[str, float]:
    """A page's first paint in ms, cold and again, and its memory."""
    context = of_operator(browser)
    seen: dict[str, float] = {}
    for _ in range(2):
        page, complaints = watched(context)
        page.goto(address)
        expect(page.locator("#journal > li").last).to_contain_text("publishing")
        tools = context.new_cdp_session(page)
        tools.send("HeapProfiler.collectGarbage")
        counted = {m["name"]: m["value"] for m in _metrics(tools)}
        seen |= {
            "paint": page.evaluate(PAINTED),
            "heap": counted["JSHeapUsedSize"],
            "nodes": counted["Nodes"],
            "entries": page.locator("#journal > li").count(),
        }
        seen.setdefault("cold", seen["paint"])
        assert complaints == []
        page.close()
    context.close()
    return seen


def _metrics(tools: CDPSession) -> list[dict[str, float]]:
    tools.send("Performance.enable")
    found: list[dict[str, float]] = tools.send("Performance.getMetrics")["metrics"]
    return found
