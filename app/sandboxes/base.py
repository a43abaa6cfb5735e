"""What the settings say of a sandbox, in the engine's terms."""

from __future__ import annotations

from app.settings.schema import Settings
from sandbox.docker.options import SandboxSpec


def spec_of(
    settings: Settings, image: str, run_id: str, purpose: str, installation: str = ""
) -> SandboxSpec:
    """A sandbox of this run from this image; `installation` where it is not the settings' own."""
    return SandboxSpec(
        image=image,
        limits=settings.limits,
        run_id=run_id,
        purpose=purpose,
        runtime=settings.sandbox_runtime,
        installation=installation or settings.installation,
    )
