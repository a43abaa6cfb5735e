"""A proven patch before everything that can keep it from being published: it reaches people."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from app.git.mirror import Identity, Mirror, PushRefused
from app.publishing.obstacles import KINDS, obstacle_of
from app.publishing.publication import Publication
from app.publishing.unpublished import unpublished_comment
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.fixtures import require_description
from tests.doubles.github.rules import push_rules
from tests.doubles.github.server import GithubServer, Options
from tests.support.github.app import CART, PATCH, git
from tests.support.markdown import outside_code
from tests.support.runs.kept_proof import BRANCH, KeptProof
from tests.support.runs.proven import FACTS, PROVEN, SUBMITTED, WHOLE
from tests.support.runs.world import make_remote

Where = Literal["pull", "comment", "check", "page"]
Arrange = Callable[[KeptProof], None]
HOSTILE = "```\n</details> @octocat fixes #1 <img src=x>"
LONG = PATCH + "".join(
    f"diff --git a/data/{n}.txt b/data/{n}.txt\nnew file mode 100644\n--- /dev/null\n"
    f"+++ b/data/{n}.txt\n@@ -0,0 +1,200 @@\n" + f"+{'x' * 99}\n" * 200
    for n in range(5)
)
KEY = "AKIA" + "QWERTYUIOPASDFGH"
SECRET = PATCH.replace("+    t = 0\n", f'+    t = 0  # "{KEY}"\n')
FORBIDDEN = PATCH.replace("shop/cart.py", ".github/workflows/ci.yml")


@pytest.fixture(scope="module")
def server() -> Iterator[GithubServer]:
    require_description()
    with GithubServer(Options()) as made:
        yield made
        assert made.violations == []


@pytest.fixture(scope="module")
def world(server: GithubServer) -> Iterator[GithubWorld]:
    with GithubWorld(server.admin_url) as made:
        yield made


def nothing(_: KeptProof) -> None:
    """Nothing is in the way."""


def branch(*names: str) -> Arrange:
    return lambda proof: [proof.branch(name) for name in names] and None


def rule(kind: str, **more: str) -> Arrange:
    return lambda proof: proof.change(rules=[{"kind": kind, **more}])


def says(*lines: str) -> Arrange:
    return rule("anything", says="\n".join(lines))


def change(**settings: Any) -> Arrange:
    return lambda proof: proof.change(**settings)


def permissions(**changed: str) -> Arrange:
    def act(proof: KeptProof) -> None:
        granted = dict(proof.server.world_state.app.permissions) | changed
        account = proof.repo.split("/")[0]
        proof.world.admin("change-installation", account=account, permissions=granted)

    return act


def installation(**changed: Any) -> Arrange:
    return lambda proof: proof.world.admin(
        "change-installation", account=proof.repo.split("/")[0], **changed
    )


def issue(act: str) -> Arrange:
    def change_issue(proof: KeptProof) -> None:
        root = proof.world.collaborator(proof.repo, "root", "admin")
        path = f"/repos/{proof.repo}/issues/{proof.issue}"
        match act:
            case "lock":
                root.call("PUT", f"{path}/lock")
            case "unlock":
                root.call("DELETE", f"{path}/lock")
            case _:
                root.call("PATCH", path, {"state": act})

    return change_issue


def gone(proof: KeptProof) -> None:
    """The issue was deleted."""
    path = f"/repos/{proof.repo}/issues/{proof.issue}"
    proof.world.fail(f"(GET|POST|PATCH) {path}($|/)", times=30, status=410)


def no_base(proof: KeptProof) -> None:
    git(proof.bare, "update-ref", "refs/heads/kept", "main")
    git(proof.bare, "update-ref", "-d", "refs/heads/main")


def base_again(proof: KeptProof) -> None:
    git(proof.bare, "update-ref", "refs/heads/main", "kept")


def small_pushes(proof: KeptProof) -> None:
    git(proof.bare, "config", "receive.maxInputSize", "10")


@dataclass(frozen=True)
class Case:
    """Something in the way, where the patch is seen then, and how it goes on without it."""

    arrange: Arrange
    where: Where
    kind: str = ""
    words: tuple[str, ...] = ()
    repair: Arrange | None = None
    made: dict[str, Any] = field(default_factory=dict)
    shown: bool = True
    """Whether the comment has the whole diff."""


GH006 = "error: GH006: Protected branch update failed"
CASES: dict[str, Case] = {
    "branch-in-the-way": Case(branch("patchwright"), "pull"),
    "branch-in-the-way-by-case": Case(branch("Patchwright"), "pull"),
    "branches-below": Case(branch(f"{BRANCH}/x"), "pull"),
    "name-taken": Case(branch(BRANCH), "pull"),
    "every-prefix-taken": Case(
        branch("patchwright", "patchwright-issue-1-total-is-wrong"),
        "pull",
    ),
    "no-drafts-but-draft-only": Case(
        change(drafts=False),
        "comment",
        "drafts",
        (BRANCH, "pull_request.without_drafts"),
        change(drafts=True),
        {"pull_request": {"draft_only": True}},
    ),
    "no-drafts-for-an-unproven-patch": Case(
        change(drafts=False),
        "comment",
        "drafts",
        ("There is a patch, but it is not proven", BRANCH),
        change(drafts=True),
        {"verdict": "unproven"},
    ),
    "no-drafts-and-a-pull-request-wanted": Case(
        change(drafts=False),
        "pull",
        made={"verdict": "unproven", "pull_request": {"without_drafts": "pull_request"}},
    ),
    "signatures": Case(
        rule("signatures"),
        "comment",
        "signatures",
        ("Commits must have verified signatures.", "GH013", "SIGNED_COMMITS"),
        made={"settings_given": {"signed_commits": "never"}},
    ),
    "linear-history": Case(
        says("This branch must not contain merge commits."),
        "comment",
        "linear_history",
        ("no merge commits",),
    ),
    "creation": Case(rule("creation"), "comment", "creation", ("creations being restricted",)),
    "path": Case(
        rule("path", pattern="shop/*"),
        "comment",
        "path",
        ("File path is restricted", "forbids changes to some of its files"),
    ),
    "file-size": Case(rule("file_size", bytes="10"), "comment", "file_size", ("GH001",)),
    "push-size": Case(small_pushes, "comment", "push_size", ("pack exceeds maximum",)),
    "checks": Case(
        rule("checks"),
        "comment",
        "checks",
        ("Do not require status checks on creation",),
    ),
    "protected": Case(rule("protection"), "comment", "pull_request", (GH006,)),
    "force-push": Case(
        rule("protection", says="Cannot force-push to a protected branch."),
        "comment",
        "force_push",
        ("never force-pushes",),
    ),
    "branch-name": Case(
        rule("branch_name", pattern="^fix/"),
        "comment",
        "branch_name",
        ("pull_request.branch_prefix",),
    ),
    "commit-message": Case(
        rule("commit_message", pattern="^JIRA-"),
        "comment",
        "commit_message",
        ("^JIRA-",),
    ),
    "email": Case(rule("email", pattern="@acme.test"), "comment", "email", ()),
    "server-finds-a-secret": Case(
        rule("secret", pattern="t = 0"),
        "comment",
        "secret",
        ("path: shop/cart.py:2", "may hold a secret is left out here", "/logs/patch"),
        shown=False,
    ),
    "server-finds-a-secret-somewhere": Case(
        says("GITHUB PUSH PROTECTION", "Push cannot contain secrets"),
        "comment",
        "secret",
        ("not shown here because it may hold a secret", "/logs/patch"),
        shown=False,
    ),
    "workflows": Case(
        says("refusing to allow a GitHub App to update workflow without `workflows` permission"),
        "comment",
        "workflows",
        (),
    ),
    "unknown-rule": Case(
        says("A rule that GitHub invents tomorrow."),
        "comment",
        "rule",
        ("A rule that GitHub invents tomorrow.",),
    ),
    "hostile-words": Case(says(HOSTILE), "comment", "rule", ()),
    "repository-locked": Case(
        says("This repository has been locked for a migration."),
        "comment",
        "unavailable",
        (),
    ),
    "own-secret": Case(
        nothing, "comment", "own_secret", ("[secret]",), made={"patch": SECRET}, shown=False
    ),
    "forbidden-file": Case(
        nothing, "comment", "unusable", ("ci.yml",), made={"patch": FORBIDDEN}, shown=False
    ),
    "diff-too-long": Case(
        rule("path", pattern="shop/*"),
        "comment",
        "path",
        ("of 6 files", "too long for a comment", "/logs/patch"),
        made={"patch": LONG},
    ),
    "no-write-permission": Case(
        permissions(contents="read"),
        "comment",
        "permission",
        ("Contents: read and write",),
        permissions(),
    ),
    "no-pull-permission": Case(
        permissions(pull_requests="read"),
        "comment",
        "pull_permission",
        (BRANCH,),
        permissions(),
    ),
    "collaborators-only": Case(
        change(pull_creation="collaborators"),
        "comment",
        "no_pulls",
        ("must be a collaborator", BRANCH),
        change(pull_creation="all"),
    ),
    "pull-requests-disabled": Case(
        change(pull_creation="none"),
        "comment",
        "no_pulls",
        (BRANCH,),
        change(pull_creation="all"),
    ),
    "base-gone": Case(no_base, "comment", "base_gone", ("no branch main",), base_again),
    "issue-closed": Case(
        issue("closed"), "comment", "closed", ("Reopen the issue",), issue("open")
    ),
    "issue-locked": Case(issue("lock"), "check", "locked", (), issue("unlock")),
    "issue-deleted": Case(gone, "check", "missing"),
    "archived": Case(change(archived=True), "page", "archived", (), change(archived=False)),
    "suspended": Case(
        installation(suspended=True), "page", "suspended", (), installation(suspended=False)
    ),
    "removed": Case(
        installation(repositories=[]), "page", "removed", (), installation(repositories=None)
    ),
    "no-labels-checks-and-comments": Case(
        permissions(issues="read", checks="read"), "pull", repair=permissions()
    ),
}


OF_THE_SERVER = (
    "linear-history",
    "creation",
    "path",
    "file-size",
    "push-size",
    "checks",
    "protected",
    "force-push",
    "branch-name",
    "commit-message",
    "email",
    "server-finds-a-secret",
    "server-finds-a-secret-somewhere",
    "workflows",
    "unknown-rule",
    "hostile-words",
    "repository-locked",
)
"""Refusals of the push alone: one repository can meet them one after the other."""


@pytest.mark.parametrize("name", [name for name in CASES if name not in OF_THE_SERVER])
async def test_a_proven_patch_reaches_people(
    name: str, server: GithubServer, world: GithubWorld, tmp_path: Path
) -> None:
    case = CASES[name]
    proof = KeptProof(server, world, tmp_path, f"org-{name}/shop", **case.made)
    base = git(proof.bare, "rev-parse", "main")
    await meet(name, case, proof, base)
    if case.where == "pull":
        check_pull(proof, case)
    elif case.repair is not None:
        case.repair(proof)
        await proof.publish()
        check_pull(proof, case)
        # What was said before is not left standing as it was.
        assert not any("could not be published:" in text for text in proof.comments())


@dataclass
class BareServer:
    """A server's repository on disk, with the rules that the stand-in would have."""

    bare: Path

    def change(self, *, rules: list[dict[str, str]]) -> None:
        """The repository's owner changes its rules."""
        push_rules.install(self.bare, rules)


