"""Commits that GitHub makes itself, and therefore signs: the forge's blocking calls for them.

Source of facts: GitHub's GraphQL reference, `createCommitOnBranch`
(https://docs.github.com/en/graphql/reference/commits#mutation-createcommitonbranch): the commit's
author is the App, nobody else can be named, and it is signed by GitHub. The REST API's own commits
are unsigned as soon as they name an author (anthropics/claude-code-action#1511,
grafana/pyroscope-dotnet#386). A head that has moved is the error `STALE_DATA` with status 200.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from github import GithubException
from github.Requester import Requester

from app.github.answers import OddAnswer
from app.github.errors import BranchElsewhere, CommitRefused
from app.github.records import BranchCommit, BranchRules, ReviewRules


def branch_tip(requester: Requester, at: str, branch: str) -> str:
    """The commit that a branch is at; empty where there is no such branch."""
    try:
        _, ref = requester.requestJsonAndCheck("GET", f"{at}/git/ref/{_ref_of(branch)}")
    except GithubException as error:
        if error.status != 404:
            raise
        return ""
    return str(ref["object"]["sha"])


def _ref_of(branch: str) -> str:
    """A branch in an address: what comes after a `#` would not be sent."""
    return quote(f"heads/{branch}", safe="")


def delete_branch(requester: Requester, at: str, branch: str, sha: str) -> None:
    """Delete a branch if it is at this commit and the base of no open pull request. Idempotent.

    GitHub closes a pull request with its base branch.
    """
    onto = {"state": "open", "base": branch, "per_page": 1}
    try:
        if branch_tip(requester, at, branch) == sha:
            if requester.requestJsonAndCheck("GET", f"{at}/pulls", parameters=onto)[1]:
                return
            requester.requestJsonAndCheck("DELETE", f"{at}/git/refs/{_ref_of(branch)}")
    except GithubException as error:
        if error.status not in (404, 409, 422):
            raise


def make_branch(requester: Requester, at: str, branch: str, sha: str) -> None:
    """Make a branch at a commit that GitHub has; one that is there already stays as it is.

    Raises `CommitRefused` where a rule or another branch's name forbids it.
    """
    if branch_tip(requester, at, branch):
        return
    wanted = {"ref": f"refs/heads/{branch}", "sha": sha}
    try:
        requester.requestJsonAndCheck("POST", f"{at}/git/refs", input=wanted)
    except GithubException as error:
        if error.status not in (409, 422):
            raise
        if branch_tip(requester, at, branch):  # by another worker at the same moment
            return
        raise CommitRefused(_message(error)) from None


def found_commit(requester: Requester, at: str, wanted: BranchCommit) -> str:
    """The id of the branch's last commit, if that is this one, made before; else empty."""
    tip = branch_tip(requester, at, wanted.branch)
    return tip if tip and _is(requester, at, tip, wanted) else ""


def commit_on_branch(requester: Requester, at: str, name: str, wanted: BranchCommit) -> str:
    """Append a commit to a branch that is at its parent; returns its id. Idempotent.

    `name` is the repository's full name now. Raises `BranchElsewhere` where the branch has other
    commits, and `CommitRefused` where a rule forbids it.
    """
    tip = branch_tip(requester, at, wanted.branch)
    if tip and _is(requester, at, tip, wanted):
        return tip
    if tip != wanted.parent:
        raise BranchElsewhere(f"The branch {wanted.branch} has other commits.")
    headline, _, body = wanted.message.partition("\n")
    changes = {
        "additions": [
            {"path": path, "contents": base64.b64encode(content).decode()}
            for path, content in wanted.additions
        ],
        "deletions": [{"path": path} for path in wanted.deletions],
    }
    asked = {
        "branch": {"repositoryNameWithOwner": name, "branchName": wanted.branch},
        "message": {"headline": headline, "body": body.strip("\n")},
        "expectedHeadOid": wanted.parent,
        "fileChanges": changes,
    }
    try:
        _, data = requester.graphql_named_mutation("createCommitOnBranch", asked, "commit { oid }")
    except GithubException as error:
        if not isinstance(error.data, dict) or not error.data.get("errors"):
            raise
        return _after_refusal(requester, at, wanted, error)
    return str(data["commit"]["oid"])


def branch_rules(requester: Requester, at: str, branch: str) -> BranchRules:
    """The rules of rulesets that hold for a branch, which need not be there yet.

    None where the server knows no rulesets (GitHub Enterprise Server before 3.11). Rules of branch
    protection, the older kind, are for administrators alone to read.
    """
    try:
        _, rules = requester.requestJsonAndCheck(
            "GET", f"{at}/rules/branches/{quote(branch, safe='')}"
        )
    except GithubException as error:
        if error.status not in (403, 404):
            raise
        return BranchRules()
    if not isinstance(rules, list):
        raise OddAnswer("no list of rules")
    asked = [rule.get("parameters") or {} for rule in rules if rule["type"] == "pull_request"]
    return BranchRules(
        kinds=tuple(dict.fromkeys(str(rule["type"]) for rule in rules)),
        # Where several rulesets hold, the strictest of each counts ("About rulesets").
        reviews=ReviewRules(
            approvals=max(
                (p.get("required_approving_review_count") or 0 for p in asked), default=0
            ),
            last_push=any(p.get("require_last_push_approval") for p in asked),
            code_owners=any(p.get("require_code_owner_review") for p in asked),
            conversations=any(p.get("required_review_thread_resolution") for p in asked),
        ),
    )


def _after_refusal(
    requester: Requester, at: str, wanted: BranchCommit, error: GithubException
) -> str:
    """What a refused commit means: another worker made it, the branch moved, or a rule forbids."""
    if done := found_commit(requester, at, wanted):
        return done
    problems: list[dict[str, Any]] = error.data["errors"]
    if any(one.get("type") == "STALE_DATA" for one in problems):
        raise BranchElsewhere(f"The branch {wanted.branch} has other commits.") from None
    said = "\n".join(str(one.get("message", "")) for one in problems)
    raise CommitRefused(said) from None


def _is(requester: Requester, at: str, sha: str, wanted: BranchCommit) -> bool:
    """Whether a commit has the content, the parent and the message that are wanted."""
    _, found = requester.requestJsonAndCheck("GET", f"{at}/git/commits/{sha}")
    return (
        found["tree"]["sha"] == wanted.tree
        and [parent["sha"] for parent in found["parents"]] == [wanted.parent]
        and _words(found["message"]) == _words(wanted.message)
    )


def _words(message: str) -> str:
    return " ".join(message.split())


def _message(error: GithubException) -> str:
    said = error.data.get("message", "") if isinstance(error.data, dict) else ""
    return str(said) or f"GitHub answered {error.status}."
