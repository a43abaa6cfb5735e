"""The services that runs use, and how a step is executed once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from agent.model import Model
from agent.models.openai_compat import OnWaiting
from app.git.mirror import Mirror
from app.github.forge import Forge
from app.llm.metered import GovernedModel, ShutdownGate
from app.llm.warm_streams import WarmStreams
from app.repo_config.effective import EffectiveConfig, effective_config
from app.repo_config.schema import ORGANISATION_REPOSITORY, RepoConfig
from app.runs.failures import PATIENCE_S
from app.runs.results import StepJson
from app.sandboxes.base import Sandboxes
from app.sandboxes.environment import EnvironmentRequest, PreparedEnvironment, SetupRepairer
from app.settings.schema import Settings
from app.spending.account import Account, Payer
from app.storage import organisations
from app.storage.inbox import Inbox
from app.storage.store import SqlStore
from app.telemetry import metrics

DurableStep = Callable[[str, Callable[[], Awaitable[StepJson]]], Awaitable[StepJson]]
"""Executes a named step unless it was done before; returns its result."""


class MirrorOf(Protocol):
    """Where mirrors come from."""

    def __call__(self, url: str, repository_id: int = 0) -> Mirror:
        """The mirror of a repository by its address for git, and GitHub's id if that is known."""
        ...


def _unlimited(_run_id: str, _seed: int) -> None:
    """No room is minded."""


STATUS_INTERVAL_S = 15.0
"""Least time between two edits of the status comment."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that runs need."""

    settings: Settings
    store: SqlStore
    forge: Callable[[int, str, int], Forge]
    """From an installation, a repository's name as last known, and its id (0: not known)."""
    mirror: MirrorOf
    sandboxes: Sandboxes
    make_model: Callable[[str, int, OnWaiting, bool], Model]
    """From the run's id, the seed, and what to call while the model server is unavailable."""
    patience_s: tuple[float, ...] = PATIENCE_S
    status_interval_s: float = STATUS_INTERVAL_S
    read_config: Callable[[Forge], Awaitable[EffectiveConfig]] | None = None
    """Reads what a repository asks for, from its default branch; None: it is not asked."""

    prepare: (
        Callable[
            [str, Path, EnvironmentRequest, SetupRepairer | None],
            Awaitable[PreparedEnvironment | None],
        ]
        | None
    ) = None
    """Makes the environment of a run's tree; None: its sandboxes are as they are."""

    warm: Callable[[str, int], WarmStreams | None] = _unlimited
    """Room in the caches of an attempt's model servers, by the run's id and the seed: all attempts
    of this process that are served there share it. None: it limits nothing."""

    shutdown_gate: ShutdownGate = field(default_factory=ShutdownGate)
    """Pauses this process's runs before it ends."""

    ending: threading.Event = field(default_factory=threading.Event)
    """The engine is stopping: errors in a run from now on come from that, not from the run."""

    commit_trials: asyncio.Semaphore = field(init=False, repr=False)
    """Held while a commit is tried."""

    def model(self, payer: Payer, seed: int, waiting: OnWaiting, *, looking: bool = False) -> Model:
        """The model of an attempt, under the operators' hand.

        `looking`: of a conversation that fixes nothing, e.g. that writes a reproduction.
        """
        run_id = payer.run_id

        async def away(reason: str, seconds: float) -> None:
            metrics.model_away(run_id, seed + 1)
            await waiting(reason, seconds)

        return GovernedModel(
            self.make_model(run_id, seed, away, looking),
            self.store.database,
            run_id,
            self.settings.tokens_per_day,
            waiting,
            self.shutdown_gate,
            seed + 1,
            warm=self.warm(run_id, seed),
            account=self.account(payer),
        )

    def account(self, payer: Payer) -> Account:
        """The money of a run, a proof or a check."""
        return Account(self.store.database, self.settings, payer)

    async def config(self, forge: Forge) -> EffectiveConfig:
        """The configuration of runs of a repository, as it is now."""
        if self.read_config is not None:
            found = await self.read_config(forge)
        else:
            found = effective_config(self.settings, RepoConfig())
        database, account = self.store.database, organisations.account_of(forge.name)
        off = organisations.off_reason(database, forge.name)
        if off and found.enabled and self.read_config is not None:
            # The organisation's file was read just now and says no such thing (any more). Who looks
            # at it from time to time may have no repository left by which to read it.
            by = f"{account}/{ORGANISATION_REPOSITORY}"
            if organisations.turn_on(database, account, "file", by):
                off = organisations.off_reason(database, forge.name)
        return replace(found, enabled=False, off=off) if off else found

    def __post_init__(self) -> None:
        """One bound for all searches: several at once would each take all places."""
        bound = asyncio.Semaphore(self.settings.bisect_sandboxes)
        object.__setattr__(self, "commit_trials", bound)

    @property
    def inbox(self) -> Inbox:
        """What is asked, in the same database."""
        return Inbox(self.store.database)
