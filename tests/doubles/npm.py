"""npm packages that tests read, fetched into a cache outside the repository.

Each is pinned by version and by the integrity that npm publishes for it; nothing of it is run by
Node.js, and only the files that are used are kept.
"""

import base64
import hashlib
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path


class NotFetched(Exception):
    """A package could not be fetched; the message says why."""


@dataclass(frozen=True)
class Package:
    """One pinned npm package and what is kept of it (path inside the package -> name kept)."""

    name: str
    version: str
    sha512: str
    keep: tuple[tuple[str, str], ...]


def cache_root() -> Path:
    """``$PATCHWRIGHT_CACHE`` or ``~/.cache/patchwright``."""
    return Path(os.environ.get("PATCHWRIGHT_CACHE") or Path.home() / ".cache" / "patchwright")


def is_kept(package: Package, folder: Path) -> bool:
    """Whether all that is kept of it lies under the folder."""
    return all((folder / package.version / kept).is_file() for _, kept in package.keep)


def fetch(package: Package, folder: Path) -> None:
    """Fetch it unless it lies under the folder already. Raises NotFetched."""
    if is_kept(package, folder):
        return
    target = folder / package.version
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as work:
        tarball = _npm_pack(package, Path(work))
        _check_integrity(package, tarball)
        _extract(package, tarball, target)


def _npm_pack(package: Package, work: Path) -> Path:
    command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=900)
    except FileNotFoundError as error:
        raise NotFetched("npm is not installed; install Node.js with npm") from error
    except subprocess.TimeoutExpired as error:
        raise NotFetched(f"`{' '.join(command)}` took longer than 900 s") from error
    tarballs = list(work.glob("*.tgz"))
    if done.returncode != 0 or len(tarballs) != 1:
        raise NotFetched(
            f"`{' '.join(command)}` failed (is npm's registry reachable?): {done.stderr.strip()}"
        )
    return tarballs[0]


def _check_integrity(package: Package, tarball: Path) -> None:
    digest = hashlib.sha512()
    with tarball.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    found = base64.b64encode(digest.digest()).decode()
    if found != package.sha512:
        raise NotFetched(f"{package.name}@{package.version} is not the pinned one: sha512-{found}")


def _extract(package: Package, tarball: Path, target: Path) -> None:
    """Reads the tarball once as a stream: the largest one unpacks to nearly 400 MB."""
    wanted = dict(package.keep)
    with tarfile.open(tarball, "r|gz") as archive:
        for member in archive:
            kept = wanted.pop(member.name, None)
            source = archive.extractfile(member) if kept else None
            if kept and source:
                partial = target / f"{kept}.partial"
                partial.write_bytes(source.read())
                partial.replace(target / kept)
            if not wanted:
                return
    raise NotFetched(f"{package.name}@{package.version} lacks {', '.join(wanted)}")
