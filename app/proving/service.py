"""The proof of a change on GitHub, in the service's sandboxes."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from agent.cancellation import within
from agent.errors import ModelError
from agent.model import Model
from agent.proving.prove import prove_change
from agent.proving.records import Change, ChangeProof
from agent.proving.reproduce import WriteReproduction
from agent.task import Issue
from app.git.mirror import Mirror
from app.git.process import GitMissing
from app.github.forge import Forge
from app.proving.reproduction import writer_for
from app.publishing import publish
from app.repo_config.effective import EffectiveConfig
from app.runs.commits.sandboxes import CommitSandboxes, commit_sandboxes, scope_of
from app.runs.services import Services
from app.sandboxes.environment import TestedEnvironment, environment_request
from app.sandboxes.kept_base import FOLDER, kept_base
from app.spending.account import Payer
from app.storage import controls
from app.storage.proofs import Proof
from app.telemetry import logs
from sandbox.errors import EngineUnavailable, SandboxError, SandboxGone

_log = logs.get(__name__)


class ChangeGone(Exception):
    """There is nothing to prove any more; the message says why."""


@dataclass(frozen=True, slots=True)
class FetchedChange:
    """A change whose commits are in the mirror."""

    mirror: Mirror
    scope: str
    """What is kept of the repository is kept under this."""
    base: str
    """The commit where it begins: where it and the branch that it is for parted."""
    head: str
    trees: str
    """Git's ids of the trees at both ends."""
    on_default: bool
    """Whether it begins on the default branch."""


async def fetch_change(services: Services, forge: Forge, proof: Proof) -> FetchedChange:
    """Bring both ends of a change into the mirror.

    Raises `ChangeGone`, `ForgeError`, `GitError`.
    """
    repository = await forge.repository()
    mirror = services.mirror(repository.clone_url, repository.id)
    try:
        await publish.fetch(forge, mirror, pull=proof.pull_number)
    except GitMissing:
        raise ChangeGone("Its commits are no longer there.") from None

    def read() -> FetchedChange:
        if not mirror.has(proof.head_sha):
            raise ChangeGone(f"Commit {proof.head_sha[:12]} is no longer there.")
        try:
            tip = proof.base_sha if not proof.pull_number else mirror.base_commit(proof.base_branch)
            base = mirror.merge_base(tip, proof.head_sha)
        except GitMissing as error:
            raise ChangeGone(str(error)) from None
        return FetchedChange(
            mirror=mirror,
            scope=scope_of(repository),
            base=base,
            head=proof.head_sha,
            trees=f"{mirror.tree_of(base)}..{mirror.tree_of(proof.head_sha)}",
            on_default=mirror.is_on_branch(repository.default_branch, base),
        )

    return await asyncio.to_thread(read)


async def prove_on_forge(
    services: Services,
    forge: Forge,
    config: EffectiveConfig,
    proof: Proof,
    change: FetchedChange,
    issue: Issue,
    *,
    may_write: bool = False,
) -> ChangeProof:
    """Prove a change whose commits are in the mirror.

    `may_write`: whether the settings' model, if there is one, may write a reproduction from the
    issue where the change brings no test. An environment that cannot be made is something that the
    proof lacks. Raises `ForgeError`, `GitError` and, where the engine or a sandbox is away,
    `SandboxError`.
    """
    patch = await asyncio.to_thread(change.mirror.diff, change.base, change.head)
    from_head = config.prove.head_setup
    request = environment_request(
        change.scope, config, issue.body, on_default=change.on_default and not from_head
    )
    try:
        async with commit_sandboxes(
            services,
            forge,
            config,
            change.mirror,
            change.base,
            request,
            work_id=proof.id,
            purpose="prove",
            setup_commit=change.head if from_head else "",
        ) as found:
            asked = await _change(services, config, change, patch, issue, found)
            # What the head's set-up made may hold the change, which the model must not see.
            may_write = may_write and not from_head
            writer = _writer(services, config, proof, asked) if may_write else None
            minutes = services.settings.proof_minutes
            proving = prove_change(asked, found.open, _say(proof), writer)
            proven = await within(minutes * 60, proving)
            if proven is None:
                return not_proven(change, f"The proof took more than {minutes:g} minutes.")
            return proven.model_copy(update={"settings": settings_of(config)})
    except (EngineUnavailable, SandboxGone):
        raise
    except SandboxError as error:
        return not_proven(change, str(error).splitlines()[0][:500])


def settings_of(config: EffectiveConfig) -> str:
    """A name for all settings that a proof follows."""
    followed = (
        *(config.test_command, config.setup, config.image, config.dockerfile, config.network),
        *(config.hosts, config.policy, config.tree),
        *(config.prove.head_setup, config.prove.strength),
    )
    return hashlib.sha256(repr(followed).encode()).hexdigest()[:16]


async def _change(
    services: Services,
    config: EffectiveConfig,
    change: FetchedChange,
    patch: str,
    issue: Issue,
    found: CommitSandboxes,
) -> Change:
    settings, prepared = services.settings, found.prepared
    tested = prepared if isinstance(prepared, TestedEnvironment) else None
    tried = tested.trial.command if tested is not None and tested.trial is not None else ""
    in_part = tested is not None and tested.speaks_in_part
    environment = await services.sandboxes.environment(found.tree)
    return Change(
        base=change.base,
        head=change.head,
        patch=patch,
        issue=issue,
        test_command=config.test_command or tried,
        policy=config.policy.model_copy(update={"strength_variants": config.prove.strength}),
        test_timeout_s=config.budget.test_timeout_s,
        degraded=prepared.degraded if prepared is not None and not in_part else "",
        kept_base=await kept_base(
            settings.state_dir / FOLDER, change.scope, found.tree, environment
        ),
        at_once=settings.gate_at_once(settings.worker_concurrency + settings.proof_concurrency),
    )


def _writer(
    services: Services, config: EffectiveConfig, proof: Proof, change: Change
) -> WriteReproduction | None:
    """What writes a reproduction from the issue; None without a model that could."""
    settings = services.settings
    if settings.profile == "offline":
        return None
    payer = Payer(proof.id, proof.repository_id, proof.installation_id, proof.repository)

    async def waiting(_reason: str, _seconds: float) -> None:
        """Nobody is told: the proof comes when the model does."""

    def model() -> Model:
        limit = settings.tokens_per_day
        if limit and controls.used_today(services.store.database) >= limit:
            # Others' proofs need the place until there are tokens again.
            raise ModelError(f"The installation has used today's {limit:,} tokens.")
        return services.model(payer, 0, waiting, looking=True)

    return writer_for(
        change,
        change.issue,
        config.budget,
        model,
        run_id=proof.id,
        repository=proof.repository,
    )


def _say(proof: Proof) -> Callable[[str], None]:
    return lambda line: _log.info("proof", proof=proof.id, now=line)


def not_proven(change: FetchedChange, why: str) -> ChangeProof:
    """The proof of a change that could not be run."""
    return ChangeProof(
        verdict="unproven", base=change.base, head=change.head, test_command="", missing=(why,)
    )


def to_report(proof: ChangeProof) -> str:
    """A proof as JSON in ASCII: names of files may hold what no database takes as text."""
    return json.dumps(proof.model_dump())


def from_report(report: str) -> ChangeProof:
    """The proof that `to_report` wrote."""
    return ChangeProof.model_validate(json.loads(report))
