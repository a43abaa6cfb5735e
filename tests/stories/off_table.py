"""Stories of organisations for which the App is turned off."""

from __future__ import annotations

from app.intake.organisations import look_at_files
from app.repo_config.schema import PATH
from app.storage import audit, organisations
from tests.stories.question_table import asked, question_comment
from tests.stories.table import UNPUBLISHED, once, story
from tests.stories.world import StoryWorld


def own_file(world: StoryWorld, text: str) -> None:
    """Somebody writes the organisation's own file."""
    world.commit_on("main", PATH, text, repo=f"{world.owner()}/.github")


def audited(world: StoryWorld) -> list[tuple[str, str]]:
    """Who turned what on or off, in order."""
    entries = reversed(audit.entries(world.store.database))
    return [(e.actor, e.action) for e in entries if e.action.startswith("organisation ")]


@story()
async def the_organisations_own_file_turns_it_off(world: StoryWorld) -> None:
    world.own_config = True
    world.repository(f"{world.owner()}/.github")
    world.commit_on("main", PATH, "enabled: true\n")
    own_file(world, "language: en\n")
    world.before("publish", lambda: own_file(world, "enabled: false  # for now\nlanguage: [en\n"))
    first = world.labelled()
    await world.work()
    off = f"The settings of {world.owner()} turn Patchwright off"
    assert (world.run().outcome, world.run().pull_request) == ("stopped", "")
    [said] = world.said(first)
    assert UNPUBLISHED in said
    assert off in said
    second = world.labelled()
    await world.work()
    assert (world.run().outcome, off in world.status(second)) == ("stopped", True)
    for who in (world.person("eve", "read"), world.person("ann")):
        who.comment(world.repo, second, "/patchwright fix")
    await world.work()
    assert (world.runs(), len(world.said(second))) == (2, 1)
    for _ in range(2):
        await look_at_files(world.services())
    assert organisations.off_reason(world.store.database, world.repo) == ""
    assert world.github.pulls(world.repo) == []
    own_file(world, "enabled: true\n")
    world.person("ann").comment(world.repo, first, "/patchwright publish")
    await world.work()
    assert world.pull()["html_url"] in world.status(first)
    assert not any(UNPUBLISHED in text for text in world.said(first))
    assert audited(world) == []


@story()
async def an_organisation_turns_it_off_while_a_run_is_in_hand(world: StoryWorld) -> None:
    world.own_config = True
    world.repository(f"{world.owner()}/.github")
    issue = await asked(world)
    own_file(world, "enabled: false\n")
    for _ in range(2):
        await look_at_files(world.services())
    [run_id] = world.store.live()
    assert "turn Patchwright off" in world.store.stop_reason(run_id)
    await world.work()
    assert world.run().outcome == "stopped"
    assert "turn Patchwright off" in world.said(issue)[-1]
    assert "Nothing is waited for any more" in question_comment(world, issue)
    own_file(world, "enabled: true\n")
    await look_at_files(world.services())
    place = f"{world.owner()}/.github"
    assert audited(world) == [(place, "organisation off"), (place, "organisation on")]


@story(expires="14d")
async def the_operator_turns_an_organisation_off(world: StoryWorld) -> None:
    database, account = world.store.database, world.owner()

    def off() -> None:
        why = f"The operator has turned Patchwright off for {account}."
        organisations.turn_off(database, account.upper(), "operator", "op@host", why)

    world.before("debug", off)
    issue = world.labelled()
    await world.work()
    assert (world.run().outcome, world.attempts) == ("stopped", 0)
    [said] = world.said(issue)
    assert f"The operator has turned Patchwright off for {account}" in said
    organisations.turn_on(database, account, "operator", "op@host")
    world.person("ann").comment(world.repo, issue, "/patchwright retry")
    await world.work()
    assert (world.runs(), world.run().outcome) == (2, "proven")
    await world.days_pass(0)
    off()
    world.review()
    number = world.pull()["number"]
    await world.days_pass(60)
    assert (len(world.commits()), world.bodies(number)) == (1, [])
    organisations.turn_on(database, account, "operator", "op@host")
    world.review("And once more.")
    await world.work()
    assert len(world.commits()) == 2, "both reviews are answered in one round"
    assert (world.pull()["state"], world.attempts) == ("open", 2)
    off()
    world.person("max").close(world.repo, number)
    await world.work()
    assert world.run().closed == "closed"
    once(world)
