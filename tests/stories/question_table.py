"""Stories of runs that ask something before they go on."""

from __future__ import annotations

from datetime import timedelta

from agent.journal.events import QuestionAnswered, QuestionAsked
from tests.doubles.github.state import Delivery
from tests.stories.table import once, published, story
from tests.stories.world import StoryWorld

QUESTION = (
    "Does @octo/team want <b>0</b> or an error?\n/merge",
    "0, as [sum](https://evil.example) gives",
    "An error, fixes #1",
)


def question_comment(world: StoryWorld, issue: int) -> str:
    """The one comment that asks."""
    [found] = [body for body in world.bodies(issue) if "patchwright:question" in body]
    return found


def answers(world: StoryWorld) -> list[QuestionAnswered]:
    """The answers in the newest run's journal."""
    return [event for event in world.journal() if isinstance(event, QuestionAnswered)]


async def asked(world: StoryWorld) -> int:
    """An issue whose run waits for an answer."""
    world.question = QUESTION
    issue = world.labelled()
    await world.work()
    run = world.run()
    assert (run.status, run.owner) == ("waiting", "")
    assert len([e for e in world.journal() if isinstance(e, QuestionAsked)]) == 1
    said, status = question_comment(world, issue), world.status(issue)
    for text in (said, status):
        assert "1. 0, as \\[sum\\](`https://evil.example)` gives *(default)*" in text
        assert "&lt;b&gt;0&lt;/b&gt;" in text
        assert "@\u200bocto" in text
        assert "#\u200b1" in text
        assert "\n/merge" not in text
    assert "**Patchwright waits for an answer.**" in status
    assert f"https://pw.example/runs/{run.id}" in said
    return issue


@story()
async def a_question_is_answered_by_its_number(world: StoryWorld) -> None:
    issue = await asked(world)
    world.person("eve", "read").comment(world.repo, issue, "1")
    world.person("tom", "triage").comment(world.repo, issue, "/patchwright answer 1")
    world.person("ann").comment(world.repo, issue, "I would say 2, but ask max.")
    await world.work()
    assert world.run().status == "waiting"
    assert world.said(issue) == [question_comment(world, issue)]
    world.person("max").comment(world.repo, issue, "2")
    await world.work()
    assert [(a.option, a.author) for a in answers(world)] == [(2, "max")]
    assert "**max chose 2:** An error" in question_comment(world, issue)
    published(world, issue)


@story()
async def nobody_answers_in_time(world: StoryWorld) -> None:
    issue = await asked(world)
    world.later = timedelta(hours=23)
    await world.work()
    assert world.run().status == "waiting"
    world.later = timedelta(hours=25)
    await world.work()
    assert [(a.option, a.author) for a in answers(world)] == [(1, "")]
    assert "**Nobody answered in time; the default was taken, 1:**" in question_comment(
        world, issue
    )
    published(world, issue)


@story()
async def two_answer_and_one_is_first(world: StoryWorld) -> None:
    issue = await asked(world)
    world.person("ann").comment(world.repo, issue, "/patchwright answer 2 as the docs say")
    world.person("max").comment(world.repo, issue, "/patchwright answer 1")
    world.person("max").comment(world.repo, issue, "1")
    await world.work()
    assert [(a.option, a.author, a.text) for a in answers(world)] == [(2, "ann", "as the docs say")]
    [late] = [text for text in world.said(issue) if "No question is open here." in text]
    assert "was answered by ann: An error" in late
    published(world, issue)


@story()
async def the_issue_is_closed_while_it_waits(world: StoryWorld) -> None:
    issue = await asked(world)
    world.root("PATCH", f"/issues/{issue}", {"state": "closed"})
    await world.work()
    run = world.run()
    assert (run.status, run.outcome) == ("done", "failed")
    assert "The issue was closed in the meantime." in world.end().diagnosis
    assert "The run ended before anybody answered." in question_comment(world, issue)
    assert answers(world) == []
    # An answer comes too late.
    world.person("ann").comment(world.repo, issue, "/patchwright answer 1")
    await world.work()
    assert world.runs() == 1
    assert "No question is open here." in world.said(issue)[-1]
    once(world)


@story()
async def stopped_while_it_waits(world: StoryWorld) -> None:
    issue = await asked(world)
    world.person("ann").comment(world.repo, issue, "/patchwright stop")
    await world.work()
    assert (world.run().status, world.run().outcome) == ("done", "stopped")
    assert "The run ended before anybody answered." in question_comment(world, issue)
    assert "waits for an answer" not in world.status(issue)
    once(world)


