"""The few GraphQL mutations that REST lacks: drafts, and commits that GitHub makes and signs.

They are recognised by name in the query text, as PyGithub writes it; anything else is an error.
"""

import base64
import binascii
import re

from tests.doubles.github import repository as git
from tests.doubles.github.auth import can_see
from tests.doubles.github.operations.operation import Actor, Call, Hooks, at_least, grants
from tests.doubles.github.operations.pulls import set_draft
from tests.doubles.github.pushes import noreply, refs_changed
from tests.doubles.github.rules import push_rules
from tests.doubles.github.state import Issue, Json, Repo, World, from_node_id

_MERGE_COMMIT = re.compile(r"query\b.*\bmergeCommit\s*\{\s*oid\s*\}", re.DOTALL)
_MUTATION = re.compile(r"mutation\b[^{]*\{\s*(\w+)\s*\(")
DRAFTS = {"convertPullRequestToDraft": True, "markPullRequestReadyForReview": False}


def run(world: World, hooks: Hooks, actor: Actor, body: Json) -> tuple[str, Json]:
    """The mutation's name and the answer to it."""
    if _MERGE_COMMIT.match(str(body.get("query", ""))):
        return "mergeCommit", _merge_commit(world, actor, body.get("variables") or {})
    match = _MUTATION.search(str(body.get("query", "")))
    name = match[1] if match else ""
    given = (body.get("variables") or {}).get("input") or {}
    try:
        return name, {"data": {name: _mutated(world, hooks, actor, name, given)}}
    except Refused as refused:
        told = {"type": refused.kind, "path": [name], "message": str(refused)}
        return name, {"data": {name: None}, "errors": [told]}


def _merge_commit(world: World, actor: Actor, given: Json) -> Json:
    """The merge commit of a pull request, of a repository by its name now."""
    name = f"{given['owner']}/{given['name']}"
    repo = world.repo(name)
    if repo is None or not can_see(actor, repo):
        said = f"Could not resolve to a Repository with the name '{name}'."
        told = {"type": "NOT_FOUND", "path": ["repository"], "message": said}
        return {"data": {"repository": None}, "errors": [told]}
    item = repo.issues.get(given["number"])
    sha = item.pull.merge_commit_sha if item is not None and item.pull is not None else None
    found = {"mergeCommit": {"oid": sha} if sha else None}
    return {"data": {"repository": {"pullRequest": found}}}


class Refused(Exception):
    """A mutation is not done."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _mutated(world: World, hooks: Hooks, actor: Actor, name: str, given: Json) -> Json:
    if name == "createCommitOnBranch":
        return _commit_on_branch(world, hooks, actor, given)
    if name not in DRAFTS:
        raise Refused("UNPROCESSABLE", f"the stand-in has no mutation {name!r}")
    found = _pull(world, str(given.get("pullRequestId", "")))
    if found is None or not can_see(actor, found[0]):
        said = f"Could not resolve to a node with the global id of '{given.get('pullRequestId')}'"
        raise Refused("NOT_FOUND", said)
    repo, item = found
    if not _may(actor, repo):
        raise Refused("FORBIDDEN", "Resource not accessible by integration")
    call = Call(world, hooks, actor, {}, {}, {}, "", repo)
    set_draft(call, item, DRAFTS[name])
    pull = {"isDraft": DRAFTS[name], "number": item.number, "id": given["pullRequestId"]}
    return {"clientMutationId": given.get("clientMutationId"), "pullRequest": pull}


WEB_FLOW = ("GitHub", "noreply@github.com")
"""The committer of commits that GitHub makes."""


def _commit_on_branch(world: World, hooks: Hooks, actor: Actor, given: Json) -> Json:
    """https://docs.github.com/en/graphql/reference/commits#mutation-createcommitonbranch

    The words of errors are those that people report: a head that moved is `STALE_DATA`, and rules
    refuse as they refuse pushes.
    """
    branch, message = given["branch"], given["message"]
    repo = world.repo(str(branch.get("repositoryNameWithOwner", "")))
    if repo is None or not can_see(actor, repo):
        said = f"Could not resolve to a Repository with the name '{branch}'."
        raise Refused("NOT_FOUND", said)
    if not _may(actor, repo, "contents:write"):
        raise Refused("FORBIDDEN", "Resource not accessible by integration")
    if repo.archived:
        said = "Repository was archived so is read-only."
        raise Refused("UNPROCESSABLE", said)
    if not message.get("headline"):
        raise Refused("UNPROCESSABLE", "Message headline can't be blank")
    name = str(branch["branchName"]).removeprefix("refs/heads/")
    head = git.branch_tip(repo.git, name)
    if head is None:
        said = f"No branch named {name!r} exists on {repo.full_name}."
        raise Refused("NOT_FOUND", said)
    expected = given["expectedHeadOid"]
    if head != expected:
        said = f'Expected branch to point to "{expected}" but it did not.  Pull and try again.'
        raise Refused("STALE_DATA", said)
    try:
        tree = _changed_tree(repo, head, given.get("fileChanges") or {})
    except (ValueError, git.GitRefused) as error:
        raise Refused("UNPROCESSABLE", str(error)) from None
    words = message["headline"] + (f"\n\n{message['body']}" if message.get("body") else "")
    who = actor.user or world.app.bot
    made = git.signed_commit(
        repo.git, tree, head, words, (who.login, noreply(who)), WEB_FLOW, world.now()
    )
    if said := push_rules.against(repo.git, head, made, f"refs/heads/{name}"):
        raise Refused("UNPROCESSABLE", "Repository rule violations found\n\n" + said)
    git.set_ref(repo.git, f"refs/heads/{name}", made)
    refs_changed(world, hooks, repo, who, {f"refs/heads/{name}": (head, made)})
    return {"clientMutationId": given.get("clientMutationId"), "commit": {"oid": made}}


def _changed_tree(repo: Repo, head: str, changes: Json) -> str:
    """Every file that is added is a plain one, whatever it was. Raises ValueError."""
    written: dict[str, bytes | None] = {}
    for entry in changes.get("additions") or []:
        try:
            written[entry["path"]] = base64.b64decode(entry["contents"], validate=True)
        except binascii.Error:
            raise ValueError("A file's contents are not valid Base64.") from None
    for entry in changes.get("deletions") or []:
        if entry["path"] in written:
            raise ValueError(f"Path {entry['path']!r} is both added and deleted.")
        written[entry["path"]] = None
    if not written:
        raise ValueError("The commit changes nothing.")
    return git.tree_with(repo.git, head, written)


def _may(actor: Actor, repo: Repo, permission: str = "pull_requests:write") -> bool:
    if actor.token is not None:
        inside = actor.token.installation.covers(repo)
        return inside and grants(actor.token.permissions, permission)
    return actor.user is not None and at_least(repo.role_of(actor.user), "write")


def _pull(world: World, node: str) -> tuple[Repo, Issue] | None:
    try:
        kind, number = from_node_id(node)
    except ValueError:
        return None
    for repo in world.repos.values():
        for item in repo.issues.values():
            if kind == "PullRequest" and item.pull and item.pull.id == number:
                return repo, item
    return None
