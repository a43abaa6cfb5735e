"""A run asks, proposes, waits and goes on: over HTTP with GitHub's stand-in and a model's."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from app.storage.questions import KeptQuestion, Questions
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.doubles.sglang.turns import Call, Request, Say
from tests.e2e.conversation_world import PATIENCE_S, REPAIR, REPO, REPRODUCE, Story

ASK = Say(
    calls=(
        Call.of(
            "ask",
            question="Is a discount a percentage or a factor?",
            options=["A percentage", "A factor"],
            default=2,
        ),
    )
)
PROPOSE = Say(
    calls=(Call.of("plan", root_cause="The percentage.", change="shop/prices.py: by 100"),)
)
TURNS = (REPRODUCE, ASK, PROPOSE, *REPAIR[1:])


def policy(request: Request) -> Say:
    done = sum(message["role"] == "assistant" for message in request["messages"])
    return TURNS[min(done, len(TURNS) - 1)]


def waits(story: Story, number: int) -> KeptQuestion:
    """The run waits, and so many questions were asked."""

    def look() -> KeptQuestion | None:
        kept = Questions(story.store.database).of_run(story.run().id)
        waiting = story.store.get_run(story.run().id).status == "waiting"
        return kept if waiting and kept is not None and kept.asked.number == number else None

    return story.until(look, PATIENCE_S, f"question {number}")


def test_a_run_asks_proposes_and_goes_on_from_its_journal_after_a_restart(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    story = Story(github_server, github_world, tmp_path, policy=policy)
    story.repository()
    ann, eve = story.person("ann"), story.person("eve", "read")
    with story.serving():
        issue = story.issue()
        ann.comment(REPO, issue, "/patchwright plan")
        assert waits(story, 1).asked.kind == "question"
        [asked] = story.said(issue)
        assert "1. A percentage" in asked
        bodies = story.model_bodies()
    with story.serving():  # the service was restarted meanwhile
        eve.comment(REPO, issue, "2")
        ann.comment(REPO, issue, "1")
        assert waits(story, 2).asked.kind == "plan"
        assert "**ann chose 1:** A percentage" in story.said(issue)[0]
        assert "by 100" in story.said(issue)[1]
        assert github_world.pulls(REPO) == []
        ann.comment(REPO, issue, "/patchwright go")
        assert story.done().outcome == "proven"
        bodies += story.model_bodies()
    assert story.pull()["title"]
    assert "**ann approved the plan.**" in story.said(issue)[1]
    # What the server was sent once, it is sent again to the byte.
    for before, after in pairwise(bodies):
        kept = after["messages"][: len(before["messages"])]
        assert json.dumps(kept) == json.dumps(before["messages"])
        assert json.dumps(after["tools"]) == json.dumps(before["tools"])
