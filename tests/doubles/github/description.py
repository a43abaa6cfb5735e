"""Fetches GitHub's own API description and webhook schemas into a cache outside the repository.

Run ``python -m tests.doubles.github.description``. The three npm packages are pinned by version
and by the integrity that npm publishes for it; only the files that are used are kept.
"""

import base64
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path


class DescriptionMissing(Exception):
    """GitHub's description is not in the cache, or could not be fetched into it."""


@dataclass(frozen=True)
class Package:
    """One pinned npm package and what is kept of it (path inside the package -> name kept)."""

    name: str
    version: str
    sha512: str
    keep: tuple[tuple[str, str], ...]


PACKAGES = (
    Package(
        "@octokit/openapi",
        "23.0.2",
        "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
        (("package/generated/api.github.com.json", "openapi.json"),),
    ),
    Package(
        "@octokit/webhooks-schemas",
        "7.6.1",
        "qW0Bwtb76r4m2WzVhKDyfEeEnt1GEQoRjkCqmq2ZeB0nNVDJ+Z2LBDS9FDPyduuMXf/ZTWiCJp9PFFHgRfBe3A==",
        (("package/schema.json", "webhooks.json"),),
    ),
    Package(
        "@octokit/webhooks-examples",
        "7.6.1",
        "De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
        (
            ("package/api.github.com/index.json", "webhook-examples.json"),
            ("package/ghes-31/index.json", "webhook-examples-ghes-31.json"),
            ("package/ghes-35/index.json", "webhook-examples-ghes-35.json"),
        ),
    ),
)


def cache_folder() -> Path:
    """Where the description is kept: ``$PATCHWRIGHT_CACHE`` or ``~/.cache/patchwright``."""
    root = os.environ.get("PATCHWRIGHT_CACHE") or str(Path.home() / ".cache" / "patchwright")
    return Path(root) / "github-description"


def kept_file(name: str) -> Path:
    """The cached file of that name; raises DescriptionMissing with what to do when it is absent."""
    for package in PACKAGES:
        for _, kept in package.keep:
            if kept == name:
                path = cache_folder() / package.version / kept
                if path.is_file():
                    return path
                raise DescriptionMissing(
                    f"{path} is missing; run `python -m tests.doubles.github.description` once "
                    "where npm reaches its registry"
                )
    raise KeyError(name)


def is_cached() -> bool:
    """Whether validation is possible without fetching anything."""
    return all(_is_kept(package) for package in PACKAGES)


def fetch() -> list[Path]:
    """Fetch what is not cached yet; returns all kept files. Raises DescriptionMissing."""
    for package in PACKAGES:
        if not _is_kept(package):
            _fetch_package(package)
    return [kept_file(kept) for package in PACKAGES for _, kept in package.keep]


def _is_kept(package: Package) -> bool:
    folder = cache_folder() / package.version
    return all((folder / kept).is_file() for _, kept in package.keep)


def _fetch_package(package: Package) -> None:
    target = cache_folder() / package.version
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
        raise DescriptionMissing("npm is not installed; install Node.js with npm") from error
    except subprocess.TimeoutExpired as error:
        raise DescriptionMissing(f"`{' '.join(command)}` took longer than 900 s") from error
    tarballs = list(work.glob("*.tgz"))
    if done.returncode != 0 or len(tarballs) != 1:
        raise DescriptionMissing(
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
        raise DescriptionMissing(
            f"{package.name}@{package.version} is not the pinned one: sha512-{found}"
        )


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
    raise DescriptionMissing(f"{package.name}@{package.version} lacks {', '.join(wanted)}")


def main() -> int:
    """Fetch and print what is kept; exit status 1 with one sentence when that fails."""
    try:
        files = fetch()
    except DescriptionMissing as error:
        print(f"GitHub's description could not be fetched: {error}", file=sys.stderr)
        return 1
    for path in files:
        print(f"{path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
