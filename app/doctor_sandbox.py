"""`patchwright doctor --sandbox`: the attack list against the configured engine."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

from rich.console import Console

from app.sandboxes.kubernetes import cluster_image, kubernetes_engine
from app.settings.schema import Settings
from sandbox.attacks.catalogue import ATTACKS
from sandbox.attacks.target import outcome
from sandbox.docker.engine import DockerEngine
from sandbox.docker.options import SandboxSpec
from sandbox.errors import ImageMissing
from sandbox.images.base_image import BASE_IMAGE
from sandbox.kubernetes.engine import KubernetesEngine
from sandbox.protocol import Limits, Sandbox


async def print_attacks(settings: Settings, out: Console) -> bool:
    """One line an attack: its name and the outcome. True when all were contained."""
    held = True
    async for name, what in attacked(settings):
        text = f"NOT CONTAINED: {what}" if what else "contained"
        out.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True)
        held = held and not what
    return held


async def attacked(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """Each attack's name, and what happened: empty when it was contained.

    Raises `EngineUnavailable`, `ImageMissing` or `SettingsError` before the first attack.
    """
    engine: DockerEngine | KubernetesEngine
    if settings.sandbox_engine == "kubernetes":
        engine, image = kubernetes_engine(settings), cluster_image(settings)
    else:
        engine, image = DockerEngine(settings.docker_url), settings.sandbox_image or BASE_IMAGE
    run_id = f"doctor-{secrets.token_hex(4)}"

    async def open_tree(tree: Path, limits: Limits) -> Sandbox:
        spec = SandboxSpec(
            image=image,
            limits=limits,
            run_id=run_id,
            purpose="attack",
            runtime=settings.sandbox_runtime,
            installation=settings.installation,
        )
        return await engine.open(spec, tree)

    try:
        await engine.check()
        if isinstance(engine, DockerEngine) and not await engine.has_image(image):
            raise ImageMissing(f"{image} is missing: run `patchwright images build`")
        for attack in ATTACKS:
            yield attack.name, await outcome(attack, open_tree)
    finally:
        await engine.close()