@pytest.mark.parametrize("name", OF_THE_SERVER)
def test_what_a_server_says_to_a_push_becomes_true_words(name: str, tmp_path: Path) -> None:
    remote: Any = BareServer(tmp_path / "remote.git")
    make_remote(remote.bare, {"shop/cart.py": CART})
    mirror = Mirror(tmp_path / "mirror.git", str(remote.bare))
    mirror.fetch()
    base = mirror.base_commit("main")
    author = Identity("bot", "bot@example.com")
    commit = mirror.commit_patch(
        base, PATCH, message="Fix", author=author, branch=BRANCH, when=FACTS.started_at
    )
    case = CASES[name]
    case.arrange(remote)
    with pytest.raises(PushRefused) as refused:
        mirror.push(BRANCH, commit)
    obstacle = obstacle_of(refused.value, "push")
    assert obstacle is not None
    assert obstacle.kind == case.kind
    facts = replace(FACTS, issue_number=1)
    verdict = PROVEN.model_copy(update={"patch": PATCH})
    state = replace(WHOLE, submitted=SUBMITTED.model_copy(update={"patch": PATCH}), verdict=verdict)
    said = unpublished_comment(facts, state, Publication(base=base, obstacle=obstacle), "")
    check_words(said, case, proven=True, base=base)


