"""How a commit comes to GitHub: pushed, made by GitHub itself and so signed, or pushed signed.

Which of them is decided from the operator's setting, the rules of the branches, and what GitHub's
API can carry. Each may be repeated after a crash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

from app.git.commit_content import NotCarried, commit_content
from app.git.mirror import BranchTaken, Identity, Mirror, PushRefused
from app.git.process import GitDenied
from app.git.refusal import read_refusal
from app.git.signing import SigningKey, signed_copy
from app.github.errors import BranchElsewhere, CommitRefused
from app.github.forge import Forge
from app.github.records import BranchCommit
from app.settings.github import SignedCommits
from app.settings.schema import Settings
from app.telemetry import logs

T = TypeVar("T")
SIGNATURES = "required_signatures"
"""GitHub's name of the rule (https://docs.github.com/rest/repos/rules#get-rules-for-a-branch)."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Signing:
    """What the operator says about signatures."""

    commits: SignedCommits = "when_required"
    key: SigningKey | None = None
    """None: there is no key of the operator's; only GitHub can sign."""


def signing_of(settings: Settings) -> Signing:
    """What the operator's settings say."""
    key = None
    if settings.signing_key_file is not None:
        committer = Identity(settings.signing_name, settings.signing_email)
        key = SigningKey(settings.signing_key_file, committer)
    return Signing(settings.signed_commits, key)


Way = Literal["push", "github", "key"]


def way_of(signing: Signing, *, required: bool, carried: bool) -> Way:
    """How a commit comes to GitHub.

    `required`: whether a rule wants signatures; `carried`: whether GitHub's API can make it.
    """
    if signing.commits == "never" or (signing.commits == "when_required" and not required):
        return "push"
    if carried:
        return "github"
    return "key" if signing.key is not None else "push"


async def signatures_required(forge: Forge, signing: Signing, *branches: str) -> bool:
    """Whether a rule of one of these branches wants signed commits, as far as that matters."""
    if signing.commits != "when_required":
        return signing.commits == "always"
    for branch in dict.fromkeys(branches):
        if SIGNATURES in (await forge.branch_rules(branch)).kinds:
            return True
    return False


async def put_commit(
    forge: Forge,
    mirror: Mirror,
    branch: str,
    commit: str,
    signing: Signing,
    *,
    required: bool,
    after: str = "",
) -> str:
    """Bring a commit of the mirror to a branch of the repository; returns its id there.

    With `after`, the branch must be at that commit; else it is made. Raises `BranchTaken` where the
    branch has other commits, `PushRefused`, `GitError` and `ForgeError`.
    """
    wanted = await asyncio.to_thread(_wanted, mirror, branch, commit)
    way = way_of(signing, required=required, carried=wanted is not None)
    try:
        if way == "github" and wanted is not None:
            return await _made_by_github(forge, wanted, new=not after)
        if way == "key" and signing.key is not None:
            commit = await asyncio.to_thread(signed_copy, mirror, commit, signing.key, branch)
        await with_token(forge, partial(mirror.push, branch, commit, after=after))
    except PushRefused as error:
        if error.refusal.kind != "signatures" or required or signing.commits == "never":
            raise
        # A rule that cannot be read, as branch protection: only its refusal tells.
        _log.info("signatures are required", branch=branch)
        return await put_commit(forge, mirror, branch, commit, signing, required=True, after=after)
    except BranchTaken:
        # What GitHub made before a crash is no commit of the mirror.
        done = await forge.found_commit(wanted) if wanted is not None else ""
        if not done:
            raise
        return done
    return commit


async def _made_by_github(forge: Forge, wanted: BranchCommit, *, new: bool) -> str:
    try:
        if new:
            await forge.make_branch(wanted.branch, wanted.parent)
        return await forge.commit_on_branch(wanted)
    except BranchElsewhere as error:
        raise BranchTaken(str(error)) from None
    except CommitRefused as error:
        said = "\n".join(f"remote: {line}" for line in str(error).splitlines())
        text = f"GitHub does not accept a commit on the branch {wanted.branch}: {error}"
        raise PushRefused(text, read_refusal(said)) from None


def _wanted(mirror: Mirror, branch: str, commit: str) -> BranchCommit | None:
    """The commit for GitHub to make; None where its API cannot."""
    try:
        found = commit_content(mirror, commit)
    except NotCarried as error:
        _log.info("not for GitHub's API", branch=branch, why=str(error))
        return None
    return BranchCommit(
        branch=branch,
        parent=found.parent,
        tree=found.tree,
        message=found.message,
        additions=found.additions,
        deletions=found.deletions,
    )


async def bot_identity(forge: Forge) -> Identity:
    """Who the App's commits are by."""
    login = await forge.bot_login()
    return Identity(login, f"{login}@users.noreply.github.com")


async def with_token(forge: Forge, act: Callable[[str], T]) -> T:
    """Call something with a git token, in a thread; again with a new one if it is refused."""
    token = await forge.git_token()
    try:
        return await asyncio.to_thread(act, token.value)
    except GitDenied:
        token = await forge.git_token(renew=True)
        return await asyncio.to_thread(act, token.value)
