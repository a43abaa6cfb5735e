"""The environment of a repository: from the settings and its tree to a prepared image."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from app.repo_config.effective import EffectiveConfig
from app.sandboxes.setup_repair import (
    RepairContext,
    SetupRepairer,
    environment_of,
    repair_setup,
    save_recipe,
    saved_recipe,
)
from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings
from app.telemetry import logs
from sandbox.docker.engine import DockerEngine, SandboxSpec
from sandbox.egress.rules import EgressRules, networks_of, parse_credentials
from sandbox.environment.choose import (
    BARE,
    EnvironmentSettings,
    candidates,
    files_to_read,
    mentioned_files,
)
from sandbox.environment.dockerfile import NotUsable
from sandbox.environment.records import Environment
from sandbox.environment.tree import read_tree, tree_hash
from sandbox.errors import SandboxError
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Sandbox
from sandbox.setup.container import SetupSpec
from sandbox.setup.prepare import prepare
from sandbox.setup.prepared_images import prune
from sandbox.setup.records import PreparedEnvironment, SetupPolicy, proposal
from sandbox.setup.registries import machine_hosts

__all__ = [
    "EnvironmentRequest",
    "PreparedEnvironment",
    "SetupRepairer",
    "environment_request",
    "image_for",
    "proposal",
    "setup_policy",
]

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

    @property
    def scope(self) -> str:
        """Whose set-ups may share what they leave."""
        return self.repository if self.on_default else f"{self.repository} (other branches)"


def environment_request(
    repository: str, config: EffectiveConfig, about: str = "", *, on_default: bool = True
) -> EnvironmentRequest:
    """What a run's configuration says about its environment."""
    settings = EnvironmentSettings(config.image, config.dockerfile, config.setup)
    return EnvironmentRequest(repository, settings, config.network, config.hosts, about, on_default)


async def image_for(
    engine: DockerEngine,
    settings: Settings,
    tree: Path,
    request: EnvironmentRequest,
    *,
    run_id: str,
    installation: str,
    progress: Callable[[str], None] = lambda _: None,
    repairer: SetupRepairer | None = None,
) -> PreparedEnvironment | None:
    """The image that the tree's sandboxes start from; None: the plain one, nothing being to do.

    Makes it if it is not there, and then removes images that are old or too many. Where nothing of
    what was found out works, `repairer` may find what does. Raises
    `SetupFailed` when what the repository's settings ask for does not work, other `SandboxError`s
    when the engine does not.
    """
    if not settings.setup:
        return None
    read = await asyncio.to_thread(
        read_tree, tree, partial(files_to_read, settings=request.settings)
    )
    near = await asyncio.to_thread(mentioned_files, request.about, read.files)
    try:
        found = candidates(read.files, read.texts, request.settings, near)
    except NotUsable as error:
        raise SandboxError(f"The environment cannot be prepared: {error}.") from None
    if found[0].is_bare:
        return None
    base = settings.sandbox_image or BASE_IMAGE
    spec = SetupSpec(
        image=base,
        limits=settings.limits,
        run_id=run_id,
        installation=installation,
        runtime=settings.sandbox_runtime,
        owner=settings.installation,
    )
    policy = setup_policy(settings, request)

    async def make(*environments: Environment) -> PreparedEnvironment:
        return await prepare(
            engine,
            tree,
            tree_id,
            environments,
            spec,
            policy,
            scope=request.scope,
            progress=progress,
        )

    async def open_in(image: str) -> Sandbox:
        box = SandboxSpec(
            image, settings.limits, run_id, "set-up", settings.sandbox_runtime, installation
        )
        return await engine.open(box, tree)

    tree_id = await asyncio.to_thread(tree_hash, tree)
    repair_context = RepairContext(read.files, read.texts, make, open_in)
    known = saved_recipe(settings.state_dir, request.scope, read.texts)
    if known and not request.settings.any:
        found = (replace(environment_of(repair_context, known), explicit=False), *found)
    prepared = await make(*found)
    if repairer is not None and prepared.failed and prepared.environment.is_bare:
        progress("The model is looking for a working set-up …")
        better = await repair_setup(repairer, repair_context, prepared.failed)
        if better is not None:
            save_recipe(settings.state_dir, request.scope, read.texts, better.environment)
            prepared = better
    _log.info(
        "environment ready",
        run=run_id,
        source=prepared.environment.source,
        cached=prepared.cached,
        seconds=round(prepared.duration_s, 1),
        failed_before=len(prepared.failed),
    )
    if not prepared.cached:
        await prune(
            engine,
            settings.installation,
            most_bytes=settings.images_mb * 1024**2,
            most_days=settings.images_days,
        )
    return prepared


def setup_policy(settings: Settings, request: EnvironmentRequest) -> SetupPolicy:
    """What this set-up may do. Raises `SettingsError` when the credentials are not readable."""
    rules = EgressRules(
        hosts=(*(settings.setup_hosts or _own_hosts()), *request.hosts),
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


def why_degraded(source: str, failed: Sequence[str]) -> str:
    """Why an environment is less than the repository asks for, in a sentence; empty: it is not.

    So it is where every set-up that its files mention failed and the bare image had to do.
    """
    if source != BARE or not failed:
        return ""
    first = failed[0].splitlines()[0] if failed[0] else "its set-up failed"
    return f"{first.rstrip(':.')[:300]}."
