"""Stories that go wrong: crashes after every outward act, lost deliveries, old tokens, a crowd."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.journal.events import RunEnded, RunPhase
from app.intake.redelivery import recover
from app.repo_config.schema import RepoConfig, Triggers
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.fixtures import require_description
from tests.doubles.github.server import GithubServer, Options
from tests.doubles.sglang.turns import Request, Say, Script
from tests.e2e.conversation_world import PATIENCE_S, REPAIR, REPO, Story, edit, scripts, submit
from tests.e2e.service import Service

OUTWARD = (
    "react",
    "put_comment",
    "open_pull",
    "add_labels",
    "put_check",
    "reply",
    "delete_branch",
    "request_reviewers",
    "open_issue",
)
REVIEWED = Script(
    (edit("amount += price\n", "amount = amount + price\n"), submit("[1] Done.\n[2] Because.")),
    when="<feedback-",
)


class Crashes:
    """Lets the service die right after each outward act, the first time that it is done.

    The act is done, its answer never comes: the step hangs until the service is torn down.
    """

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.now = threading.Event()

    def forge(self, real: Any) -> Any:
        return _Watched(real, self, OUTWARD)

    def mirror(self, real: Any) -> Any:
        return _WatchedMirror(real, self)

    def did(self, act: str) -> bool:
        """Whether it is time to die."""
        if act in self.acts:
            return False
        self.acts.append(act)
        self.now.set()
        return True


class _Watched:
    def __init__(self, real: Any, crashes: Crashes, names: tuple[str, ...]) -> None:
        self._real, self._crashes, self._names = real, crashes, names

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in self._names:
            return real

        async def act(*arguments: Any, **named: Any) -> Any:
            done = await real(*arguments, **named)
            if self._crashes.did(f"{name} {_key(name, arguments, named)}"):
                await asyncio.Event().wait()
            return done

        return act


class _WatchedMirror:
    """A thread cannot be cancelled: after a push it sleeps until the service is gone."""

    def __init__(self, real: Any, crashes: Crashes) -> None:
        self._real, self._crashes = real, crashes

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name != "push":
            return real

        def push(branch: str, commit: str, token: str = "", *, after: str = "") -> None:
            real(branch, commit, token, after=after)
            if self._crashes.did(f"push {commit}"):
                time.sleep(3)  # until the service is gone; its step was cancelled long before

        return push


def _key(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
    if name in ("put_comment", "reply", "react"):
        return f"{arguments[:-1] if name != 'react' else arguments} {named}"
    return str(arguments[0].external_id + arguments[0].head_sha if name == "put_check" else "")


def moves(world: GithubWorld) -> Iterator[str]:
    """Renames and transfers the repository whenever it is asked for its next name."""
    world.admin("install", account="umbrella")
    repo = REPO
    for number in itertools.count(1):
        if number % 2:
            new = f"{repo.partition('/')[0]}/shop-{number}"
            world.admin("rename-repo", repo=repo, name=f"shop-{number}")
        else:
            owner = "umbrella" if repo.startswith("acme/") else "acme"
            new = f"{owner}/{repo.partition('/')[2]}"
            world.admin("transfer-repo", repo=repo, owner=owner)
        repo = new
        yield repo


@pytest.mark.slow
@pytest.mark.long
def test_a_crash_and_a_move_after_each_outward_act_double_nothing_and_lose_nothing(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    crashes = Crashes()
    config = RepoConfig(triggers=Triggers(failed_check=True))
    story = Story(github_server, github_world, tmp_path, policy=scripts(REVIEWED), config=config)
    story.forge_of, story.mirror_of = crashes.forge, crashes.mirror
    story.repository()
    number, repo, places = 0, REPO, moves(github_world)

    def through(finished: Callable[[], bool], act: Callable[[], object]) -> None:
        """Do something as a person, then let the service die and live until that is dealt with."""
        nonlocal repo
        began = False
        for _ in range(40):
            with story.serving():
                if not began:
                    act()
                    began = True
                deadline = time.monotonic() + PATIENCE_S
                while not crashes.now.is_set() and time.monotonic() < deadline:
                    if finished():
                        return
                    time.sleep(0.05)
                assert crashes.now.is_set(), f"stuck after {crashes.acts}"
            crashes.now.clear()
            repo = next(places)
        raise AssertionError(f"too many crashes: {crashes.acts}")

    def rounds(wanted: int) -> bool:
        runs = story.store.list_runs().runs
        return bool(runs) and runs[0].status == "done" and len(story.ends(runs[0].id)) >= wanted

    through(lambda: rounds(1), story.labelled)
    pull = story.pull(repo)
    number, issue = pull["number"], story.store.list_runs().runs[0].issue_number
    max_ = story.person("max", "write", repo)
    comment = {"path": "shop/prices.py", "line": 6, "body": "Write it out."}

    def review() -> None:
        max_.review(repo, number, "REQUEST_CHANGES", "Why so?", [comment])

    through(lambda: rounds(2) and not story.services.inbox.open_events(), review)
    through(
        lambda: story.store.list_runs().runs[0].closed == "merged" and rounds(2),
        lambda: max_.merge(repo, number),
    )

    kinds = {act.split()[0] for act in crashes.acts}
    assert kinds >= {
        "react",
        "put_comment",
        "push",
        "open_pull",
        "add_labels",
        "put_check",
        "reply",
    }
    assert "delete_branch" in kinds
    done = Counter(story.acts())
    assert done["pulls/create"] == 1
    assert done["git/push"] == 2
    assert done["pulls/create-reply-for-review-comment"] == 1
    assert done["checks/create"] == 2
    assert done["git/delete-ref"] == 1
    bots = [c["body"] for c in github_world.comments(repo, issue) if c["user"]["type"] == "Bot"]
    assert len(bots) == 1, "one status comment"
    assert len(story.said(number, repo)) == 1, "one comment on the page, for the review's own words"
    reactions = max_.call("GET", f"/repos/{repo}/issues/{issue}/reactions")
    assert [r["content"] for r in reactions] == ["eyes"]
    assert len(story.commits(number, repo)) == 2

    # An answer, and an issue of its own for a failed check, whose run ends without a fix.
    through(
        lambda: not story.services.inbox.open_events() and len(story.said(issue, repo)) > 0,
        lambda: max_.comment(repo, issue, "/patchwright explain"),
    )
    through(
        lambda: len(story.store.list_runs().runs) == 2 and not story.store.live(),
        lambda: github_world.ci(repo, "main", "failure", log="it fails\n"),
    )
    assert len(story.said(issue, repo)) == 1
    assert Counter(story.acts())["issues/create"] == 1
    assert {act.split()[0] for act in crashes.acts} >= {"open_issue"}
    failed = story.store.list_runs().runs[0]
    assert failed.outcome == "diagnosis"
    assert len(story.said(failed.issue_number, repo)) == 1, "one diagnosis"


def test_deliveries_that_nobody_took_are_fetched_at_the_next_start(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    story = Story(github_server, github_world, tmp_path)
    story.repository()
    github_world.send_webhooks_to("http://127.0.0.1:9/webhooks/github")
    issue = story.labelled()
    story.person("ann").comment(REPO, issue, "/patchwright hint it is a percentage")
    github_world.deliveries()
    with story.serving():
        assert asyncio.run(recover(story.app, story.intake())) == 2
        story.durable.flush_outbox()
        assert story.done().outcome == "proven"
        story.settled()
        assert asyncio.run(recover(story.app, story.intake())) == 0
        # What came and was answered is not missed, nor what GitHub tried again itself.
        story.person("ann").comment(REPO, issue, "/patchwright explain")
        story.settled()
        assert asyncio.run(recover(story.app, story.intake())) == 0
        assert len(story.store.list_runs().runs) == 1


@pytest.mark.docker
def test_the_service_fetches_them_itself(service: Service, github_world: GithubWorld) -> None:
    repo = github_world.create_repo(REPO, private=True)
    ann = github_world.collaborator(repo, "ann")
    github_world.send_webhooks_to("http://127.0.0.1:9/webhooks/github")
    issue = ann.open_issue(repo, "It breaks")
    ann.comment(repo, issue, "/patchwright stop")
    github_world.deliveries()
    service.start()

    def answered() -> bool:
        return any("no active run" in c["body"] for c in github_world.comments(repo, issue))

    service.wait_for(answered, 180, "an answer to the comment that was missed")


def test_tokens_that_expire_in_the_middle(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    def policy(request: Request) -> Say:
        done = sum(m["role"] == "assistant" for m in request["messages"])
        if done == 2:
            github_world.advance(3700)
        return REPAIR[min(done, len(REPAIR) - 1)]

    story = Story(github_server, github_world, tmp_path, policy=policy)
    story.repository()
    with story.serving():
        story.labelled()
        assert story.done().outcome == "proven"
    assert len(github_world.pulls(REPO)) == 1


@pytest.fixture
def github_com() -> Iterator[GithubServer]:
    """A stand-in whose API stands at its root, as GitHub.com's; all others stand at `/api/v3`."""
    require_description()
    with GithubServer(Options(api_prefix="")) as server:
        yield server
        assert server.violations == []


