"""Proofs of pull requests over HTTP: who has them made, what is said, and that it is said once.

What the sandboxes would show is given; everything else is the real thing. A few stories with a
crash in their middle are told with the tests; `make check-stories` tells all of them, with a crash
after every outward act.
"""

from __future__ import annotations

import asyncio
import tarfile
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from agent.journal.events import GateJudged, HunkEvidence
from agent.proving.records import Change, ChangeProof, ShownTest
from app.git.mirror import Mirror
from app.git.process import GitError
from app.proving import service
from app.proving.check_run import NAME
from app.sandboxes.docker import DockerSandboxes
from app.sandboxes.environment import EnvironmentRequest
from app.storage.proofs import Proof, Proofs
from sandbox.docker.engine import DockerEngine
from tests.doubles.github.client import GithubWorld, Person
from tests.doubles.github.server import GithubServer
from tests.doubles.github.state import CheckRun
from tests.stories.crashes import Crashes, WorkerDied
from tests.stories.test_stories import WHOLE
from tests.stories.world import FIXED, StoryWorld
from tests.support.github.app import git

SETTINGS = "prove:\n  authors: ['dependabot[bot]']\n  paths: ['deps/**']\n  comment: true\n"
LABEL = "patchwright:prove"


@dataclass
class Proving:
    """A repository whose pull requests are proven, by sandboxes that are told what they show."""

    world: StoryWorld
    proven: list[str] = field(default_factory=list)
    """The head of each change that was judged."""
    about: list[tuple[str, bool]] = field(default_factory=list)
    """What each was about, and whether a model might have written a reproduction."""
    verdicts: list[str] = field(default_factory=list)
    """`proven` when there are no more."""
    meanwhile: Callable[[], object] | None = None
    """What happens once, while a proof is made."""
    endless: set[str] = field(default_factory=set)
    """Heads whose proofs do not end by themselves."""

    def judge(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace what needs sandboxes."""

        async def prove_change(
            change: Change, _open: object, _say: object, writer: object
        ) -> ChangeProof:
            self.proven.append(change.head)
            self.about.append((change.issue.title, writer is not None))
            if (happens := self.meanwhile) is not None:
                self.meanwhile = None
                happens()
            await self.world.work_beside()
            if change.head in self.endless:
                await asyncio.Event().wait()
            return shown(change, self.verdicts.pop(0) if self.verdicts else "proven")

        monkeypatch.setattr(service, "prove_change", prove_change)

    def configure(self, text: str, more: Mapping[str, str] = MappingProxyType({})) -> None:
        """A maintainer changes the settings, and perhaps more files."""
        clone = self._clone(self.world.person("ann"), "main")
        for path, content in {".github/patchwright.yml": text, **more}.items():
            _write(clone, path, content)
        _push(clone, "main")

    def offer(
        self,
        branch: str = "fix",
        *,
        by: Person | None = None,
        path: str = "shop/cart.py",
        draft: bool = False,
    ) -> int:
        """Somebody opens a pull request."""
        who = by or self.world.person("dev")
        clone = self._clone(self.world.person("dev"), "main")
        git(clone, "switch", "-q", "-c", branch)
        _write(clone, path, f"# {branch}\n")
        _push(clone, branch)
        return self._open(who, branch, draft=draft)

    def offer_from_fork(self, files: Mapping[str, str] = MappingProxyType({})) -> int:
        """A stranger opens one from a fork."""
        stranger = self.world.person("stranger", "read")
        fork = self.world.github.admin("fork-repo", repo=self.world.repo, owner="stranger")
        clone = self._clone(stranger, "main", str(fork["full_name"]))
        git(clone, "switch", "-q", "-c", "patch-1")
        for path, text in (files or {"shop/cart.py": "# theirs\n"}).items():
            _write(clone, path, text)
        _push(clone, "patch-1")
        return self._open(stranger, "stranger:patch-1")

    def _open(self, who: Person, head: str, *, draft: bool = False) -> int:
        body = {"head": head, "base": "main", "title": "Fix @all <b>", "draft": draft}
        return int(who.call("POST", f"/repos/{self.world.repo}/pulls", body)["number"])

    def bot(self, login: str) -> Person:
        """An App's account that may write."""
        made = self.world.github.admin("user", login=login, kind="Bot")
        self.world.github.admin("role", repo=self.world.repo, login=login, role="write")
        return Person(self.world.github, login, made["token"])

    def push(self, branch: str = "fix", *, force: bool = False) -> str:
        """The author pushes another commit, or in place of the last one."""
        clone = self._clone(self.world.person("dev"), branch)
        if force:
            git(clone, "reset", "-q", "--hard", "HEAD~1")
        _write(clone, "shop/cart.py", f"# again {len(self.proven)}\n")
        _push(clone, branch, *(["--force"] if force else []))
        return git(clone, "rev-parse", "HEAD")

    def delete_branch(self, branch: str = "fix") -> None:
        """The author deletes the branch, which closes the pull request."""
        self.world.root("DELETE", f"/git/refs/heads/{branch}")

    def _clone(self, who: Person, branch: str, repo: str = "") -> Path:
        number = len(list(self.world.folder.glob("clone-*")))
        clone = self.world.folder / f"clone-{number}"
        remote = who.git_remote(repo or self.world.repo)
        git(self.world.folder, "clone", "-q", "-b", branch, remote, str(clone))
        return clone

    def command(self, number: int, who: str = "ann", role: str = "write") -> None:
        """Somebody asks in a comment."""
        self.world.person(who, role).comment(self.world.repo, number, "/patchwright prove")

    def checks(self) -> list[CheckRun]:
        """The check runs of proofs, oldest first."""
        repo = self.world.server.world_state.repo(self.world.repo)
        assert repo is not None
        return [run for run in repo.check_runs.values() if run.name == NAME]

    def ends(self) -> list[str | None]:
        """The conclusion of each of them."""
        return [run.conclusion for run in self.checks()]

    def head(self, number: int) -> str:
        """The head of a pull request."""
        return str(self.world.root("GET", f"/pulls/{number}")["head"]["sha"])

    def known(self) -> Proofs:
        """The proofs in the database."""
        return Proofs(self.world.store.database)

    def of(self, number: int) -> list[Proof]:
        """What the App knows of a pull request's proofs, newest first."""
        repo = self.world.server.world_state.repo(self.world.repo)
        assert repo is not None
        return self.known().of_pull(repo.id, number)


def _write(clone: Path, path: str, text: str) -> None:
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text(text)


def _push(clone: Path, branch: str, *options: str) -> None:
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Change")
    git(clone, "push", "-q", *options, "origin", branch)


def shown(change: Change, verdict: Any) -> ChangeProof:
    """A proof as hostile as it may be, with more remarks than GitHub takes at once."""
    return ChangeProof(
        verdict=verdict,
        base=change.base,
        head=change.head,
        test_command="pytest -q",
        files=("shop/cart.py",),
        tests=(
            ShownTest(name="test_a[<b>@root #1]", said="shows the bug", message="E  @root <i>"),
            *(
                ShownTest(name=f"test_{n}" + "x" * 280, said="passes without the change")
                for n in range(300)
            ),
        ),
        missing=() if verdict == "proven" else ("Nothing shows the bug, @root.",),
        judged=GateJudged(
            attempt=1,
            verdict="proven",
            hunks=tuple(HunkEvidence(path="shop/cart.py", line=n) for n in range(1, 61)),
        ),
    )


Tell = Callable[[Proving], Awaitable[None]]


async def by_command(proving: Proving) -> None:
    """Who may, has it proven; who may not is not heard. Ask twice: it runs once more."""
    world, number = proving.world, proving.offer()
    proving.command(number, "rita", "read")
    await world.work()
    assert proving.ends() == []
    proving.command(number)
    await world.work()
    assert proving.ends() == ["success"]
    assert world.said(number) == []
    [run] = proving.checks()
    assert run.head_sha == proving.head(number)
    summary = str(run.output["summary"])
    assert len(summary) <= 65_535
    assert "**Proven:" in summary
    # The name as code, in which nothing has a meaning; the message escaped.
    assert "- `test_a[<b>@root #1]`: @\u200broot &lt;i&gt;\n" in summary
    assert len(run.output["annotations"]) == 60
    issue = world.person("rita", "read").open_issue(world.repo, "An issue", "")
    world.person("ann").comment(world.repo, issue, "/patchwright prove")
    proving.command(number)
    await world.work()
    assert "I prove pull requests" in world.said(issue)[0]
    assert proving.ends() == ["success", "success"]
    assert len(proving.of(number)) == 2


async def by_label(proving: Proving) -> None:
    """The label has it proven, and again after each push; a bot's or another label does not."""
    world, number = proving.world, proving.offer()
    proving.bot("helper[bot]").label(world.repo, number, LABEL)
    world.person("tom", "triage").label(world.repo, number, "other")
    await world.work()
    assert proving.ends() == []
    world.person("tom", "triage").unlabel(world.repo, number, LABEL)
    world.person("tom", "triage").label(world.repo, number, LABEL)
    await world.work()
    proving.verdicts = ["unproven"]
    proving.push()
    await world.work()
    assert proving.ends() == ["success", "neutral"]
    proving.configure("prove:\n  missing: failure\n")
    proving.verdicts = ["unproven"]
    proving.push()
    await world.work()
    assert proving.ends() == ["success", "neutral", "failure"]
    assert len({run.head_sha for run in proving.checks()}) == 3


async def by_a_label_of_theirs(proving: Proving) -> None:
    """A label that the settings name counts when somebody put it there who may, also later."""
    proving.configure("permissions:\n  label: write\nprove:\n  labels: [ready]\n")
    world, number = proving.world, proving.offer()
    world.person("tom", "triage").label(world.repo, number, "ready")
    await world.work()
    proving.push()
    await world.work()
    assert proving.ends() == []
    world.person("max", "maintain").label(world.repo, number, "ready")
    await world.work()
    assert proving.ends() == []  # it is there already
    world.person("max", "maintain").unlabel(world.repo, number, "ready")
    world.person("max", "maintain").label(world.repo, number, "ready")
    await world.work()
    proving.push()
    await world.work()
    assert proving.ends() == ["success", "success"]


async def by_author(proving: Proving) -> None:
    """Whom the settings name is proven without a word, and so is what touches a named path."""
    proving.configure(SETTINGS)
    world = proving.world
    plain = proving.offer("plain")
    await world.work()
    assert proving.of(plain) == []
    proving.verdicts = ["failed"]
    bumped = proving.offer("bump", by=proving.bot("dependabot[bot]"))
    await world.work()
    assert proving.ends() == ["failure"]
    deps = proving.offer("deps", path="deps/a.txt")
    proving.push("bump")
    await world.work()
    assert proving.ends() == ["failure", "success", "success"]
    for number in (bumped, deps):
        [said] = world.said(number)
        assert said.startswith("<!-- patchwright:proof -->\n**Proven:")
        assert "@root" not in said.replace("`test_a[<b>@root #1]`", "")
    assert [proof.author_is_bot for proof in proving.of(bumped)] == [True, True]


async def from_a_fork(proving: Proving) -> None:
    """A stranger's fork is proven on a maintainer's word, not on theirs."""
    world, number = proving.world, proving.offer_from_fork()
    proving.command(number, "stranger", "read")
    await world.work()
    assert proving.ends() == []
    proving.command(number)
    await world.work()
    [run] = proving.checks()
    assert (run.conclusion, run.head_sha) == ("success", proving.head(number))
    assert proving.proven[-1] == run.head_sha


async def a_draft(proving: Proving) -> None:
    """A draft waits until it is ready, unless somebody commands."""
    world, number = proving.world, proving.offer(draft=True)
    world.person("tom", "triage").label(world.repo, number, LABEL)
    await world.work()
    assert proving.ends() == []
    node = world.root("GET", f"/pulls/{number}")["node_id"]
    mutation = "mutation($input: MarkPullRequestReadyForReviewInput!) "
    mutation += "{ markPullRequestReadyForReview(input: $input) { clientMutationId } }"
    world.github.graphql(world.person("max").token, mutation, {"input": {"pullRequestId": node}})
    await world.work()
    assert proving.ends() == ["success"]
    other = proving.offer("early", draft=True)
    proving.command(other)
    await world.work()
    assert proving.ends() == ["success", "success"]


async def pushed_over_at_work(proving: Proving) -> None:
    """What is pushed over is no longer proven; what replaced it is."""
    world, number = proving.world, proving.offer()
    old = proving.head(number)
    proving.endless.add(old)
    proving.meanwhile = lambda: proving.push(force=True)
    proving.command(number)
    await world.work()
    assert {run.head_sha: run.conclusion for run in proving.checks()} == {
        old: "cancelled",
        proving.head(number): "success",
    }
    assert proving.head(number) != old


async def for_another_branch(proving: Proving) -> None:
    """Its author turns it to another branch, where it is another change; and back again."""
    world, number = proving.world, proving.offer()
    proving.verdicts = ["failed"]
    proving.command(number)
    await world.work()
    main = world.root("GET", "/git/ref/heads/main")["object"]["sha"]
    world.root("POST", "/git/refs", {"ref": "refs/heads/old", "sha": main})
    proving.verdicts = ["proven", "failed"]
    for base in ("old", "main", "main"):
        body = {"base": base, "title": f"For {base}"}
        world.person("dev").call("PATCH", f"/repos/{world.repo}/pulls/{number}", body)
        await world.work()
    assert proving.ends() == ["failure", "success", "failure"]
    assert {run.head_sha for run in proving.checks()} == {proving.head(number)}
    assert [proof.base_branch for proof in proving.of(number)] == ["main", "old", "main"]


async def in_the_merge_queue(proving: Proving) -> None:
    """A group with the very change is answered by its proof, another is proven itself."""
    world, number = proving.world, proving.offer()
    group = world.github.admin("merge-group", repo=world.repo, number=number)
    await world.work()
    assert proving.ends() == []  # nobody ever asked for a proof here
    proving.command(number)
    await world.work()
    done = len(proving.proven)
    world.github.admin("end-merge-group", repo=world.repo, group=group, reason="dequeued")
    world.commit_on("main", "unrelated.txt")
    world.root("PATCH", "/git/refs/heads/main", {"sha": group["base_sha"], "force": True})
    group = world.github.admin("merge-group", repo=world.repo, number=number)
    await world.work()
    assert proving.ends() == ["success", "success"]
    assert proving.checks()[1].head_sha == group["head_sha"]
    assert "the same change" in proving.checks()[1].output["summary"]
    assert len(proving.proven) == done
    world.github.admin("end-merge-group", repo=world.repo, group=group, reason="invalidated")
    world.commit_on("main", "related.txt")
    group = world.github.admin("merge-group", repo=world.repo, number=number)
    await world.work()
    assert proving.proven[-1] == group["head_sha"]
    assert proving.ends() == ["success"] * 3


async def in_the_merge_queue_of_another_branch(proving: Proving) -> None:
    """The proof of the very change is not taken over where the settings have changed since."""
    world, number = proving.world, proving.offer()
    main = world.root("GET", "/git/ref/heads/main")["object"]["sha"]
    world.root("POST", "/git/refs", {"ref": "refs/heads/old", "sha": main})
    world.person("dev").call("PATCH", f"/repos/{world.repo}/pulls/{number}", {"base": "old"})
    proving.command(number)
    await world.work()
    for settings, proven in (("", 1), ("test_command: pytest -q tests\n", 2)):
        if settings:
            proving.configure(settings)
        group = world.github.admin("merge-group", repo=world.repo, number=number)
        await world.work()
        world.github.admin("end-merge-group", repo=world.repo, group=group, reason="dequeued")
        assert len(set(proving.proven)) == proven
    assert proving.ends() == ["success"] * 3


async def a_group_that_is_given_up(proving: Proving) -> None:
    """The queue lets the group go while it is proven: its check is cancelled."""
    proving.configure("prove:\n  paths: ['never/**']\n")
    world, number = proving.world, proving.offer()
    group = world.github.admin("merge-group", repo=world.repo, number=number)
    proving.endless.add(group["head_sha"])
    proving.meanwhile = lambda: world.github.admin(
        "end-merge-group", repo=world.repo, group=group, reason="dequeued"
    )
    await world.work()
    assert proving.ends() == ["cancelled"]


async def run_again(proving: Proving) -> None:
    """GitHub's button: the same commit is judged once more, in a check run of its own."""
    world, number = proving.world, proving.offer()
    proving.verdicts = ["unproven"]
    proving.command(number)
    await world.work()
    before = set(proving.proven)
    world.person("max").rerun(world.repo, proving.checks()[0].id)
    await world.work()
    assert proving.ends() == ["neutral", "success"]
    assert set(proving.proven) == before
    assert len(proving.proven) >= 2


async def branch_deleted_at_work(proving: Proving) -> None:
    """The pull request is closed while it is proven: the check is completed, and no more said."""
    world, number = proving.world, proving.offer()
    proving.endless.add(proving.head(number))
    proving.meanwhile = proving.delete_branch
    proving.command(number)
    await world.work()
    assert proving.ends() == ["cancelled"]
    assert "closed" in proving.checks()[0].output["summary"]
    assert world.said(number) == []


STORIES: dict[str, Tell] = {
    tell.__name__: tell
    for tell in (
        by_command,
        by_label,
        by_a_label_of_theirs,
        by_author,
        from_a_fork,
        a_draft,
        pushed_over_at_work,
        for_another_branch,
        in_the_merge_queue,
        in_the_merge_queue_of_another_branch,
        a_group_that_is_given_up,
        run_again,
        branch_deleted_at_work,
    )
}
REPRESENTATIVE = {
    "by_command": 3,
    "by_label": 0,
    "by_a_label_of_theirs": 0,
    "by_author": 4,
    "from_a_fork": 0,
    "a_draft": 0,
    "pushed_over_at_work": 4,
    "for_another_branch": 0,
    "in_the_merge_queue": 0,
    "in_the_merge_queue_of_another_branch": 0,
    "a_group_that_is_given_up": 2,
    "run_again": 6,
    "branch_deleted_at_work": 0,
}


def prepared(
    server: GithubServer,
    github: GithubWorld,
    folder: Path,
    repo: str,
    monkeypatch: pytest.MonkeyPatch,
    at: int = 0,
    **options: Any,
) -> Proving:
    """A repository, and proofs that are given."""
    folder.mkdir(exist_ok=True)
    world = StoryWorld(server, github, folder, repo, Crashes(at), options=options, own_config=True)
    made = Proving(world)
    made.judge(monkeypatch)
    return made


def once(proving: Proving) -> None:
    """No check run was made twice, none is left open, and nothing is left over."""
    keys = Counter(run.external_id for run in proving.checks())
    assert set(keys.values()) <= {1}
    assert all(run.status == "completed" for run in proving.checks())
    assert proving.known().live() == frozenset()
    assert list((proving.world.settings.state_dir / "trees").glob("*")) == []
    for item in proving.world.issues():
        markers = [body.split("\n")[0] for body in proving.world.bodies(item.number)]
        assert len(markers) == len(set(markers)), markers


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(STORIES))
async def test_a_proof_is_made_and_told_once_whatever_dies(
    name: str,
    server: GithubServer,
    github: GithubWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def told(at: int) -> Proving:
        repo = f"prove-{name.replace('_', '-')[:24]}-{at}/shop"
        proving = prepared(server, github, tmp_path / str(at), repo, monkeypatch, at)
        try:
            await STORIES[name](proving)
        except AssertionError as error:
            error.add_note(f"with a crash after act {at} of {proving.world.crashes.acts}")
            raise
        once(proving)
        return proving

    plain = await told(REPRESENTATIVE[name] if not WHOLE else 0)
    for at in range(1, len(plain.world.crashes.acts) + 1) if WHOLE else ():
        struck = await told(at)
        assert struck.ends() == plain.ends()


async def test_set_up_follows_the_head_only_where_the_file_says_so(
    server: GithubServer, github: GithubWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], bool]] = []

    async def prepare(_proof: str, tree: Path, request: EnvironmentRequest, _: object) -> None:
        with tarfile.open(request.setup_tree or tree) as tar:
            asked.append((tar.getnames(), request.on_default))

    proving = prepared(server, github, tmp_path, "prove-set-up/shop", monkeypatch)
    proving.world.prepare = prepare
    number = proving.offer(path="requirements.txt")
    proving.command(number)
    await proving.world.work()
    proving.configure("prove:\n  head_setup: true\n")
    proving.command(number)
    await proving.world.work()
    once(proving)
    [(base, on_default), (head, still_on_default)] = asked
    assert ("requirements.txt" in base, on_default) == (False, True)
    assert ("requirements.txt" in head, still_on_default) == (True, False)


