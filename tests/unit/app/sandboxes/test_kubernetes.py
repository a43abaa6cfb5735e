"""Which images a cluster's nodes are trusted with."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from app.sandboxes.environment import EnvironmentRequest
from app.sandboxes.kubernetes import KubernetesSandboxes
from app.settings.schema import Settings
from sandbox.environment.choose import EnvironmentSettings
from sandbox.kubernetes.engine import KubernetesEngine
from sandbox.spec import SandboxSpec


async def test_only_images_that_the_operator_lists_are_taken_from_a_node() -> None:
    opened: list[SandboxSpec] = []

    class Engine:
        async def open(self, spec: SandboxSpec, _tree: Path, _history: Path | None) -> None:
            opened.append(spec)

    settings = Settings(sandbox_image="reg.test/base:1", setup_images="reg.test/listed:1")
    sandboxes = KubernetesSandboxes(settings, cast(KubernetesEngine, Engine()))
    for image in ("", "reg.test/listed:1", "docker.io/library/python:3.12"):
        request = EnvironmentRequest("o/r", EnvironmentSettings(image=image))
        await sandboxes.prepare("r", Path(__file__), request)
        await sandboxes.open("r", "attempt", Path(__file__))
    assert [spec.asks_registry for spec in opened] == [False, False, True]
