"""The environment of a repository: from the settings and its tree to a prepared image."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Protocol

from app.repo_config.effective import EffectiveConfig
from app.sandboxes.competition import Competitor, Result, compete, speaks_in_part, why_degraded
from app.sandboxes.setup_repair import (
    RepairContext,
    SetupRepairer,
    environment_of,
    repair_setup,
    save_recipe,
    saved_recipe,
)
from app.sandboxes.trial import FOLDER as TRIALS
from app.sandboxes.trial import KeptTrials, Trial, try_suite
from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings
from app.telemetry import logs
from sandbox.egress.rules import EgressRules, networks_of, parse_credentials
from sandbox.environment.choose import EnvironmentSettings, candidates, read_for_choice
from sandbox.environment.dockerfile import NotUsable
from sandbox.environment.own_process import in_own_process
from sandbox.environment.records import Environment
from sandbox.environment.tree import tree_hash
from sandbox.environment.versions.available import NOT_KNOWN, Offers
from sandbox.environment.versions.stated import is_workflow
from sandbox.errors import SandboxError
from sandbox.protocol import Sandbox
from sandbox.setup.container import SetupSpec
from sandbox.setup.prepare import PreparedImages, prepare
from sandbox.setup.records import PreparedEnvironment, SetupPolicy, proposal
from sandbox.setup.registries import hosts_of, machine_hosts
from sandbox.spec import SandboxSpec

__all__ = [
    "EnvironmentRequest",
    "PreparedEnvironment",
    "SetupRepairer",
    "TestedEnvironment",
    "environment_request",
    "image_for",
    "proposal",
    "setup_policy",
]

NEW_DAYS = 7
"""Dependencies of a commit younger than this are those of today."""

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class EnvironmentRequest:
    """What a repository wants of its sandboxes, and what the run is about."""

    repository: str
    settings: EnvironmentSettings = EnvironmentSettings()  # noqa: RUF009 - frozen
    network: bool = True
    hosts: tuple[str, ...] = ()
    """Hosts that set-up may reach besides the operator's."""
    about: str = ""
    """The issue's text: of several projects, those whose files it names are set up."""
    on_default: bool = True
    """Whether the tree is a commit of the repository's default branch. What is made of other
    commits, which fewer people had to agree to, is never used for that branch, nor is what is made
    of that branch used for them."""

    test_command: str = ""
    """Runs the suite; empty: found out."""
    test_timeout_s: float = 600.0
    setup_tree: Path | None = None
    """The tree whose files say what the environment is, where it is another than the sandboxes'."""
    always_try: bool = False
    """Whether the suite is run in an environment of the repository's own settings as well."""

    @property
    def scope(self) -> str:
        """Whose set-ups may share what they leave."""
        return self.repository if self.on_default else f"{self.repository} (other branches)"


def environment_request(
    repository: str, config: EffectiveConfig, about: str = "", *, on_default: bool = True
) -> EnvironmentRequest:
    """What a run's configuration says about its environment."""
    settings = EnvironmentSettings(config.image, config.dockerfile, config.setup)
    return EnvironmentRequest(
        repository,
        settings,
        config.network,
        config.hosts,
        about,
        on_default,
        test_command=config.test_command,
        test_timeout_s=config.budget.test_timeout_s,
    )


class EnvironmentEngine(Protocol):
    """Where environments are made and tried: Docker's engine, or a cluster."""

    base_image: str

    async def offers(self, request: EnvironmentRequest) -> Offers:
        """Which toolchains a set-up can have there. Raises `SandboxError`."""
        ...

    def images(self, spec: SetupSpec, policy: SetupPolicy) -> PreparedImages:
        """The images that set-ups make there."""
        ...

    async def open(self, spec: SandboxSpec, tree: Path) -> Sandbox:
        """A fresh sandbox with the tree in it. Raises `SandboxError`."""
        ...

    async def content_id(self, image: str) -> str:
        """What tells an image from all others, by its content; empty: that is not known."""
        ...

    async def tidy(self) -> None:
        """Remove images that are old or too many. Raises `SandboxError`."""
        ...