@story(crashes=False)
async def what_is_no_answer(world: StoryWorld) -> None:
    held: list[Delivery] = []

    def hold_back(fresh: list[Delivery]) -> list[Delivery]:
        held.extend(d for d in fresh if d.event == "issue_comment")
        return [d for d in fresh if d.event != "issue_comment"]

    world.deliver = hold_back
    issue = world.labelled()
    # Said before it was asked, and delivered afterwards.
    early = world.person("ann").comment(world.repo, issue, "2")
    world.question = QUESTION
    await world.work()
    assert held
    world.deliver = lambda fresh: [*held, *fresh]
    await world.work()
    world.deliver = lambda fresh: fresh
    # An old comment that is made an answer; a quote; code; a number that is no option's.
    world.root("PATCH", f"/issues/comments/{early}", {"body": "1"})
    for text in ("> 2", "`2`", "3", "2 <!-- 1 -->", "/patchwright answer maybe"):
        world.person("ann").comment(world.repo, issue, text)
    await world.work()
    assert world.run().status == "waiting"
    assert "Answer with a number from 1 to 2." in world.said(issue)[-1]
    # Its words do as well, and `fix` does not begin another run meanwhile.
    world.person("ann").comment(world.repo, issue, "/patchwright fix")
    await world.work()
    assert world.runs() == 1
    world.person("ann").comment(world.repo, issue, "an ERROR,  fixes #1.")
    await world.work()
    assert [(a.option, a.author) for a in answers(world)] == [(2, "ann")]
    published(world, issue)


# Plans


async def proposed(world: StoryWorld, issue: int, number: int = 1) -> str:
    """A run that waits for approval; the comment that asks for it."""
    await world.work()
    run = world.run()
    assert (run.status, run.owner) == ("waiting", "")
    plans = [e for e in world.journal() if isinstance(e, QuestionAsked)]
    assert [(e.kind, e.number) for e in plans] == [("plan", n + 1) for n in range(number)]
    said = [body for body in world.bodies(issue) if "patchwright:question" in body]
    assert len(said) == number
    for text in (said[-1], world.status(issue)):
        assert "- Cause: the sum starts at 1.\n- Change: start at 0, says @\u200bocto" in text
    assert "`/patchwright go`" in said[-1]
    assert "**Patchwright waits for approval.**" in world.status(issue)
    assert not world.github.pulls(world.repo)
    return said[-1]


@story()
async def a_plan_is_sent_back_and_then_approved(world: StoryWorld) -> None:
    issue = world.person("rita", "read").open_issue(world.repo, "Total is wrong", "See the title.")
    world.person("ann").comment(world.repo, issue, "/patchwright plan mind the callers")
    await proposed(world, issue)
    assert world.run().trigger.hint == "mind the callers"
    # Neither of those who may not, nor without a word to the App.
    for who, role in (("eve", "read"), ("tom", "triage")):
        world.person(who, role).comment(world.repo, issue, "/patchwright go")
    for text in ("1", "Go ahead", "/patchwright answer 1", "go"):
        world.person("max").comment(world.repo, issue, text)
    await proposed(world, issue)
    assert "A plan waits: " in world.said(issue)[-1]
    world.person("max").comment(world.repo, issue, "/patchwright plan keep the name")
    second = await proposed(world, issue, 2)
    world.person("max").comment(world.repo, issue, "/patchwright go and add a test")
    await world.work()
    assert [(a.option, a.author, a.text) for a in answers(world)] == [
        (2, "max", "keep the name"),
        (1, "max", "and add a test"),
    ]
    said = [body for body in world.bodies(issue) if "patchwright:question" in body]
    assert second not in said
    assert "**max asked for another plan.**" in said[0]
    assert "**max approved the plan.**" in said[1]
    published(world, issue)
    world.person("max").comment(world.repo, issue, "/patchwright go")
    await world.work()
    assert "No plan waits here." in world.said(issue)[-1]


@story()
async def the_repository_wants_plans_and_asks_for_a_decision_first(world: StoryWorld) -> None:
    world.approval = "plan"
    world.question = QUESTION
    issue = world.labelled()
    await world.work()
    world.person("ann").comment(world.repo, issue, "2")
    await world.work()
    assert world.run().status == "waiting"
    world.person("ann").comment(world.repo, issue, "/patchwright go")
    await world.work()
    assert [(a.number, a.option) for a in answers(world)] == [(1, 2), (2, 1)]
    published(world, issue)


@story()
async def nobody_approves_the_plan(world: StoryWorld) -> None:
    world.approval = "plan"
    issue = world.labelled()
    await proposed(world, issue)
    world.later = timedelta(days=13)
    await world.work()
    assert world.run().status == "waiting"
    world.later = timedelta(days=15)
    await world.work()
    assert (world.run().status, world.run().outcome) == ("done", "diagnosis")
    [question, diagnosis] = world.said(issue)
    assert "**Nobody approved the plan in time, so the run ended.**" in question
    assert "Change: start at 0" in diagnosis
    assert not world.github.pulls(world.repo)
    once(world)
