"""`patchwright images list` and `prune`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.setup.prepared_images import list_images, prune

_MB = 1024**2


async def print_images(settings: Settings, console: Console) -> None:
    """Print this installation's prepared images with their sizes and last uses."""
    engine = DockerEngine(settings.docker_url)
    try:
        images = await list_images(engine, settings.installation)
    finally:
        await engine.close()
    table = Table("image", "repository", "made from", "MiB", "last used", box=None)
    for image in images:
        table.add_row(
            image.tag,
            image.scope or "(any)",
            image.source,
            f"{image.size_bytes / _MB:,.0f}",
            f"{image.last_used:%Y-%m-%d %H:%M} UTC",
        )
    console.print(table)
    total = sum(image.size_bytes for image in images) / _MB
    console.print(f"{len(images)} images, {total:,.0f} of {settings.images_mb:,} MiB")


async def prune_images(settings: Settings, console: Console, *, everything: bool) -> None:
    """Remove what is beyond the settings' size and age, or everything unused."""
    engine = DockerEngine(settings.docker_url)
    most = 0 if everything else settings.images_mb * _MB
    try:
        removed = await prune(
            engine, settings.installation, most_bytes=most, most_days=settings.images_days
        )
    finally:
        await engine.close()
    freed = sum(image.size_bytes for image in removed) / _MB
    console.print(f"{len(removed)} images removed, {freed:,.0f} MiB freed")
