"""The stand-in's `createCommitOnBranch` is as strict as GitHub's, and so are its signatures."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.github.client import GithubWorld, WorldRefused
from tests.doubles.github.server import GithubServer
from tests.support.github.app import git

REPO = "acme/signed"
MUTATION = (
    "mutation M($input: CreateCommitOnBranchInput!) "
    "{ createCommitOnBranch(input: $input) { commit { oid } } }"
)


def asked(head: str, **changed: Any) -> dict[str, Any]:
    contents = base64.b64encode(b"new\n").decode()
    return {
        "branch": {"repositoryNameWithOwner": REPO, "branchName": "main"},
        "message": {"headline": "Say it"},
        "expectedHeadOid": head,
        "fileChanges": {"additions": [{"path": "run.sh", "contents": contents}]},
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        (
            {"author": {"name": "Eve", "email": "eve@x"}},
            None,
            "provided invalid value for author (Field is not defined on CreateCommitOnBranchInput)",
        ),
        (
            {"message": {"body": "No headline"}},
            None,
            "provided invalid value for message.headline (Expected value to not be null)",
        ),
        ({"expectedHeadOid": "0" * 40}, "STALE_DATA", 'Expected branch to point to "0000'),
        ({"message": {"headline": ""}}, "UNPROCESSABLE", "headline can't be blank"),
        (
            {"branch": {"repositoryNameWithOwner": REPO, "branchName": "none"}},
            "NOT_FOUND",
            "No branch named",
        ),
        (
            {"fileChanges": {"additions": [{"path": "a", "contents": "not base64!"}]}},
            "UNPROCESSABLE",
            "not valid Base64",
        ),
        (
            {"fileChanges": {"additions": [{"path": "a", "contents": "", "mode": "100755"}]}},
            None,
            "fileChanges.additions.0.mode (Field is not defined on FileAddition)",
        ),
        ({"fileChanges": {"deletions": [{"path": "gone"}]}}, "UNPROCESSABLE", "does not exist"),
        ({}, "", ""),
    ],
)
def test_githubs_answers(
    github_server: GithubServer,
    github_world: GithubWorld,
    tmp_path: Path,
    changed: dict[str, Any],
    kind: str | None,
    words: str,
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "run.sh").write_text("old\n")
    (folder / "run.sh").chmod(0o755)
    github_world.create_repo(REPO, folder=folder)
    ann = github_world.collaborator(REPO, "ann")
    found = github_server.world_state.repo(REPO)
    assert found is not None
    head = git(found.git, "rev-parse", "main")
    wanted = {"input": asked(head, **changed)}
    if words:
        # With status 200: GraphQL's errors are in the answer.
        with pytest.raises(WorldRefused, match=r"^200 ") as refused:
            github_world.graphql(ann.token, MUTATION, wanted)
        errors = json.loads(str(refused.value).removeprefix("200 "))["errors"]
        assert errors[0].get("type") == kind and words in errors[0]["message"]
        assert git(found.git, "rev-parse", "main") == head
        return
    answer = github_world.graphql(ann.token, MUTATION, wanted)
    made = answer["data"]["createCommitOnBranch"]["commit"]["oid"]
    assert git(found.git, "rev-parse", "main") == made
    # Whatever it was, the file is a plain one now.
    assert git(found.git, "ls-tree", made, "run.sh").startswith("100644 ")
    known = ann.call("GET", f"/repos/{REPO}/git/commits/{made}")
    assert known["verification"]["verified"] and known["verification"]["reason"] == "valid"
    assert (known["author"]["name"], known["committer"]["name"]) == ("ann", "GitHub")
    base = ann.call("GET", f"/repos/{REPO}/commits/{head}")["commit"]["verification"]
    assert (base["verified"], base["reason"], base["signature"]) == (False, "unsigned", None)
