"""What a run does on GitHub, step by step; each step may be repeated after a crash.

Comments are found again by their hidden marker, commits come out the same from the same inputs, a
branch that is at its commit already is left alone, a pull request is found by its branch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from agent.journal.events import PublicationStep
from agent.journal.state import AttemptState
from agent.task import GatePolicy
from app.git.files import first_file
from app.git.mirror import BranchTaken, Mirror
from app.git.patch_check import SecretInPatch
from app.git.process import GitError
from app.github.errors import ForgeAway, ForgeError, RateLimited
from app.github.forge import Forge
from app.github.records import CheckReport, Comment, Pull, Repository, ReviewRules
from app.proof_block.schema import ProofBlock
from app.proof_block.text import put
from app.publishing import code_owners, pull_template
from app.publishing.code_owners import owners_of
from app.publishing.comments import diagnosis_comment, settings_comment, status_comment
from app.publishing.commits import (
    Signing,
    bot_identity,
    put_commit,
    signatures_required,
    with_token,
)
from app.publishing.facts import RunFacts, must_be_draft, patch_of
from app.publishing.markers import (
    branch_names,
    change_marker,
    own_branch_name,
    possible_names,
    run_marker,
)
from app.publishing.obstacles import Step, obstacle_of
from app.publishing.publication import KeptChange, Publication
from app.publishing.pull_request import (
    CHECK_LIMIT,
    CHECK_NAME,
    check_report,
    commit_message,
    diffstat,
    pull_body,
    pull_title,
)
from app.publishing.rendering import PHRASES
from app.publishing.reviewers import people_who_know
from app.publishing.unpublished import unpublished_comment
from app.repo_config.effective import EffectiveConfig
from app.repo_config.schema import PullRequests
from app.sanitize.markdown import COMMENT_LIMIT, octets, units
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


async def fetch(forge: Forge, mirror: Mirror, branch: str = "", *, pull: int = 0) -> Fetched:
    """Bring the mirror up to date and name the commit to work from, on `branch` or the default one.

    With `pull` also the head of that pull request. Raises `ForgeError`, `GitError`; `GitMissing`
    also for a repository without commits.
    """
    repository = await forge.repository()
    await with_token(forge, partial(mirror.fetch, pull=pull) if pull else mirror.fetch)
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


Note = Callable[[PublicationStep], None]
"""Keeps a step in the run's journal."""


def _not_kept(step: PublicationStep) -> None:
    """For publications without a journal."""


async def publish(
    forge: Forge,
    mirror: Mirror,
    run: RunFacts,
    state: AttemptState,
    config: EffectiveConfig | None = None,
    *,
    known: Publication = Publication(),  # noqa: B008 - frozen
    note: Note = _not_kept,
    signing: Signing = Signing(),  # noqa: B008 - frozen
) -> PublishResult:
    """Commit the run's patch, push it, open its pull request, say so in the status comment.

    A patch that the gate has not proven becomes a draft. `config` is the run's; without it the
    defaults hold. `known` is how far an earlier try came, as `note` kept it. Raises `PatchUnusable`
    when the patch makes no commit, `PushRefused` when the server wants no such branch, `GitError`
    and `ForgeError` else; every one leaves what was done so far, to be found again by the next
    call, and a refusal is noted. Once there is a pull request, no refusal ends it.
    """
    policy = config.policy if config else GatePolicy()
    preferences = config.pull_request if config else PullRequests()
    names = branch_names(run, preferences.branch_prefix)
    pull = await find_own_pull(forge, run, known, names)
    if pull is None:
        with noting(note, "push", run):
            pushed = await _push(forge, mirror, run, state, policy, names, signing)
        note(pushed)
        places = pull_template.places(preferences.template)
        template = await asyncio.to_thread(first_file, mirror.git_dir, run.base_commit, places)
        filled = template.decode("utf-8", errors="replace") if template else ""
        with noting(note, "pull", run, pushed.branch, pushed.commit):
            facts = replace(run, reviews=await _review_rules(forge, run.base_branch))
            pull = await _open_pull(forge, facts, state, pushed, filled, preferences)
        note(_opened(pull))
    elif known.pull != pull.number:
        note(_opened(pull))
    ready = pull.title != pull_title(run, state, ready=False)
    # What follows is good to have: the pull request stands without it.
    await _skip_if_refused(forge.add_labels(pull.number, preferences.labels), note, "labels")
    await _skip_if_refused(put_proof_check(forge, run, state, pull, ready=ready), note, "check")
    if preferences.reviewers_from_codeowners:
        await _skip_if_refused(_ask_owners(forge, mirror, run, state, pull), note, "reviewers")
    if preferences.reviewers_from_history:
        asking = _ask_people_who_know(forge, mirror, run, state, pull)
        await _skip_if_refused(asking, note, "reviewers")
    if known.told == "comment":
        await _skip_if_refused(_say_published(forge, run, pull), note, "tell")
    facts = replace(run, no_drafts=not ready)
    telling = update_status_comment(forge, facts, "done", state, pull.url)
    await _skip_if_refused(telling, note, "tell")
    return PublishResult(pull.branch, pull.head_sha, pull, pull.draft)


