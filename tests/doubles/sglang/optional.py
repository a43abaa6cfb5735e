"""Packages that a few tests need and the project does not: kept in environments of their own."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path


class Unavailable(Exception):
    """The packages cannot be had here; the message says why."""


def cache() -> Path:
    """Where such environments are kept between runs."""
    given = os.environ.get("PATCHWRIGHT_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "patchwright"


def environment(name: str, packages: Sequence[str]) -> Path:
    """The Python of an environment that holds the packages, made on the first call.

    Raises `Unavailable`.
    """
    home = cache() / name
    python, ready = home / "bin" / "python", home / ".ready"
    wanted = "\n".join(packages)
    if ready.exists() and ready.read_text() == wanted:
        return python
    try:
        venv.create(home, with_pip=True, clear=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"no environment can be made in {home}: {error}") from error
    _pip(python, "install", "--quiet", *packages)
    ready.write_text(wanted)
    return python


def unpacked(name: str, package: str, python: Path) -> Path:
    """The files of a package, without what it depends on. Raises `Unavailable`."""
    home = cache() / name
    if not (home / ".ready").exists():
        _pip(
            python, "install", "--quiet", "--no-deps", "--no-compile", "--upgrade",
            "--target", str(home), package,
        )  # fmt: skip
        (home / ".ready").touch()
    return home


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"pip does not run: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise Unavailable(f"pip failed: {lines[-1] if lines else 'no message'}")
