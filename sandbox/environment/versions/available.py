"""Which versions of toolchains can be had: in an image, from a distribution, from a registry.

The tables are reviewed by hand. Sources: packages.debian.org and packages.ubuntu.com (what a
release's packages bring), the tags of Docker's official images and of Microsoft's .NET images,
Node's release schedule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sandbox.environment.versions.ranges import allows
from sandbox.environment.versions.records import NAMES, StatedVersion, Tool, Version, text_of

Versions = Mapping[Tool, Version]

DISTRIBUTIONS: Mapping[str, Versions] = {
    "bullseye": {
        "node": (12, 22),
        "go": (1, 15),
        "rust": (1, 48),
        "java": (11,),
        "ruby": (2, 7),
        "php": (7, 4),
    },
    "bookworm": {
        "node": (18, 20),
        "go": (1, 19),
        "rust": (1, 63),
        "java": (17,),
        "ruby": (3, 1),
        "php": (8, 2),
    },
    "trixie": {
        "node": (20, 19),
        "go": (1, 24),
        "rust": (1, 85),
        "java": (21,),
        "ruby": (3, 3),
        "php": (8, 4),
    },
    "jammy": {
        "node": (12, 22),
        "go": (1, 18),
        "rust": (1, 75),
        "java": (11,),
        "ruby": (3, 0),
        "php": (8, 1),
    },
    "noble": {
        "node": (18, 19),
        "go": (1, 22),
        "rust": (1, 75),
        "java": (21,),
        "ruby": (3, 2),
        "php": (8, 3),
    },
}
"""What set-up installs from a release's packages, by the release's code name."""

PYTHONS: tuple[Version, ...] = tuple((3, minor) for minor in range(14, 7, -1))
NODES: tuple[Version, ...] = ((24,), (22,), (20,), (18,), (16,))
_OFFICIAL: Mapping[Tool, tuple[str, tuple[Version, ...]]] = {
    "python": ("python:{}-slim", PYTHONS),
    "node": ("node:{}-slim", NODES),
    "go": ("golang:{}", tuple((1, minor) for minor in range(25, 17, -1))),
    "rust": ("rust:{}", tuple((1, minor) for minor in range(90, 59, -1))),
    "java": ("eclipse-temurin:{}-jdk", ((25,), (21,), (17,), (11,), (8,))),
    "ruby": ("ruby:{}", ((3, 4), (3, 3), (3, 2), (3, 1), (3, 0), (2, 7))),
    "php": ("php:{}-cli", ((8, 4), (8, 3), (8, 2), (8, 1), (8, 0), (7, 4))),
    "dotnet": ("mcr.microsoft.com/dotnet/sdk:{}.0", ((10,), (9,), (8,), (6,))),
}


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image that set-ups may start from, and what is in it."""

    name: str
    versions: Versions


@dataclass(frozen=True, slots=True)
class Offers:
    """What can be had for a set-up."""

    base: BaseImage | None = None
    """The usual base image; None: what is in it is not known, and nothing is compared."""
    others: tuple[BaseImage, ...] = ()
    """Other base images that the engine holds."""
    registry: bool = False
    """Whether official images may be asked for."""
    python_mirror: str = ""
    """Where uv finds Python builds; empty: nowhere."""
    npm: bool = True
    """Whether the npm registry may be asked, which has Node itself as a package."""


NOT_KNOWN = Offers()


def unmet(stated: Iterable[StatedVersion], versions: Versions) -> tuple[StatedVersion, ...]:
    """The binding statements that an image with these versions does not meet.

    Of a tool that is not known to be there nothing is said.
    """
    return tuple(
        one
        for one in stated
        if one.binding and one.tool in versions and not allows(one.wanted, versions[one.tool])
    )


def other_than_used(
    stated: Iterable[StatedVersion], versions: Versions
) -> tuple[StatedVersion, ...]:
    """The statements of what developers or CI use that an image does not meet."""
    return tuple(
        one
        for one in stated
        if not one.binding and one.tool in versions and not allows(one.wanted, versions[one.tool])
    )


def best(tool: Tool, stated: Sequence[StatedVersion], offered: Iterable[Version]) -> Version | None:
    """The highest offered version that meets everything stated; failing that, all that binds."""
    about = [one for one in stated if one.tool == tool]
    binding = [one for one in about if one.binding]
    usable = sorted((v for v in offered if _meets(binding, v)), reverse=True)
    return next((v for v in usable if _meets(about, v)), usable[0] if usable else None)


def official_image(tool: Tool, stated: Sequence[StatedVersion]) -> str:
    """The official image with the best version of a tool; empty: there is none."""
    if tool not in _OFFICIAL:
        return ""
    name, versions = _OFFICIAL[tool]
    found = best(tool, stated, versions)
    return name.format(text_of(found)) if found else ""


def shortfall(lacking: Sequence[StatedVersion], versions: Versions) -> str:
    """What an image lacks, in a sentence with what an operator can do about it; empty: nothing."""
    if not lacking:
        return ""
    said = ", ".join(
        f"{NAMES[one.tool]} {one.wanted} ({one.file}), and the sandbox has "
        f"{text_of(versions[one.tool][:2])}"
        for one in lacking[:3]
    )
    return f"The project needs {said}. {_remedy(lacking)}"


def _remedy(lacking: Sequence[StatedVersion]) -> str:
    tool = lacking[0].tool
    image = official_image(tool, lacking) or "an image that has it"
    ways = [f"`image: {image}` in .github/patchwright.yml where a registry can be reached"]
    if tool == "python":
        version = best(tool, lacking, PYTHONS)
        build = f"`patchwright images build --python {text_of(version)}`" if version else ""
        ways = [w for w in (build, "SETUP_PYTHON_MIRROR in the operator's settings", *ways) if w]
    return f"What would help: {', or '.join(ways)}."


def _meets(stated: Iterable[StatedVersion], version: Version) -> bool:
    return all(allows(one.wanted, version) for one in stated)
