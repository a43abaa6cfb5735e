"""Fetches GitHub's own API descriptions and webhook schemas into a cache outside the repository.

Run ``python -m tests.doubles.github.description.fetch``. The four npm packages are pinned by
version and by the integrity that npm publishes for it; only the files that are used are kept.
"""

import sys
from pathlib import Path

from tests.doubles import npm
from tests.doubles.npm import Package


class DescriptionMissing(Exception):
    """GitHub's description is not in the cache, or could not be fetched into it."""


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
    Package(
        "@octokit/graphql-schema",
        "15.26.1",
        "RFDC2MpRBd4AxSRvUeBIVeBU7ojN/SxDfALUd7iVYOSeEK3gZaqR2MGOysj4Zh2xj2RY5fQAUT+Oqq7hWTraMA==",
        (("package/schema.graphql", "schema.graphql"),),
    ),
)


def cache_folder() -> Path:
    """Where the description is kept: ``$PATCHWRIGHT_CACHE`` or ``~/.cache/patchwright``."""
    return npm.cache_root() / "github-description"


def kept_file(name: str) -> Path:
    """The cached file of that name; raises DescriptionMissing with what to do when it is absent."""
    for package in PACKAGES:
        for _, kept in package.keep:
            if kept == name:
                path = cache_folder() / package.version / kept
                if path.is_file():
                    return path
                raise DescriptionMissing(
                    f"{path} is missing; run `python -m tests.doubles.github.description.fetch` "
                    "once where npm reaches its registry"
                )
    raise KeyError(name)


def is_cached() -> bool:
    """Whether validation is possible without fetching anything."""
    return all(npm.is_kept(package, cache_folder()) for package in PACKAGES)


def fetch() -> list[Path]:
    """Fetch what is not cached yet; returns all kept files. Raises DescriptionMissing."""
    for package in PACKAGES:
        try:
            npm.fetch(package, cache_folder())
        except npm.NotFetched as error:
            raise DescriptionMissing(str(error)) from error
    return [kept_file(kept) for package in PACKAGES for _, kept in package.keep]


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