async def _review_rules(forge: Forge, branch: str) -> ReviewRules:
    """What a branch asks of reviews; nothing where GitHub does not tell the App."""
    try:
        return (await forge.branch_rules(branch)).reviews
    except (ForgeAway, RateLimited):
        raise
    except ForgeError as error:
        _log.info("rules are not told", branch=branch, why=str(error))
        return ReviewRules()


def _opened(pull: Pull) -> PublicationStep:
    return PublicationStep(
        attempt=0,
        step="pull",
        status="done",
        branch=pull.branch,
        commit=pull.head_sha,
        pull=pull.number,
        url=pull.url,
    )


async def _open_pull(
    forge: Forge,
    run: RunFacts,
    state: AttemptState,
    pushed: PublicationStep,
    template: str,
    preferences: PullRequests,
) -> Pull:
    draft = must_be_draft(state) or preferences.draft_only
    try:
        return await forge.open_pull(
            branch=pushed.branch,
            base=run.base_branch,
            title=pull_title(run, state),
            body=pull_body(run, state, template, pushed.commit),
            draft=draft,
        )
    except ForgeError as error:
        found = obstacle_of(error)
        no_drafts = draft and found is not None and found.kind == "drafts"
        if not no_drafts or preferences.without_drafts == "comment":
            raise
    return await forge.open_pull(
        branch=pushed.branch,
        base=run.base_branch,
        title=pull_title(run, state, ready=False),
        body=pull_body(replace(run, no_drafts=True), state, template, pushed.commit),
        draft=False,
    )


@contextmanager
def noting(
    note: Note, step: Step, run: RunFacts, branch: str = "", commit: str = ""
) -> Iterator[None]:
    """Note a refusal of this step before its error goes on."""
    try:
        yield
    except (ForgeError, GitError) as error:
        found = obstacle_of(error, step)
        if found is not None:
            note(found.as_step(step, base=run.base_commit, branch=branch, commit=commit))
        raise


async def put_proof_check(
    forge: Forge, run: RunFacts, state: AttemptState, pull: Pull, *, ready: bool = True
) -> None:
    """The proof as a check run on the pull request's last commit. Idempotent."""
    await forge.put_check(check_report(run, state, pull.head_sha, ready=ready))


async def put_proof_block(forge: Forge, run: RunFacts, block: ProofBlock, number: int) -> None:
    """The block at its place in the description of a pull request, whatever people made of it.

    Nothing else is changed. Idempotent.
    """
    pull = await forge.pull(number)
    body = put(pull.body, block, run_marker(run.run_id, "pull"))
    if body == pull.body:
        return
    if units(body) > COMMENT_LIMIT:
        _log.warning("no room for the proof block", run=run.run_id, pull=number)
        return
    await forge.edit_pull(number, body)


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


async def _ask_people_who_know(
    forge: Forge, mirror: Mirror, run: RunFacts, state: AttemptState, pull: Pull
) -> None:
    people = await people_who_know(forge, mirror, run, state)
    refused = await forge.request_reviewers(pull.number, people, ())
    if refused:
        _log.info("people who cannot review", run=run.run_id, names=", ".join(refused))


async def _skip_if_refused(act: Awaitable[object], note: Note, step: Step) -> None:
    try:
        await act
    except (ForgeAway, RateLimited):
        raise  # the whole step is repeated when GitHub is back
    except ForgeError as error:
        _log.warning("left out", why=str(error))
        note(PublicationStep(attempt=0, step=step, status="left_out", detail=str(error)))


async def _say_published(forge: Forge, run: RunFacts, pull: Pull) -> None:
    """Replace the comment that said why there was no pull request."""
    text = PHRASES[run.language].published_since.format(pull=pull.url)
    await forge.put_comment(run.issue_number, run_marker(run.run_id, "diagnosis"), text)


async def say_change_published(
    forge: Forge, run: RunFacts, change: KeptChange, pull: Pull, note: Note = _not_kept
) -> None:
    """Replace the comment that said why a change was not on the pull request's branch."""
    text = PHRASES[run.language].published_since.format(pull=pull.url)
    marker = change_marker(run.run_id, change.attempt)
    await _skip_if_refused(forge.put_comment(pull.number, marker, text), note, "tell")