async def test_a_refusal_of_the_server_is_told_and_the_next_takes_its_place(
    server: GithubServer, world: GithubWorld, tmp_path: Path
) -> None:
    proof = KeptProof(server, world, tmp_path, "org-refusals/shop")
    base = git(proof.bare, "rev-parse", "main")
    whole = bool(os.environ.get("PATCHWRIGHT_CHECK_STORIES"))
    told = ("unknown-rule", "server-finds-a-secret", "hostile-words")
    for name in OF_THE_SERVER if whole else told:
        try:
            await meet(name, CASES[name], proof, base)
        except AssertionError as error:
            error.add_note(name)
            raise
        git(proof.bare, "config", "receive.maxInputSize", "0")
    # A name that the rule allows helps.
    CASES["branch-name"].arrange(proof)
    proof.pull_request["branch_prefix"] = "fix/pw-"
    await proof.publish()
    check_pull(proof, CASES["branch-name"])
    assert not any("could not be published:" in text for text in proof.comments())


async def meet(name: str, case: Case, proof: KeptProof, base: str) -> None:
    """Publish with this in the way, and look whether people get the patch."""
    case.arrange(proof)
    run = await proof.publish()
    publication, proven = proof.publication, proof.verdict == "proven"
    assert run.status == "done"
    assert run.outcome == ("proven" if proven else "draft")
    if case.where == "pull":
        return
    assert run.pull_request == ""
    assert publication.obstacle is not None
    assert publication.obstacle.kind == case.kind
    assert publication.told == case.where
    kept = proof.store.get_log(proof.run_id, "patch")
    assert kept == proof.patch.encode()
    if case.where == "comment":
        [said] = proof.comments()
        check_words(said, case, proven=proven, base=base)
        assert "a separate comment" in proof.status()
    elif case.where == "check":
        [check] = proof.checks(base)
        assert (check["name"], check["conclusion"]) == ("Patchwright", "neutral")
        check_words(check["output"]["summary"], case, proven=proven, base=base)
    keep_for_a_look(name, proof, case, base)


