"""Commits for repositories that take signed ones only, where GitHub's API cannot make them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.github.client import GithubForge
from app.github.errors import BranchElsewhere, CommitRefused
from app.github.records import BranchCommit
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.support.github.app import app_of, git, installation_of
from tests.support.runs.kept_proof import BRANCH, KeptProof

SIGNED = {"kind": "signatures"}
PAT = ("Pat", "pat@example.com")


def key_of(folder: Path) -> dict[str, Any]:
    """Settings with a signing key of Pat's."""
    key = folder / "signing-key"
    made = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    subprocess.run(made, check=True)
    return {"signing_key_file": key, "signing_name": PAT[0], "signing_email": PAT[1]}


@pytest.mark.parametrize("registered", [True, False])
async def test_an_executable_file_is_signed_with_the_key_and_stays_one(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path, registered: bool
) -> None:
    settings = key_of(tmp_path)
    proof = KeptProof(
        github_server, github_world, tmp_path, "org/shop", settings_given=settings, executable=True
    )
    proof.change(rules=[SIGNED])
    if registered:
        public = Path(f"{settings['signing_key_file']}.pub").read_text()
        proof.change(signer={"email": PAT[1], "key": public})
    await proof.publish()
    if not registered:
        found = proof.publication.obstacle
        assert found is not None and found.kind == "signatures"
        return
    (pull,) = github_world.pulls(proof.repo)
    root = github_world.collaborator(proof.repo, "root", "admin")
    (made,) = root.call("GET", f"/repos/{proof.repo}/pulls/{pull['number']}/commits")
    commit = made["commit"]
    assert commit["verification"]["verified"]
    assert "SSH SIGNATURE" in commit["verification"]["signature"]
    assert (commit["committer"]["name"], commit["author"]["name"]) == ("Pat", "patchwright[bot]")
    assert git(proof.bare, "ls-tree", made["sha"], "shop/cart.py").startswith("100755 ")
    # Again from the beginning, as after a crash: the same commit, and nothing new.
    await proof.publish()
    assert git(proof.bare, "rev-parse", f"refs/heads/{BRANCH}") == made["sha"]


async def test_githubs_own_commits_are_taken_once_and_never_over_others(
    github_server: GithubServer, github_world: GithubWorld, tmp_path: Path
) -> None:
    proof = KeptProof(github_server, github_world, tmp_path, "org-own/shop")
    base = git(proof.bare, "rev-parse", "main")
    branch = "fix/#1-by-100%25"  # all of it allowed in names, and none of it in addresses
    wanted = BranchCommit(branch, base, "", "Fix it\n\nBecause.", (("a b/ü.txt", b"\xff\0"),))
    installation = installation_of(github_server, proof.repo)
    forge = GithubForge(app_of(github_server), installation, proof.repo)
    await forge.make_branch(branch, base)
    await forge.make_branch(branch, base)
    made = await forge.commit_on_branch(wanted)
    assert git(proof.bare, "rev-parse", branch) == made
    tree = git(proof.bare, "rev-parse", f"{branch}^{{tree}}")
    known = BranchCommit(branch, base, tree, wanted.message, wanted.additions)
    assert await forge.commit_on_branch(known) == await forge.found_commit(known) == made
    assert git(proof.bare, "rev-list", "--count", f"main..{branch}") == "1"
    with pytest.raises(BranchElsewhere):
        await forge.commit_on_branch(wanted)
    proof.change(rules=[{"kind": "path", "pattern": "secret/*"}])
    refused = BranchCommit(branch, made, "", "More", (("secret/x", b"x"),))
    with pytest.raises(CommitRefused, match="File path is restricted"):
        await forge.commit_on_branch(refused)
    assert git(proof.bare, "rev-parse", branch) == made
    proof.change(rules=[{"kind": "creation", "on": "x/*"}, SIGNED | {"on": "main"}])
    with pytest.raises(CommitRefused, match="creations being restricted"):
        await forge.make_branch("x/y", base)
    assert (await forge.branch_rules("main")).kinds == ("required_signatures",)
    assert (await forge.branch_rules("x/#y")).kinds == ("creation",)
    assert await forge.is_on_branch(branch, base)
    await forge.delete_branch(branch, base)
    assert git(proof.bare, "rev-parse", branch) == made, "it is elsewhere"
    await forge.make_branch("more", made)
    on_top = BranchCommit("more", made, "", "More", (("more.txt", b"x"),))
    await forge.commit_on_branch(on_top)
    above = await forge.open_pull(branch="more", base=branch, title="More", body="", draft=False)
    await forge.delete_branch(branch, made)
    assert git(proof.bare, "rev-parse", branch) == made, "another pull request is onto it"
    await forge.close_pull(above.number)
    await forge.delete_branch(branch, made)
    assert not git(proof.bare, "for-each-ref", "refs/heads/fix")
    await forge.close()