async def report_unpublished(
    forge: Forge,
    run: RunFacts,
    state: AttemptState,
    publication: Publication,
    reason: str,
    note: Note = _not_kept,
) -> None:
    """Bring a patch that could not be published to people: where they look first, or next.

    The issue; where that takes no comment, a check run on the branch's commit, or on the commit
    that the patch is for; else only the run's page. `reason` is for obstacles without their own
    words. Raises `ForgeAway` and `RateLimited`.
    """
    words = partial(unpublished_comment, run, state, publication, reason)
    at = _Place(
        run.issue_number,
        run_marker(run.run_id, "diagnosis"),
        publication.commit or publication.base or run.base_commit,
        f"patchwright:{run.run_id}",
    )
    where = await _tell(forge, run, words, at, note)
    if where == "comment":
        facts = replace(run, unpublished=True)
        await _skip_if_refused(update_status_comment(forge, facts, "done", state), note, "tell")
    note(PublicationStep(attempt=0, step="tell", status="done", kind=where))


async def report_unpublished_change(
    forge: Forge,
    run: RunFacts,
    state: AttemptState,
    change: KeptChange,
    pull: int,
    patch: str,
    note: Note = _not_kept,
) -> None:
    """Bring a change that could not be pushed to an open pull request to people.

    As `report_unpublished`, but on the pull request, or in a check run on its commit. `patch`
    applies to `change.tree`.
    """
    publication = Publication(base=change.tree, obstacle=change.obstacle)
    words = partial(unpublished_comment, run, state, publication, "", patch=patch, change=True)
    at = _Place(
        pull,
        change_marker(run.run_id, change.attempt),
        change.head,
        f"patchwright:{run.run_id}:{change.attempt}",
    )
    where = await _tell(forge, run, words, at, note)
    note(PublicationStep(attempt=0, step="tell", status="done", kind=where, change=change.attempt))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where people are told: in a comment, else in a check run."""

    number: int
    """Of the issue or pull request."""
    marker: str
    commit: str
    check_id: str


async def _tell(
    forge: Forge, run: RunFacts, words: Callable[..., str], at: _Place, note: Note
) -> str:
    command = f"/{await _name(forge)} publish"
    try:
        await forge.put_comment(at.number, at.marker, words(command=command))
    except (ForgeAway, RateLimited):
        raise
    except ForgeError as error:
        note(PublicationStep(attempt=0, step="tell", status="left_out", detail=str(error)))
    else:
        return "comment"
    report = CheckReport(
        external_id=at.check_id,
        name=CHECK_NAME,
        head_sha=at.commit,
        title=PHRASES[run.language].check_unpublished,
        summary=words(limit=CHECK_LIMIT, size=octets, command=command),
        conclusion="neutral",
        details_url=run.run_url,
    )
    try:
        await forge.put_check(report)
    except (ForgeAway, RateLimited):
        raise
    except ForgeError as error:
        _log.error("a patch is on its page only", run=run.run_id, why=str(error))
        return "page"
    return "check"


async def _name(forge: Forge) -> str:
    """What people call the App; the usual name where a suspended one is not told it."""
    try:
        return _name_of(await forge.bot_login())
    except (ForgeAway, RateLimited):
        raise
    except ForgeError:
        return "patchwright"


def _name_of(login: str) -> str:
    return login.removesuffix("[bot]")


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


async def _push(
    forge: Forge,
    mirror: Mirror,
    run: RunFacts,
    state: AttemptState,
    policy: GatePolicy,
    names: Sequence[str],
    signing: Signing,
) -> PublicationStep:
    """Push the patch as a commit, under the first of these names that is free; says where it is.

    Branches with other commits (an earlier run's, or somebody's) stay as they are.
    """
    if new_secrets(patch_of(state)):
        raise SecretInPatch(
            "The patch adds what looks like a password or key, so it was not published."
        )
    author = await bot_identity(forge)
    commit = await asyncio.to_thread(
        mirror.commit_patch,
        run.base_commit,
        patch_of(state),
        message=commit_message(run, state, author.name, author.email),
        author=author,
        branch=own_branch_name(run),
        when=run.started_at,
        policy=policy,
    )
    # A last look at names that the mirror knows to be impossible is still true to the server.
    possible = possible_names(names, await asyncio.to_thread(mirror.branches))
    refusal = None
    required = await signatures_required(forge, signing, run.base_branch, names[0])
    for branch in possible or names:
        try:
            there = await put_commit(forge, mirror, branch, commit, signing, required=required)
        except BranchTaken as error:
            refusal = error
        else:
            return PublicationStep(
                attempt=0,
                step="push",
                status="done",
                base=run.base_commit,
                branch=branch,
                commit=there,
            )
    assert refusal is not None
    raise refusal


async def find_own_pull(
    forge: Forge, run: RunFacts, known: Publication, names: Sequence[str]
) -> Pull | None:
    """The pull request that this run already opened, whatever its state is now.

    Under the name that is known, or else under any of `names`.
    """
    marker = run_marker(run.run_id, "pull")
    if known.pull:
        return await forge.pull(known.pull)
    for branch in dict.fromkeys((known.branch, *names) if known.branch else names):
        for pull in await forge.pulls(branch):
            if pull.body.startswith(marker):
                return pull
    return None
