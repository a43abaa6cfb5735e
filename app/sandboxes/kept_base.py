"""Where the gate keeps what a base's own tests gave, and by what it tells one base from another."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from agent.task import KeptBase

FOLDER = "base-results"
"""Of the state folder."""


async def kept_base(folder: Path, repository: str, tree: Path, environment: str) -> KeptBase | None:
    """The place for the results of a tree (a tar file) in an environment.

    `environment`: the id of the image's content; empty where a model had a hand in it, or where it
    is not known: then nothing is kept.
    """
    if not environment:
        return None
    with tree.open("rb") as file:
        content = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
    return KeptBase(
        folder=str(folder),
        repository=repository,
        commit=content.hexdigest(),
        environment=environment,
    )