@pytest.mark.long
def test_the_address_of_github_com_and_of_an_enterprise_server(
    github_server: GithubServer, github_com: GithubServer, tmp_path: Path
) -> None:
    assert github_server.url.endswith("/api/v3")
    for server, prefix in ((github_server, "/api/v3/"), (github_com, "/")):
        with GithubWorld(server.admin_url) as world:
            folder = tmp_path / f"at{prefix.replace('/', '-')}"
            folder.mkdir()
            story = Story(server, world, folder)
            story.repository()
            with story.serving():
                story.labelled()
                assert story.done().outcome == "proven"
                assert story.pull()["url"].startswith(f"{server.git_url}{prefix}repos/")


@pytest.mark.slow
@pytest.mark.long
def test_five_labels_at_once_in_three_repositories(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    limits = {"concurrency": 2, "worker_concurrency": 2, "repository_concurrency": 1}
    story = Story(github_server, github_world, tmp_path, settings=limits)
    repos = ["acme/shop", "acme/stall", "other/kiosk"]
    for repo in repos:
        story.repository(repo)
    with story.serving():
        wanted = [repos[0], repos[0], repos[1], repos[1], repos[2]]
        issues = [(repo, story.issue(repo)) for repo in wanted]
        tom = {repo: story.person("tom", "triage", repo) for repo in repos}
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda i: tom[i[0]].label(i[0], i[1], "patchwright"), issues))
        story.settled()
        runs = story.store.list_runs().runs
        assert sorted((r.repository, r.issue_number) for r in runs) == sorted(issues)
        assert [r.outcome for r in runs] == ["proven"] * 5
        assert [len(github_world.pulls(repo)) for repo in repos] == [2, 2, 1]
        spans = {run.id: (_span(story, run.id), run.repository) for run in runs}
    for span, repo in spans.values():
        at_once = [r for (begin, end), r in spans.values() if begin < span[1] and span[0] < end]
        assert at_once.count(repo) == 1, "one at a time in a repository"
    moments = [begin for (begin, _), _ in spans.values()]
    assert all(sum(b <= m < e for (b, e), _ in spans.values()) <= 2 for m in moments)


def _span(story: Story, run_id: str) -> tuple[Any, Any]:
    """When a run began to work and when it ended."""
    events = story.store.events(run_id)
    began = next(r.at for r in events if isinstance(r.event, RunPhase))
    return began, next(r.at for r in events if isinstance(r.event, RunEnded))
