"""What a run does on GitHub, step by step; each step may be repeated after a crash.

Comments are found again by their hidden marker, commits come out the same from the same inputs, a
branch that is at its commit already is left alone, a pull request is found by its branch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from agent.journal.state import AttemptState
from agent.task import GatePolicy
from app.git.files import first_file
from app.git.mirror import BranchTaken, Identity, Mirror
from app.git.patch_check import PatchUnusable
from app.git.process import GitDenied
from app.github.errors import ForgeAway, ForgeError, RateLimited
from app.github.forge import Forge
from app.github.records import Comment, Pull, Repository
from app.publishing import code_owners, pull_template
from app.publishing.code_owners import owners_of
from app.publishing.comments import diagnosis_comment, settings_comment, status_comment
from app.publishing.facts import RunFacts, must_be_draft, patch_of
from app.publishing.markers import branch_name, own_branch_name, run_marker
from app.publishing.pull_request import (
    check_report,
    commit_message,
    diffstat,
    pull_body,
    pull_title,
)
from app.repo_config.effective import EffectiveConfig
from app.repo_config.schema import PullRequests
from app.sanitize.secret_scan import new_secrets
from app.telemetry import logs

T = TypeVar("T")

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What is on GitHub after publishing."""

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
    """Tip of the branch to work from."""


async def fetch(forge: Forge, mirror: Mirror, branch: str = "") -> Fetched:
    """Bring the mirror up to date and name the commit to work from, on `branch` or the default one.

    Raises `ForgeError`, `GitError`; `GitMissing` also for a repository without commits.
    """
    repository = await forge.repository()
    await with_token(forge, mirror.fetch)
    base = await asyncio.to_thread(mirror.base_commit, branch or repository.default_branch)
    return Fetched(repository, base)


async def update_status_comment(
    forge: Forge, run: RunFacts, phase: str, state: AttemptState, pull: str = ""
) -> Comment:
    """Bring the run's one status comment up to date, creating it at first.

    `phase` is one of `app.publishing.facts.PHASES`; `pull` is the pull request's address, if there
    is one.
    """
    return await forge.put_comment(
        run.issue_number, run_marker(run.run_id, "status"), status_comment(run, phase, state, pull)
    )


async def publish(
    forge: Forge,
    mirror: Mirror,
    run: RunFacts,
    state: AttemptState,
    config: EffectiveConfig | None = None,
) -> PublishResult:
    """Commit the run's patch, push it, open its pull request, say so in the status comment.

    A patch that the gate has not proven becomes a draft. `config` is the run's; without it the
    defaults hold. Raises `PatchUnusable` when the patch makes no commit, `PushRefused` when the
    server wants no such branch, `GitError` and `ForgeError` else; every one leaves what was done
    so far, to be found again by the next call.
    """
    policy = config.policy if config else GatePolicy()
    preferences = config.pull_request if config else PullRequests()
    pull = await find_own_pull(forge, run)
    if pull is None:
        branch = await _push(forge, mirror, run, state, policy)
        template = await asyncio.to_thread(
            first_file, mirror.git_dir, run.base_commit, pull_template.PLACES
        )
        pull = await forge.open_pull(
            branch=branch,
            base=run.base_branch,
            title=pull_title(run, state),
            body=pull_body(run, state, (template or b"").decode("utf-8", errors="replace")),
            draft=must_be_draft(state) or preferences.draft_only,
        )
    await forge.add_labels(pull.number, preferences.labels)
    # What follows is good to have: the pull request stands without it.
    await _skip_if_refused(put_proof_check(forge, run, state, pull))
    if preferences.reviewers_from_codeowners:
        await _skip_if_refused(_ask_owners(forge, mirror, run, state, pull))
    await update_status_comment(forge, run, "done", state, pull.url)
    return PublishResult(pull.branch, pull.head_sha, pull, pull.draft)


async def put_proof_check(forge: Forge, run: RunFacts, state: AttemptState, pull: Pull) -> None:
    """The proof as a check run on the pull request's last commit. Idempotent."""
    await forge.put_check(check_report(run, state, pull.head_sha))


async def report_config_problems(
    forge: Forge, issue: int, config: EffectiveConfig, repository: str
) -> Comment | None:
    """Report mistakes in the settings files, in one comment per issue, if there are any."""
    if not config.problems:
        return None
    text = settings_comment(config.problems, stopped=config.stop, language=config.language)
    return await forge.put_comment(issue, run_marker(f"{repository}#{issue}", "settings"), text)


async def _ask_owners(
    forge: Forge, mirror: Mirror, run: RunFacts, state: AttemptState, pull: Pull
) -> None:
    rules = await asyncio.to_thread(first_file, mirror.git_dir, run.base_commit, code_owners.PLACES)
    if rules is None:
        return
    paths = [file.path for file in diffstat(patch_of(state))]
    owners = owners_of(rules, paths, run.repository.partition("/")[0])
    refused = await forge.request_reviewers(pull.number, owners.people, owners.teams)
    if refused:
        _log.info("owners who cannot review", run=run.run_id, names=", ".join(refused))


async def _skip_if_refused(act: Awaitable[None]) -> None:
    try:
        await act
    except (ForgeAway, RateLimited):
        raise  # the whole step is repeated when GitHub is back
    except ForgeError as error:
        _log.warning("left out", why=str(error))


async def report_failure(
    forge: Forge, run: RunFacts, state: AttemptState, reason: str = ""
) -> Comment:
    """Report that there is no fix: post the diagnosis as a comment and finish the status.

    `reason` is why the run ended, where the state does not say it. Returns the diagnosis.
    """
    comment = await forge.put_comment(
        run.issue_number,
        run_marker(run.run_id, "diagnosis"),
        diagnosis_comment(run, state, reason),
    )
    await update_status_comment(forge, run, "done", state)
    return comment


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


async def _push(
    forge: Forge, mirror: Mirror, run: RunFacts, state: AttemptState, policy: GatePolicy
) -> str:
    """Push the patch as a commit; returns the branch.

    When the branch holds other commits (an earlier run's, or somebody's), they stay as they are and
    the run's own branch name is taken.
    """
    if new_secrets(patch_of(state)):
        raise PatchUnusable(
            "The patch adds what looks like a password or key, so it was not published. "
            "It is on the run's page."
        )
    author = await bot_identity(forge)
    first, second = branch_name(run), own_branch_name(run)
    commit = await asyncio.to_thread(
        mirror.commit_patch,
        run.base_commit,
        patch_of(state),
        message=commit_message(run, state, author.name, author.email),
        author=author,
        branch=second,
        when=run.started_at,
        policy=policy,
    )
    try:
        await with_token(forge, lambda token: mirror.push(first, commit, token))
    except BranchTaken:
        await with_token(forge, lambda token: mirror.push(second, commit, token))
        return second
    return first


async def find_own_pull(forge: Forge, run: RunFacts) -> Pull | None:
    """The pull request that this run already opened, whatever its state is now."""
    marker = run_marker(run.run_id, "pull")
    for branch in (branch_name(run), own_branch_name(run)):
        for pull in await forge.pulls(branch):
            if pull.body.startswith(marker):
                return pull
    return None
