"""People speak to the App: commands, mentions, strangers, silence and help."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path

import pytest

from agent.journal.events import NoteAdded
from app.intake.receive import Intake
from app.intake.redelivery import recover
from app.repo_config.schema import RepoConfig, Triggers
from app.storage.questions import KeptQuestion, Questions
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.doubles.sglang.turns import Call, Policy, Request, Say
from tests.e2e.conversation_world import PATIENCE_S, REPAIR, REPO, REPRODUCE, Story
from tests.support.long import few


def looking_until(word: str) -> Policy:
    """Looks around until the conversation holds the word, then fixes."""

    def policy(request: Request) -> Say:
        messages = request["messages"]
        done = sum(m["role"] == "assistant" for m in messages)
        if done == 0:
            return REPRODUCE
        heard = next((i for i, m in enumerate(messages) if word in str(m.get("content"))), 0)
        if not heard:
            return Say(calls=(Call.of("bash", command=f"sleep 0.3; echo {done}"),))
        since = sum(m["role"] == "assistant" for m in messages[heard:])
        return REPAIR[min(since + 1, len(REPAIR) - 1)]

    return policy


def test_stop_hint_explain_help_and_strangers(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    story = Story(
        github_server, github_world, tmp_path, policy=looking_until("percentage is out of")
    )
    story.repository()
    ann, eve = story.person("ann"), story.person("eve", "read")
    with story.serving():
        # Nobody without the right is heard, whatever they say; nor is a bot.
        issue = story.issue()
        eve.comment(REPO, issue, "/patchwright fix")
        eve.comment(REPO, issue, "/patchwright nonsense")
        eve.comment(REPO, issue, "@patchwright please fix")
        story.person("tom", "triage").comment(REPO, issue, "/patchwright fix")
        story.settled()
        assert story.said(issue) == []
        assert story.acts() == []
        assert story.store.list_runs().runs == ()

        # Those who may are helped, and once.
        ann.comment(REPO, issue, "/patchwright repair it")
        story.world.deliveries()
        ann.comment(REPO, issue, "> /patchwright fix\n\nWhat does that do?")
        ann.comment(REPO, issue, "/patchwright stop")
        story.settled()
        unknown, nothing = story.said(issue)
        assert "I do not know `repair`" in unknown
        assert "/patchwright explain" in unknown
        assert "no active run" in nothing

        # A command starts a run with its hint; another stops it in the middle.
        ann.comment(REPO, issue, "/patchwright fix start with the discount")
        run = story.run()
        story.works(run.id)
        assert "start with the discount" in story.tasks()[0]
        ann.comment(REPO, issue, "/patchwright stop")
        run = story.done()
        assert run.outcome == "stopped"
        assert github_world.pulls(REPO) == []
        ann.comment(REPO, issue, "/patchwright explain")
        story.settled()
        assert "is over: stopped" in story.said(issue)[-1]
        assert "tests/test_discount.py" in story.said(issue)[-1]

        # Again, and a hint reaches the run that is at work.
        ann.comment(REPO, issue, "/patchwright retry")
        second = story.another_run(run.id)
        story.works(second.id)
        eve.comment(REPO, issue, "@patchwright the percentage is out of a million")
        ann.comment(REPO, issue, "@patchwright hint the percentage is out of a hundred")
        second = story.done(run_id=second.id)
        assert second.outcome == "proven"
        notes = [r.event for r in story.store.events(second.id) if isinstance(r.event, NoteAdded)]
        human = [n for n in notes if n.source == "human"]
        assert [(n.author, n.text) for n in human] == [
            ("ann", "the percentage is out of a hundred")
        ]
        assert len(github_world.pulls(REPO)) == 1


def test_answers_come_in_the_order_in_which_was_asked(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    """Also when the engine hears of it the other way round, as when two come at once."""
    story = Story(github_server, github_world, tmp_path)
    story.repository()
    github_world.send_webhooks_to("http://127.0.0.1:9/webhooks/github")
    issue, ann = story.issue(), story.person("ann")
    for command in ("explain", "repair it", "stop"):
        ann.comment(REPO, issue, f"/patchwright {command}")
    with story.serving():
        silent = Intake(story.services.settings, story.store, lambda _run: None)
        assert asyncio.run(recover(story.app, silent)) == 3
        for event_id in reversed(story.services.inbox.unqueued()):
            story.durable.enqueue_event(event_id)
        story.settled()
    first, second, third = story.said(issue)
    assert "no run yet" in first
    assert "I do not know `repair`" in second
    assert "no active run" in third


@pytest.mark.parametrize("how", few(["assignment", "mention"], 1))
def test_other_ways_to_begin(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path, how: str
) -> None:
    story = Story(github_server, github_world, tmp_path, settings={"machine_user": "acme-helper"})
    story.repository()
    ann = story.person("ann")
    with story.serving():
        issue = story.issue()
        if how == "mention":
            ann.comment(REPO, issue, "Could you look at this, @patchwright?")
        else:
            story.person("acme-helper", "triage")
            ann.assign(REPO, issue, "acme-helper")
        assert story.done().trigger.by == how
        assert story.done().outcome == "proven"


def test_what_is_switched_off_stays_silent(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    off = Triggers(label=False, command=False, mention=False, assignment=False, rerun=False)
    config = RepoConfig(triggers=off)
    story = Story(
        github_server,
        github_world,
        tmp_path,
        config=config,
        settings={"machine_user": "acme-helper"},
    )
    story.repository()
    ann = story.person("ann")
    story.person("acme-helper", "triage")
    with story.serving():
        issue = story.issue()
        ann.comment(REPO, issue, "/patchwright fix")
        ann.comment(REPO, issue, "@patchwright fix")
        ann.assign(REPO, issue, "acme-helper")
        ann.label(REPO, issue, "patchwright")
        story.settled()
        assert story.acts() == []
        assert [r.outcome for r in story.store.list_runs().runs] == ["stopped"]


@pytest.mark.long
def test_the_repositorys_own_label(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    story = Story(github_server, github_world, tmp_path, config=RepoConfig(label="bot, please"))
    story.repository()
    with story.serving():
        issue = story.issue()
        story.person("tom", "triage").label(REPO, issue, "bug")
        story.settled()
        assert story.store.list_runs().runs == ()
        story.person("tom", "triage").label(REPO, issue, "Bot, please")
        assert story.done().outcome == "proven"


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
ASKING_TURNS = (REPRODUCE, ASK, PROPOSE, *REPAIR[1:])


def asking_first(request: Request) -> Say:
    done = sum(message["role"] == "assistant" for message in request["messages"])
    return ASKING_TURNS[min(done, len(ASKING_TURNS) - 1)]


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
    story = Story(github_server, github_world, tmp_path, policy=asking_first)
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