async def image_for(
    engine: EnvironmentEngine,
    settings: Settings,
    tree: Path,
    request: EnvironmentRequest,
    *,
    run_id: str,
    installation: str,
    progress: Callable[[str], None] = lambda _: None,
    repairer: SetupRepairer | None = None,
) -> TestedEnvironment | None:
    """The image that the tree's sandboxes start from; None: the plain one, nothing being to do.

    Makes it if it is not there, and then removes images that are old or too many. Of what was found
    out, that is taken in which the suite runs best (`app.sandboxes.competition`). Where nothing of
    it can be made, `repairer` may find what does. Raises
    `SetupFailed` when what the repository's settings ask for does not work, other `SandboxError`s
    when the engine does not.
    """
    if not settings.setup:
        return None
    begun = time.monotonic()
    reading = await in_own_process(read_for_choice, tree, request.settings, request.about)
    read = reading.tree
    offers = await engine.offers(request) if reading.stated else NOT_KNOWN
    try:
        found = await in_own_process(
            candidates,
            read.files,
            read.texts,
            request.settings,
            reading.near,
            offers,
            _day_of(read.committed),
            errors=(NotUsable,),
        )
    except NotUsable as error:
        raise SandboxError(f"The environment cannot be prepared: {error}.") from None
    nothing_to_do = found[0].is_bare and not found[0].lacks
    if nothing_to_do and not request.always_try and not reading.may_miss_plugins:
        return None
    spec = SetupSpec(
        image=engine.base_image,
        limits=settings.limits,
        run_id=run_id,
        installation=installation,
        runtime=settings.sandbox_runtime,
        owner=settings.installation,
    )
    policy = setup_policy(settings, request)
    images = engine.images(spec, policy)

    async def make(*environments: Environment) -> PreparedEnvironment:
        return await prepare(
            images,
            tree,
            tree_id,
            environments,
            base=spec.image,
            scope=request.scope,
            owner=spec.owner,
            waits_s=policy.network_waits_s,
            progress=progress,
        )

    async def open_in(image: str) -> Sandbox:
        box = SandboxSpec(
            image, settings.limits, run_id, "set-up", settings.sandbox_runtime, installation
        )
        return await engine.open(box, tree)

    tree_id = await asyncio.to_thread(tree_hash, tree)
    kept = KeptTrials(settings.state_dir / TRIALS, tree_id, request.scope)
    in_suites: list[float] = []

    async def run_suite(prepared: PreparedEnvironment) -> Trial | None:
        if prepared.environment.explicit and not request.always_try:
            return None
        image = await engine.content_id(prepared.image)
        trial = None
        if image:
            trial = await asyncio.to_thread(kept.load, image, request.test_command)
        if trial is None:
            progress("Running the tests once in this environment …")
            opened = partial(open_in, prepared.image)
            started = time.monotonic()
            trial = await try_suite(opened, request.test_command, request.test_timeout_s)
            in_suites.append(time.monotonic() - started)
            if trial is not None and image:
                await asyncio.to_thread(kept.keep, image, request.test_command, trial)
        return trial

    repair_context = RepairContext(read.files, read.texts, make, open_in)
    manifests = {name: text for name, text in read.texts.items() if not is_workflow(name)}
    known = saved_recipe(settings.state_dir, request.scope, manifests)
    if known and not request.settings.any:
        found = (replace(environment_of(repair_context, known), explicit=False), *found)
    result = await compete(
        found,
        make,
        run_suite,
        manifests,
        deadline=begun + settings.setup_minutes * 60,
        progress=progress,
    )
    prepared = replace(
        result.best.prepared, failed=result.failed, duration_s=time.monotonic() - begun
    )
    tested = replace(_tested(prepared, result), trials_s=sum(in_suites))
    if repairer is not None and prepared.failed and prepared.environment.is_bare:
        progress("The model is looking for a working set-up …")
        better = await repair_setup(repairer, repair_context, prepared.failed)
        if better is not None:
            save_recipe(settings.state_dir, request.scope, manifests, better.environment)
            tested = _tested(better, replace(result, best=Competitor(better, None)))
    _log.info(
        "environment degraded" if tested.degraded else "environment ready",
        run=run_id,
        source=tested.environment.source,
        cached=tested.cached,
        seconds=round(tested.duration_s, 1),
        failed_before=len(tested.failed),
        **({"why": tested.degraded} if tested.degraded else {}),
    )
    if not tested.cached:
        await engine.tidy()
    return tested


@dataclass(frozen=True, slots=True)
class TestedEnvironment(PreparedEnvironment):
    """A prepared environment, and what the suite did in it."""

    __test__ = False

    trial: Trial | None = None
    """None: the suite was not run."""
    trials_s: float = 0.0
    """Seconds of `duration_s` in which the suite ran, in this environment and in others."""
    others: tuple[str, ...] = ()
    """Environments that were made and are worse, a line each."""
    speaks_in_part: bool = False
    """Whether its tests, though degraded, speak for what they reach."""


def _tested(prepared: PreparedEnvironment, result: Result) -> TestedEnvironment:
    result = replace(result, best=replace(result.best, prepared=prepared))
    return TestedEnvironment(
        image=prepared.image,
        environment=prepared.environment,
        cached=prepared.cached,
        duration_s=prepared.duration_s,
        failed=prepared.failed,
        degraded=why_degraded(result),
        trial=result.best.trial,
        others=result.others,
        speaks_in_part=speaks_in_part(result),
    )


def _day_of(committed: int, now: float | None = None) -> str:
    """The day after a commit, for dependencies of its time; empty: it is new, or not known."""
    age_days = ((now or time.time()) - committed) / 86400
    if not committed or age_days < NEW_DAYS:
        return ""
    day = datetime.fromtimestamp(committed, UTC) + timedelta(days=1)
    return f"{day:%Y-%m-%d}"


def setup_policy(settings: Settings, request: EnvironmentRequest) -> SetupPolicy:
    """What this set-up may do. Raises `SettingsError` when the credentials are not readable."""
    rules = EgressRules(
        hosts=(
            *(settings.setup_hosts or _own_hosts()),
            *hosts_of([settings.setup_python_mirror]),
            *request.hosts,
        ),
        networks=networks_of(settings.setup_networks),
        authorization=_credentials(settings.setup_credentials_file),
        upload_hosts=settings.setup_upload_hosts,
    )
    return SetupPolicy(
        rules=rules,
        network=settings.setup_network and request.network,
        ca_file=settings.setup_ca_file,
        timeout_s=settings.setup_minutes * 60,
        disk_bytes=settings.setup_disk_mb * 1024**2,
        files=settings.setup_files,
        image_registries=settings.setup_image_registries,
        held_images=settings.setup_images,
    )


@cache
def _own_hosts() -> tuple[str, ...]:
    return machine_hosts()


def _credentials(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        return parse_credentials(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
    except ValueError as error:
        why = str(error)
    raise SettingsError(f"{PREFIX}SETUP_CREDENTIALS_FILE: {path} cannot be read: {why}.")