async def test_the_issue_that_is_closed_is_what_it_is_about(
    server: GithubServer, github: GithubWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = {"model": "k2-thinking", "model_url": ("http://127.0.0.1:1",)}
    proving = prepared(server, github, tmp_path, "prove-linked/shop", monkeypatch, **served)
    world, number = proving.world, proving.offer()
    issue = world.person("rita", "read").open_issue(world.repo, "Total is wrong", "")
    for body in (f"Fixes #{issue}.", f"See #{issue}", f"Closes #{number}", "Resolves #999"):
        world.person("dev").call("PATCH", f"/repos/{world.repo}/pulls/{number}", {"body": body})
        proving.command(number)
        await world.work()
    once(proving)
    own = ("Fix @all <b>", False)
    assert proving.about == [("Total is wrong", True), own, own, own]


async def test_a_proof_that_kills_three_workers_ends(
    server: GithubServer, github: GithubWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proving = prepared(server, github, tmp_path, "prove-deadly/shop", monkeypatch)
    tries: list[str] = []

    async def prove_change(change: Change, *_: object) -> ChangeProof:
        tries.append(change.head)
        raise WorkerDied

    monkeypatch.setattr(service, "prove_change", prove_change)
    monkeypatch.setattr(Proofs, "hand_back", lambda *_: None)  # who is killed does nothing more
    proving.command(proving.offer())
    await proving.world.work()
    assert len(tries) == 3
    once_told = proving.checks()
    assert [(run.status, run.conclusion) for run in once_told] == [("completed", "neutral")]
    assert "died 3 times" in str(once_told[0].output["summary"])
    assert proving.known().live() == frozenset()


async def test_what_could_not_be_told_can_be_asked_again(
    server: GithubServer, github: GithubWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proving = prepared(server, github, tmp_path, "prove-untold/shop", monkeypatch)
    world, number = proving.world, proving.offer()
    github.fail("POST .*/check-runs", status=403)
    proving.command(number)
    await world.work()
    assert proving.known().live() == frozenset()
    # Nor does what cannot be said of an old commit stand in a new one's way.
    old = proving.head(number)

    def pushed_over() -> None:
        github.fail(f"GET .*/commits/{old}/check-runs", status=422)
        proving.push(force=True)

    proving.endless.add(old)
    proving.meanwhile = pushed_over
    proving.command(number)
    await world.work()
    [proof, *others] = proving.of(number)
    assert [each.state for each in others] == ["cancelled", "cancelled"]
    assert (proof.state, proof.verdict, proof.head_sha) == ("done", "proven", proving.head(number))


TESTED = {
    "pytest.ini": "[pytest]\naddopts = -q\n",
    "conftest.py": "",
    "tests/test_kind.py": "from shop.cart import total\n\n\n"
    "def test_kind():\n    assert isinstance(total([]), int)\n",
}
FIX = {
    "shop/cart.py": FIXED,
    "tests/test_cart.py": "from shop.cart import total\n\n\n"
    "def test_total():\n    assert total([1, 2]) == 3\n",
}


@pytest.mark.docker
@pytest.mark.timeout(600)
async def test_a_fork_is_proven_in_real_sandboxes(
    server: GithubServer, github: GithubWorld, tmp_path: Path
) -> None:
    world = StoryWorld(
        server,
        github,
        tmp_path,
        "prove-docker/shop",
        options={"setup_network": False},
        own_config=True,
    )
    engine = DockerEngine(world.settings.docker_url)
    sandboxes = DockerSandboxes(world.settings, engine)
    world.sandboxes, world.prepare = sandboxes, sandboxes.prepare
    proving = Proving(world)
    proving.configure("prove:\n  authors: [stranger]\n", TESTED)
    try:
        number = proving.offer_from_fork(FIX)
        await world.work()
        proving.command(proving.offer("breaks-it"))
        await world.work()
    finally:
        await sandboxes.close()
        await engine.sweep((), installation=world.settings.installation)
        await engine.close()
    once(proving)
    proven, failed = proving.checks()
    assert proven.conclusion == "success", proven.output["summary"]
    assert proven.head_sha == proving.head(number)
    assert "tests/test_cart.py::test_total" in str(proven.output["summary"])
    assert "Hunks of source that a test needs" in str(proven.output["summary"])
    assert failed.conclusion == "failure"
    assert "fail with it:\n\n- `tests/test_kind.py::test_kind`" in str(failed.output["summary"])
    assert "adds or changes no test" in str(failed.output["summary"])
    assert list((world.settings.state_dir / "base-results").iterdir())


async def test_thirty_at_once_within_the_days_limit(
    server: GithubServer, github: GithubWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, limit = (30, 20) if WHOLE else (5, 3)
    proving = prepared(
        server,
        github,
        tmp_path,
        "prove-thirty/shop",
        monkeypatch,
        repository_proofs_per_day=limit,
    )
    proving.configure("prove:\n  authors: ['*']\n")
    for number in range(count):
        proving.offer(f"fix-{number}")
    await proving.world.work()
    once(proving)
    assert Counter(proving.ends()) == {"success": limit, "neutral": count - limit}
    assert len(proving.proven) == limit
    refused = [run for run in proving.checks() if run.conclusion == "neutral"]
    assert all("The limit of" in run.output["summary"] for run in refused)


async def test_a_crash_lets_no_proof_pass_the_days_limit(
    server: GithubServer, github: GithubWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proving = prepared(
        server, github, tmp_path, "prove-limit/shop", monkeypatch, repository_proofs_per_day=1
    )
    proving.command(proving.offer("one"))
    await proving.world.work()
    proving.world.crashes.at = len(proving.world.crashes.acts) + 2  # the reaction, the refusal
    proving.command(proving.offer("two"))
    await proving.world.work()
    once(proving)
    assert proving.ends() == ["success", "neutral"]
    assert len(set(proving.proven)) == 1


async def test_a_full_disk_at_the_very_end_costs_no_proof(
    server: GithubServer, github: GithubWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_mirror: Mirror, _pull: int) -> None:
        raise GitError("No space left on device")

    monkeypatch.setattr(Mirror, "forget_pull", full)
    proving = prepared(server, github, tmp_path, "prove-full/shop", monkeypatch)
    proving.command(proving.offer())
    await proving.world.work()
    once(proving)
    assert proving.ends() == ["success"]
