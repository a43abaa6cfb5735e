"""The base image's recipe as files in `deploy/images/base/`, and the hash that names it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError

RECIPE_LABEL = "patchwright.recipe"
RECIPE_FOLDER = Path(__file__).resolve().parent.parent.parent / "deploy" / "images" / "base"
_FILES = ("Dockerfile", "finish.sh", "packages.txt", "packages-python.txt")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the base image is made from."""

    folder: Path
    hash: str
    packages: tuple[str, ...]
    """Packages of the distribution that both ways of building install."""
    python_packages: tuple[str, ...]
    """Packages that the image without a registry needs besides, for Python."""


def read_recipe(folder: Path = RECIPE_FOLDER) -> Recipe:
    """Read the recipe. Raises `SandboxError` when its files are not there."""
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise SandboxError(
            f"The image recipe is incomplete: {', '.join(missing)} not found in {folder}. "
            "Run from a checkout of Patchwright."
        )
    digest = hashlib.sha256()
    for name in _FILES:
        digest.update(name.encode() + b"\0" + (folder / name).read_bytes() + b"\0")
    return Recipe(
        folder=folder,
        hash=digest.hexdigest()[:16],
        packages=_lines(folder / "packages.txt"),
        python_packages=_lines(folder / "packages-python.txt"),
    )


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in path.read_text().splitlines() if line.strip())
