"""What is known of base images' toolchains, kept in the state folder: an image does not change."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.storage.atomic_file import write_atomically
from sandbox.environment.versions.records import NAMES, Tool, Version

FOLDER = "toolchains"
"""Of the state folder."""


class ToolchainNotes:
    """The versions in images, asked once for each image's content."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where they are kept; made when there is something to keep."""
        self._folder = folder

    async def versions(
        self, content: str, ask: Callable[[], Awaitable[dict[Tool, Version]]]
    ) -> dict[Tool, Version]:
        """What an image has, known by its content's id, else by asking it. Errors as `ask`."""
        path = self._folder / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.json"
        known = await asyncio.to_thread(_read, path)
        if known is None:
            known = await ask()
            await asyncio.to_thread(_write, path, known)
        return known


def _read(path: Path) -> dict[Tool, Version] | None:
    try:
        kept = json.loads(path.read_text("utf-8"))
        return {tool: tuple(map(int, kept[tool])) for tool in NAMES if tool in kept}
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, versions: dict[Tool, Version]) -> None:
    if versions:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, json.dumps(versions))
