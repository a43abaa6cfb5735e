"""For `patchwright doctor`: which repositories take signed commits only, and whether they can be
signed."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from github import GithubException, GithubIntegration

from app.github.calls.commits import branch_rules
from app.publishing.commits import SIGNATURES, Signing

MOST_INSTALLATIONS = 20
MOST_REPOSITORIES = 50
"""Of one installation; each is a request."""
_STEADY_KINDS = ("ssh-ed25519", "ssh-rsa")
"""Kinds of keys that sign the same in the same way each time, so that a crash doubles nothing."""


@dataclass(frozen=True, slots=True)
class BranchSignatures:
    """Whether a repository's default branch takes signed commits only."""

    repository: str
    branch: str
    required: bool


def ask_branches(github: GithubIntegration) -> Iterator[BranchSignatures]:
    """What the rulesets of the installations' repositories say. Raises `GithubException`."""
    for installation in itertools.islice(github.get_installations(), MOST_INSTALLATIONS):
        for repo in itertools.islice(installation.get_repos(), MOST_REPOSITORIES):
            if repo.archived:
                continue
            rules = branch_rules(repo.requester, f"/repositories/{repo.id}", repo.default_branch)
            yield BranchSignatures(repo.full_name, repo.default_branch, SIGNATURES in rules.kinds)


def told_branches(github: GithubIntegration) -> tuple[tuple[BranchSignatures, ...], str]:
    """The same, and why the list is not complete; empty: it is."""
    found: list[BranchSignatures] = []
    try:
        found.extend(ask_branches(github))
    except GithubException as problem:
        return tuple(found), f"GitHub answered {problem.status}"
    return tuple(found), ""


def told_signatures(
    branches: Sequence[BranchSignatures], signing: Signing, *, incomplete: str = ""
) -> tuple[bool, str]:
    """Whether all is well, and what was seen or what to do."""
    strict = [one for one in branches if one.required]
    missing = f" (not all could be asked: {incomplete})" if incomplete else ""
    if not strict:
        seen = f"no ruleset of {len(branches)} repositories requires signed commits{missing}"
        return True, seen
    named = ", ".join(f"{one.repository} ({one.branch})" for one in strict[:5])
    more = f" and {len(strict) - 5} more" if len(strict) > 5 else ""
    who = f"{named}{more} take signed commits only{missing}"
    if signing.commits == "never":
        return False, f"{who}: set PATCHWRIGHT_SIGNED_COMMITS to when_required"
    rest = "merges and executable files are signed with the key"
    if signing.key is None:
        rest = "for merges and executable files set PATCHWRIGHT_SIGNING_KEY_FILE"
    return True, f"{who}: GitHub makes and signs the commits; {rest}"


def wrong_with_key(path: Path) -> str:
    """Why commits cannot be signed with a key; empty: they can."""
    if shutil.which("ssh-keygen") is None:
        return "ssh-keygen is missing: install OpenSSH's client"
    asked = ("ssh-keygen", "-y", "-P", "", "-f", str(path))
    told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    if told.returncode:
        said = (told.stderr.strip().splitlines() or ["no key"])[-1][:200]
        return f"{path} is no private SSH key without a passphrase: {said}"
    kind = told.stdout.split(" ")[0]
    if kind not in _STEADY_KINDS:
        return f"{path} is a key of the kind {kind}: make one of Ed25519 (ssh-keygen -t ed25519)"
    return ""
