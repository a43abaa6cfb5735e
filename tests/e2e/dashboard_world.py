"""What the browser tests of the dashboard share: a service, and a run whose texts are hostile."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, BrowserContext, Page, expect

from agent.journal.events import (
    AnyEvent,
    AttemptStarted,
    Check,
    ContestedTest,
    GateJudged,
    HunkEvidence,
    HypothesisProposed,
    HypothesisResolved,
    ModelTurned,
    QuestionAsked,
    ReproductionDeclared,
    RunPhase,
    SeenTest,
    SnapshotTaken,
    Strength,
    ToolFinished,
    now,
)
from agent.model import Picture, Usage
from agent.proving.records import ChangeProof, Finding, ShownTest
from agent.task import IMAGE
from app.github.webhook_events import Installed, InstalledRepository
from app.proving.service import to_report
from app.settings.schema import Settings
from app.storage.alerts import Alerts, EditLimits, Occurrence
from app.storage.onboarding import Onboardings
from app.storage.proofs import Proof, Proofs
from app.storage.questions import Questions
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from tests.support.runs.stored import trigger
from tests.support.serving import serving

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b]0;t\x07"
TOKEN = "operators-token"
LONG_LINE = "x" * 1_000_000
SIZES = {"wide": (1280, 900), "phone": (390, 844)}
PATCH = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"


expect.set_options(timeout=60_000)


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return SqlStore(f"sqlite:///{tmp_path / 'p.db'}")


@pytest.fixture
def url(store: SqlStore, tmp_path: Path) -> Iterator[str]:
    settings = Settings(state_dir=tmp_path, operator_token=TOKEN)
    web = Web(settings, store, lambda _run: None)
    with serving(create_app(web)) as address:
        yield address


@pytest.fixture
def run_id(store: SqlStore) -> str:
    """A run in the middle of its work, every text of it hostile or long."""
    started = store.accept("d", "issues", trigger(title=f"It breaks {EVIL}"), model="m").run_id
    keep_images(store, started)
    store.put_log(started, "bash:1", f"{EVIL}{LONG_LINE}".encode())
    for name in ("s1", "s2"):
        store.put_log(
            started, f"snapshot:{name}", PATCH.replace("+a = 2", f"+{name}{EVIL}").encode()
        )
    store.append(started, hostile_events())
    return started


def keep_hostile_question(store: SqlStore, run_id: str) -> None:
    """A question with hostile and long texts, which is open."""
    run = store.get_run(run_id)
    asked = QuestionAsked(
        number=1,
        call_id="c1",
        question=f"{EVIL}{LONG_NAME}"[:600],
        options=(EVIL, LONG_NAME[:200]),
        default=2,
        due=now() + timedelta(days=1),
    )
    Questions(store.database).put(run_id, run.repository_id, run.issue_number, asked)


def keep_hostile_proof(store: SqlStore) -> None:
    """A proof with hostile and long texts."""
    names = (EVIL, LONG_NAME)
    found = ChangeProof(
        verdict="unproven",
        base="b" * 40,
        head="c" * 40,
        test_command=EVIL,
        tests=tuple(ShownTest(name=name, said="shows the bug", message=EVIL) for name in names),
        missing=names,
        findings=(Finding(rule="patch", detail=LONG_NAME),),
    )
    Proofs(store.database).ask(
        Proof(
            id="hostile",
            repository_id=1,
            installation_id=1,
            repository="acme/shop",
            private=True,
            pull_number=7,
            title=f"{EVIL}{LONG_NAME}",
            author=EVIL,
            author_is_bot=True,
            asked_by="label",
            sender=LONG_NAME[:39],
            base_branch="main",
            head_sha="c" * 40,
            state="done",
            verdict="unproven",
            reason="\n".join(names),
            report=to_report(found),
            created_at=now(),
            begun_at=now(),
            ended_at=now(),
        )
    )


def keep_hostile_onboarding(store: SqlStore) -> None:
    """Repositories in several states, with hostile and long texts."""
    known = Onboardings(store.database, at_once=2)
    names = ("acme/shop", f"acme/{LONG_NAME[:90]}", "acme/tools")
    event = Installed(
        account_id=1,
        installation_id=1,
        sender="ann",
        repositories=tuple(
            InstalledRepository(id=number, full_name=name) for number, name in enumerate(names, 1)
        ),
    )
    known.installed("delivery", "installation", event)
    known.proposed(1, 7)
    known.settle(2, "skipped", f"{EVIL}{LONG_NAME}")


def keep_hostile_alerts(store: SqlStore) -> None:
    """Alerts in several states, with hostile and long texts."""
    known, limits = Alerts(store.database), EditLimits(9, 9, 15)
    for number, repository in enumerate(("acme/shop", f"acme/{LONG_NAME[:90]}", "")):
        came = Occurrence(f"f{number}", repository, f"{EVIL}{LONG_NAME}", "{}")
        known.take("sentry", f"alert-{number}", [came], limits)
    came = Occurrence("f4", "acme/shop", "TypeError: unsupported operand", "{}")
    known.take("sentry", "alert-4", [came], limits)
    for kept in known.newest("acme/shop", limit=9):
        known.placed(kept.id, 1, 1)
        known.opened(kept.id, 12)
        known.settle(kept.id, "fixed", "At its source it is resolved in the next release.")


LONG_NAME = "customs_declarations_of_parcels_" * 8


IMAGES = tuple(
    Picture(id=f"{IMAGE}{number}", name=name, width=640, height=360, size=9)
    for number, name in enumerate((EVIL, LONG_NAME, "The total with a discount of 10 %"), 1)
)


def keep_images(store: SqlStore, run_id: str) -> None:
    """The images that `hostile_events` name."""
    for image in IMAGES:
        store.put_log(run_id, image.id, screenshot())


def screenshot() -> bytes:
    """What somebody attached to an issue, as the host keeps it."""
    image = Image.new("RGB", (640, 360), "#f6f8fa")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 620, 90), fill="#0b5cc4")
    draw.text((40, 45), "Shop: basket", fill="white", font_size=28)
    draw.text((40, 190), "Total: 190.00", fill="#b3261e", font_size=40)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def hostile_events() -> list[AnyEvent]:
    usage = Usage(prompt_tokens=900, completion_tokens=100, cached_tokens=810)
    return [
        RunPhase(phase="debugging", attempt=0),
        AttemptStarted(
            model="m",
            prompt_version="1",
            base_commit="0" * 40,
            system_prompt=EVIL,
            task_prompt=EVIL,
            test_command="pytest",
            pictures=IMAGES,
            pictures_shown=True,
        ),
        ModelTurned(content="I look. " + "long" * 500, usage=usage),
        ModelTurned(reasoning=EVIL, usage=usage),
        ToolFinished(
            call_id="c1",
            name="bash",
            status="ok",
            output=f"\x1b[31mFAILED\x1b[0m {EVIL}\n{LONG_LINE}",
            log_id="bash:1",
        ),
        ReproductionDeclared(
            command=f"pytest -k {EVIL}", expected_failure="E", observed=EVIL, accepted=True
        ),
        SnapshotTaken(snapshot="s1", patch_log="snapshot:s1", why=EVIL),
        HypothesisProposed(
            hypothesis="H1",
            claim=f"off by one {EVIL}",
            prediction="p",
            test="t",
            snapshot="s1",
        ),
        HypothesisResolved(
            hypothesis="H1", verdict="confirmed", evidence=f"c1 shows it {EVIL}", calls=("c1",)
        ),
        SnapshotTaken(snapshot="s2", patch_log="snapshot:s2", why="H1 confirmed"),
        HypothesisProposed(
            hypothesis="H2", claim=LONG_LINE[:3000], prediction="", test="", snapshot="s2"
        ),
        GateJudged(
            verdict="proven",
            patch=PATCH,
            checks=(
                Check(name="reproduction", ok=True, detail=EVIL),
                Check(
                    name="test suite",
                    ok=True,
                    tests=(SeenTest(name=f"t.py::{EVIL}", before="failed", after="passed"),),
                ),
            ),
            hunks=(
                HunkEvidence(path=f"a/{LONG_NAME}", line=3, needed_by=f"t.py::{LONG_NAME}"),
                HunkEvidence(path=EVIL, line=9, reason=f"{EVIL} {LONG_NAME}"),
            ),
            contested=(ContestedTest(test=f"t.py::{LONG_NAME}", reason=EVIL, diff=PATCH),),
            strength=(Strength(tried=2, told_apart=0, survivors=(EVIL, f"t.py:{LONG_NAME}")),),
        ),
    ]


def of_operator(browser: Browser, **how: Any) -> BrowserContext:
    """A browser whose requests all show the operator's token."""
    return browser.new_context(extra_http_headers={"Authorization": f"Bearer {TOKEN}"}, **how)


def watched(context: BrowserContext) -> tuple[Page, list[str]]:
    """A page, and all that it complains of."""
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(f"{m.text} ({m.location.get('url', '')})"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    return page, complaints


def laid_out(page: Page) -> None:
    """Lay out what a browser would only when it is scrolled to, so that it can be looked at."""
    page.evaluate(
        "document.querySelectorAll('.journal > li')"
        ".forEach(entry => { entry.style.contentVisibility = 'visible'; })"
    )
