"""Images of an issue: from GitHub's uploads to a model that sees, and onto the run's page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw

from agent.journal.events import AttemptStarted, ToolFinished
from agent.model import Picture
from agent.task import IMAGE
from app.storage.records import Run
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.fixtures import github_server, github_world
from tests.doubles.github.server import GithubServer
from tests.doubles.seeded_policy import TITLE
from tests.doubles.sglang.server import Flags
from tests.doubles.sglang.turns import Call, Policy, Say, Script
from tests.e2e.conversation_world import REPAIR, REPO, Story, scripts
from tests.e2e.dashboard_world import EVIL, TOKEN
from tests.e2e.test_conversation_review import REVIEWED, line_of

__all__ = ["github_server", "github_world"]  # fixtures

FIX = scripts()
ASKING = (*REPAIR[:1], Say(calls=(Call.of("log", id="attached:image-1"),)), *REPAIR[1:])
HOSTILE = EVIL.replace("]", "").replace("\x07", "")
"""As it may stand in the description of an image."""


def screenshot(text: str = "Total: 190.00", form: str = "PNG") -> bytes:
    image = Image.new("RGB", (640, 360), "#f6f8fa")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 620, 90), fill="#0b5cc4")
    draw.text((40, 45), "Shop: basket", fill="white", font_size=28)
    draw.text((40, 140), "Discount: 10 %", fill="black", font_size=24)
    draw.text((40, 190), text, fill="#b3261e", font_size=40)
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def a_story(
    server: GithubServer,
    world: GithubWorld,
    folder: Path,
    *,
    sees: bool,
    policy: Policy = FIX,
) -> Story:
    return Story(
        server,
        world,
        folder,
        policy=policy,
        settings={"github_web_url": server.git_url, "operator_token": TOKEN},
        flags=Flags(template="k2.5" if sees else "k2-thinking"),
        profile="k2.5" if sees else "k2-thinking",
    )


def issue_with(story: Story, body: str, *comments: str) -> None:
    number = story.person("rita", "read").open_issue(REPO, TITLE, body)
    for text in comments:
        story.person("rita", "read").comment(REPO, number, text)
    story.person("tom", "triage").label(REPO, number, "patchwright")


def pictures(story: Story, run: Run) -> tuple[Picture, ...]:
    events = [r.event for r in story.store.events(run.id)]
    return next(e for e in events if isinstance(e, AttemptStarted)).pictures


def parts(body: dict[str, Any]) -> list[bytes]:
    """The images in a request."""
    return [
        base64.b64decode(part["image_url"]["url"].partition(";base64,")[2])
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]


def got(story: Story, path: str, **how: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.get(f"{story.url}{path}", headers=headers, timeout=60, trust_env=False, **how)


def journal_text(story: Story, run: Run) -> str:
    return "\n".join(r.model_dump_json() for r in story.store.events(run.id))


def test_a_screenshot_of_a_private_repository_reaches_the_model_and_the_page(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    story = a_story(
        github_server, github_world, tmp_path, sees=True, policy=scripts(Script(ASKING))
    )
    story.repository()
    first = github_world.upload(REPO, screenshot())
    second = github_world.upload(REPO, screenshot("Total: 99 %", "JPEG"), "image/jpeg")
    # Nobody gets it by the address in the text, whatever they send.
    for headers in ({}, {"Authorization": f"Bearer {story.person('ann').token}"}):
        assert httpx.get(first, headers=headers, trust_env=False).status_code == 404
    github_server.violations.clear()
    with story.serving():
        issue_with(
            story, f"See ![{HOSTILE}]({first})", f'<img width="99" alt="after" src="{second}">'
        )
        run = story.done()
        assert run.outcome == "proven"
        kept = pictures(story, run)
        assert [(p.id, p.width, p.height) for p in kept] == [
            ("attached:image-1", 640, 360),
            ("attached:image-2", 640, 360),
        ]
        assert kept[1].name == "after"
        bodies = story.model_bodies()
        images = [story.store.get_log(run.id, p.id) for p in kept]
        assert parts(bodies[0]) == images
        assert all(parts(body) == images for body in bodies)  # once, and the prefix stays
        refused = [
            r.event.output
            for r in story.store.events(run.id)
            if isinstance(r.event, ToolFinished) and r.event.name == "log"
        ]
        assert "in the conversation already" in refused[0]
        # Neither a token nor a signed address is kept, nor the image's bytes in the journal.
        text = journal_text(story, run)
        assert "jwt=" not in text
        assert base64.b64encode(screenshot())[:60].decode() not in text
        answer = got(story, f"/runs/{run.id}/images/1")
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.content == images[0]
        assert httpx.get(f"{story.url}/runs/{run.id}/images/1", trust_env=False).status_code in (
            *(401, 403, 404),
        )
        for path in ("images/3", "images/0", "images/..%2fissue", "images/1%2f..%2f..%2fissue"):
            assert got(story, f"/runs/{run.id}/{path}").status_code in (404, 422)
        assert "Shown to the model." in got(story, f"/runs/{run.id}").text
        assert "<script>alert" not in got(story, f"/runs/{run.id}").text
    assert github_server.violations == []


def test_screenshots_that_come_later_reach_the_next_round_once(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    story = a_story(github_server, github_world, tmp_path, sees=True, policy=scripts(REVIEWED))
    story.repository()
    first, said, on_line, strange, later = (
        github_world.upload(REPO, screenshot(f"{number}.00")) for number in range(5)
    )
    with story.serving():
        issue_with(story, f"See ![before]({first})")
        run = story.done()
        number = story.pull()["number"]
        # What a stranger says of the pull request is not heard; on the issue it is about the bug.
        story.person("eve", "read").review(REPO, number, "COMMENT", f"Look: {strange}")
        story.person("eve", "read").comment(REPO, run.issue_number, f"Also ![{HOSTILE}]({later})")
        line = {"path": "shop/prices.py", "line": line_of(story, "discount / 100")}
        story.person("max").review(
            REPO,
            number,
            "REQUEST_CHANGES",
            f"Not as in {first}, but ![now]({said})",
            [{**line, "body": f"![here]({on_line}) and again {said}"}],
        )
        story.done(2)
        started = attempts(story, run)
        assert [p.id for p in started[0].pictures] == [f"{IMAGE}1"]
        assert [p.id for p in started[1].pictures] == [f"{IMAGE}{n}" for n in (2, 3, 4)]
        assert {p.name for p in started[1].pictures} >= {"now", "here"}
        shown = [parts(body) for body in story.model_bodies() if "<feedback-" in str(body)]
        kept = [story.store.get_log(run.id, p.id) for p in started[1].pictures]
        assert len(kept) == 3
        assert all(images == kept for images in shown)
        assert "came with the feedback below, or later on the issue" in story.tasks()[-1]
        assert got(story, f"/runs/{run.id}/images/4").content == kept[2]
        page = got(story, f"/runs/{run.id}").text
        assert f"/runs/{run.id}/images/4" in page
        assert "<script>alert" not in page
        assert "jwt=" not in journal_text(story, run)
        story.settled()
        # Another round: what was given is not given again.
        ended = story.store.get_run(run.id).round
        story.person("max").review(REPO, number, "REQUEST_CHANGES", f"As I said: {said}")
        story.done(ended + 1)
        assert [len(one.pictures) for one in attempts(story, run)] == [1, 3, 0]
    assert github_server.violations == []


def attempts(story: Story, run: Run) -> list[AttemptStarted]:
    events = [r.event for r in story.store.events(run.id)]
    return [event for event in events if isinstance(event, AttemptStarted)]


def test_a_model_that_cannot_see_is_told_and_people_see_it(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    story = a_story(github_server, github_world, tmp_path, sees=False)
    story.repository(private=False)
    upload = github_world.upload(REPO, screenshot())
    with story.serving():
        issue_with(story, f"See {upload}")
        run = story.done()
        assert run.outcome == "proven"
        [kept] = pictures(story, run)
        [task] = story.tasks()
        assert f"Image {kept.id} came with the issue" in task
        assert "You cannot see it" in task
        assert not any(parts(body) for body in story.model_bodies())
        assert got(story, f"/runs/{run.id}/images/1").status_code == 200
        assert "told that they exist" in got(story, f"/runs/{run.id}").text
    assert github_server.violations == []


def test_an_image_of_the_repository_is_read_from_its_mirror(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    story = a_story(github_server, github_world, tmp_path, sees=True)
    folder = tmp_path / REPO.replace("/", "-")
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "total.png").write_bytes(screenshot())
    (folder / "docs" / "total.webp").symlink_to("/etc/passwd")
    story.repository()
    web = f"{github_server.git_url}/{REPO}/blob/main/docs"
    with story.serving():
        issue_with(story, f"As in {web}/total.png?raw=true and {web}/total.webp, {web}/../x.png")
        run = story.done()
        [kept] = pictures(story, run)
        assert (kept.id, kept.name) == (f"{IMAGE}1", "total.png")
        assert len(parts(story.model_bodies()[0])) == 1
    assert github_server.violations == []


def test_what_is_no_image_is_left_out_and_the_run_goes_on(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    story = a_story(github_server, github_world, tmp_path, sees=True)
    story.repository()
    story.repository("acme/other")
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    uploads = [
        github_world.upload(REPO, svg, "image/svg+xml"),
        github_world.upload(REPO, svg, "image/png"),
        github_world.upload(REPO, screenshot(), "text/html"),
        github_world.upload("acme/other", screenshot()),
        github_world.upload(REPO, screenshot() + b"<script>alert(1)</script>"),
    ]
    with story.serving():
        issue_with(story, "\n".join(f"![x]({url})" for url in uploads))
        run = story.done()
        assert run.outcome == "proven"
        [kept] = pictures(story, run)
        assert kept.id == f"{IMAGE}5"
        data = got(story, f"/runs/{run.id}/images/5").content
        assert b"script" not in data
        assert Image.open(io.BytesIO(data)).size == (640, 360)
    assert github_server.violations == []