def check_pull(proof: KeptProof, case: Case) -> None:
    """There is one pull request, with the patch."""
    [pull] = proof.world.pulls(proof.repo)
    assert pull["html_url"] == proof.store.get_run(proof.run_id).pull_request
    assert "+    t = 0" in proof.world.diff(proof.repo, pull["number"])
    wants_draft = proof.verdict != "proven" or proof.pull_request.get("draft_only", False)
    no_drafts = proof.pull_request.get("without_drafts") == "pull_request"
    assert pull["draft"] == (wants_draft and not no_drafts)
    assert pull["title"].startswith("Not ready: ") == (wants_draft and no_drafts)
    checks = proof.checks(pull["head"]["sha"])
    conclusion = (
        "action_required" if no_drafts else "success" if proof.verdict == "proven" else "neutral"
    )
    assert [c["conclusion"] for c in checks if c["name"] == "Patchwright"] in ([conclusion], [])


def check_words(said: str, case: Case, *, proven: bool, base: str) -> None:
    """The words are true, complete and inert."""
    assert "no proven fix" not in said
    assert "has no fix" not in said
    assert ("**Fix proven, but it could not be published: " in said) == proven
    for words in case.words:
        assert words in said
    assert f"git checkout -b fix-issue-1 {base}" in said
    assert "git apply --index fix.patch" in said
    if case.shown:
        assert "-    t = 1\n+    t = 0\n" in said
    for hostile in ("@octocat fixes", "<img", KEY):
        assert hostile not in outside_code(said)
    assert KEY not in said
    assert said.count("<details>") == outside_code(said).count("</details>")
    assert len(said) < 65_536


def keep_for_a_look(name: str, proof: KeptProof, case: Case, base: str) -> None:
    """Written to the folder that PATCHWRIGHT_LOOK names, for people to read."""
    folder = os.environ.get("PATCHWRIGHT_LOOK")
    if not folder:
        return
    seen = proof.comments() if case.where == "comment" else []
    if case.where == "check":
        seen = [proof.checks(base)[0]["output"]["summary"]]
    text = "\n\n".join(seen) or f"Only on the page: {proof.publication.obstacle}"
    with (Path(folder) / "comments.md").open("a") as file:
        file.write(f"\n\n# {name} ({case.where})\n\n{text}\n")


PUSH = "POST .*git-receive-pack|GIT .*git-receive-pack$"
PUBLISHED = ["git/push", "pulls/create", "checks/create"]
PUBLISHED += ["issues/create-comment"]
COMMENT = "POST .*/issues/[0-9]+/comments$"


@pytest.mark.parametrize(
    ("arrange", "acts", "expected"),
    [
        (
            nothing,
            (PUSH, "POST .*/pulls$", "POST .*/labels$", "POST .*/check-runs$", COMMENT),
            PUBLISHED,
        ),
        (rule("path", pattern="shop/*"), (COMMENT, COMMENT), ["issues/create-comment"] * 2),
        (issue("lock"), ("POST .*/check-runs$",), ["checks/create"]),
    ],
    ids=["published", "refused", "locked"],
)
async def test_a_crash_after_each_outward_act_doubles_nothing(
    arrange: Arrange,
    acts: tuple[str, ...],
    expected: list[str],
    server: GithubServer,
    world: GithubWorld,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    proof = KeptProof(server, world, tmp_path, f"crash-{request.node.callspec.id}/shop")
    arrange(proof)
    for act in acts:
        world.fail(act, kind="lost")  # it is done, and nobody hears of it
        with pytest.raises(asyncio.CancelledError):  # back to the queue
            await proof.publish()
    await proof.publish()
    done = Counter(a["kind"] for a in world.acts() if proof.repo in a["path"])
    del done["issues/add-labels"]  # the same labels again change nothing
    assert done == Counter(expected)


def test_every_kind_of_obstacle_is_in_the_table_or_named_here() -> None:
    elsewhere = {"taken", "in_the_way", "object", "nothing_new", "transferred", "token"}
    elsewhere |= {"base_moved", "branch_moved", "pull_closed", "head_gone", "stopped", "other"}
    assert {case.kind for case in CASES.values()} - {""} == set(KINDS) - elsewhere
