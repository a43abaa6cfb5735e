"""What a run does outwardly, step by step; each step may be repeated after a crash.

Comments are found again by their hidden marker, commits come out the same from the same inputs, a
branch that is at its commit already is left alone, a pull request is found by its branch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from agent.state import RunState
from app.forge import Forge
from app.forge_records import Comment, Pull, Repository
from app.git_process import GitDenied
from app.mirror import BranchTaken, Identity, Mirror
from app.reports import (
    RunFacts,
    branch_name,
    commit_message,
    diagnosis_comment,
    is_draft,
    own_branch_name,
    patch_of,
    pull_body,
    pull_title,
    run_marker,
    status_comment,
)

T = TypeVar("T")

LABELS = ("patchwright",)
"""Labels of every pull request."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What stands on GitHub after publishing."""

    branch: str
    commit: str
    """Tip of the branch."""
    pull: Pull
    draft: bool
    """Whether it is a draft, as it is when the gate had not proven the patch."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A repository brought up to date in its mirror."""

    repository: Repository
    base_commit: str
    """Tip of the default branch."""


async def fetch(forge: Forge, mirror: Mirror) -> Fetched:
    """Bring the mirror up to date and name the commit to work from.

    Raises `ForgeError`, `GitError`; `GitMissing` also for a repository without commits.
    """
    repository = await forge.repository()
    await with_token(forge, mirror.fetch)
    base = await asyncio.to_thread(mirror.base_commit, repository.default_branch)
    return Fetched(repository, base)


async def announce(
    forge: Forge, run: RunFacts, phase: str, state: RunState, pull: str = ""
) -> Comment:
    """Bring the run's one status comment up to date, creating it at first.

    `phase` is one of `app.reports.PHASES`; `pull` the pull request's address, when there is one.
    """
    return await forge.put_comment(
        run.issue_number, run_marker(run.run_id, "status"), status_comment(run, phase, state, pull)
    )


async def publish(forge: Forge, mirror: Mirror, run: RunFacts, state: RunState) -> PublishResult:
    """Commit the run's patch, push it, open its pull request, say so in the status comment.

    A patch that the gate has not proven becomes a draft. Raises `PatchUnusable` when the patch
    makes no commit, `PushRefused` when the server wants no such branch, `GitError` and
    `ForgeError` else; every one leaves what was done so far, to be found again by the next call.
    """
    draft = is_draft(state)
    pull = await _own_pull(forge, run)
    if pull is None:
        branch = await _push(forge, mirror, run, state)
        pull = await forge.open_pull(
            branch=branch,
            base=run.base_branch,
            title=pull_title(run, state),
            body=pull_body(run, state),
            draft=draft,
        )
    await forge.add_labels(pull.number, LABELS)
    await announce(forge, run, "done", state, pull.url)
    return PublishResult(pull.branch, pull.head_sha, pull, pull.draft)


async def report_failure(forge: Forge, run: RunFacts, state: RunState, reason: str = "") -> Comment:
    """Say honestly that there is no fix: the diagnosis in a comment, the status brought to its end.

    `reason` is why the run ended, where the state does not say it. Returns the diagnosis.
    """
    comment = await forge.put_comment(
        run.issue_number,
        run_marker(run.run_id, "diagnosis"),
        diagnosis_comment(run, state, reason),
    )
    await announce(forge, run, "done", state)
    return comment


async def bot_identity(forge: Forge) -> Identity:
    """Who the App's commits are by."""
    login = await forge.bot_login()
    return Identity(login, f"{login}@users.noreply.github.com")


async def with_token(forge: Forge, act: Callable[[str], T]) -> T:
    """Do something with a git token, in a thread; once more with a new one if it is refused."""
    token = await forge.git_token()
    try:
        return await asyncio.to_thread(act, token.value)
    except GitDenied:
        token = await forge.git_token(renew=True)
        return await asyncio.to_thread(act, token.value)


async def _push(forge: Forge, mirror: Mirror, run: RunFacts, state: RunState) -> str:
    """Push the patch as a commit; returns the branch.

    When the branch holds other commits (an earlier run's, or somebody's), they stay as they are and
    the run's own branch name is taken.
    """
    author = await bot_identity(forge)
    first, second = branch_name(run), own_branch_name(run)
    commit = await asyncio.to_thread(
        mirror.commit_patch,
        run.base_commit,
        patch_of(state),
        commit_message(run, state, author.name, author.email),
        author,
        second,
        run.started_at,
    )
    try:
        await with_token(forge, lambda token: mirror.push(first, commit, token))
    except BranchTaken:
        await with_token(forge, lambda token: mirror.push(second, commit, token))
        return second
    return first


async def _own_pull(forge: Forge, run: RunFacts) -> Pull | None:
    """The pull request that this run opened before, whatever became of it since."""
    marker = run_marker(run.run_id, "pull")
    for branch in (branch_name(run), own_branch_name(run)):
        for pull in await forge.pulls(branch):
            if pull.body.startswith(marker):
                return pull
    return None
