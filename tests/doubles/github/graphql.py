"""The few GraphQL mutations that REST lacks: drafts and review threads.

They are recognised by name in the query text, as PyGithub writes it; anything else is an error.
"""

import re

from tests.doubles.github.auth import can_see
from tests.doubles.github.operations.operation import Actor, Call, Hooks, at_least, grants
from tests.doubles.github.operations.pulls import set_draft
from tests.doubles.github.state import Issue, Json, Repo, World, from_node_id

_MUTATION = re.compile(r"mutation\b[^{]*\{\s*(\w+)\s*\(")
DRAFTS = {"convertPullRequestToDraft": True, "markPullRequestReadyForReview": False}


def run(world: World, hooks: Hooks, actor: Actor, body: Json) -> tuple[str, Json]:
    """The mutation's name and the answer to it."""
    match = _MUTATION.search(str(body.get("query", "")))
    name = match[1] if match else ""
    given = (body.get("variables") or {}).get("input") or {}
    if name not in DRAFTS:
        return name, _error("UNPROCESSABLE", f"the stand-in has no mutation {name!r}")
    found = _pull(world, str(given.get("pullRequestId", "")))
    if found is None or not can_see(actor, found[0]):
        said = f"Could not resolve to a node with the global id of '{given.get('pullRequestId')}'"
        return name, _error("NOT_FOUND", said)
    repo, item = found
    if not _may(actor, repo):
        return name, _error("FORBIDDEN", "Resource not accessible by integration")
    call = Call(world, hooks, actor, {}, {}, {}, "", repo)
    set_draft(call, item, DRAFTS[name])
    pull = {"isDraft": DRAFTS[name], "number": item.number, "id": given["pullRequestId"]}
    return name, {
        "data": {name: {"clientMutationId": given.get("clientMutationId"), "pullRequest": pull}}
    }


def _may(actor: Actor, repo: Repo) -> bool:
    if actor.token is not None:
        inside = actor.token.installation.covers(repo)
        return inside and grants(actor.token.permissions, "pull_requests:write")
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


def _error(kind: str, message: str) -> Json:
    return {"data": None, "errors": [{"type": kind, "message": message}]}
