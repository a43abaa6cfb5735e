"""Names of images that a repository may use: references to a registry, and nothing else.

An engine also takes an image's id, or the beginning of one, wherever it takes a name. Both mean
whatever the engine happens to hold, another repository's prepared image among it. So a name is read
by the grammar of references (https://pkg.go.dev/github.com/distribution/reference) and is given to
the engine only in its full form, `registry/path:tag`, which is never looked up as an id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.errors import SandboxError

DOCKER_HUB = "docker.io"
_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
_OWN = "patchwright"
_ID = re.compile(r"(?:sha256:)?[0-9a-fA-F]{1,64}\Z|sha256(?:[:@].*)?\Z", re.DOTALL)
_HOST = re.compile(r"[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*(?::\d{1,5})?\Z")
_LONGEST = 300
_PATH = re.compile(
    r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*\Z"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class ImageRefused(SandboxError):
    """A repository may not use this image; the message says why and what to write instead."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image of a registry."""

    registry: str
    path: str
    tag: str
    """Empty where a digest is named."""
    digest: str

    @property
    def name(self) -> str:
        """Registry and path."""
        return f"{self.registry}/{self.path}"

    def __str__(self) -> str:
        """The full form, which no engine takes for an id."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"

    @property
    def is_own(self) -> bool:
        """Whether it is a name under which this program keeps images of its own."""
        return self.registry == DOCKER_HUB and self.path.split("/")[0] == _OWN


def parse_reference(text: str) -> ImageReference:
    """Parse a name as a reference. Raises `ImageRefused` for ids and malformed references."""
    if _ID.match(text):
        raise ImageRefused(
            f"{text!r} is an image id or an abbreviated one, which could be any image that the "
            "engine holds. Name an image in a registry, for example docker.io/library/python:3.12."
        )
    rest, at, digest = text.partition("@")
    first, slash, below = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first.lower(), below
    else:
        registry, path = DOCKER_HUB, rest
    if registry in _HUB_NAMES:
        registry = DOCKER_HUB
    path, colon, tag = path.partition(":")
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    well = (
        len(text) <= _LONGEST
        and _HOST.match(registry)
        and _PATH.match(path)
        and (_TAG.match(tag) if colon else True)
        and (_DIGEST.match(digest) if at else True)
    )
    if not well:
        raise ImageRefused(
            f"{text[:200]!r} is not an image in a registry. Name one as registry/path:tag or "
            "registry/path@sha256:…, for example docker.io/library/python:3.12."
        )
    return ImageReference(registry, path, "" if digest else tag or "latest", digest)


def permitted_reference(
    text: str, registries: tuple[str, ...], listed: tuple[str, ...] = ()
) -> tuple[ImageReference, bool]:
    """A repository's name for an image, and whether the operator lists that image itself.

    Raises `ImageRefused` when it is none of the listed images and comes from none of the
    registries, or has a name of this program's own.
    """
    reference = parse_reference(text)
    if reference in [parse_reference(name) for name in listed]:
        return reference, True
    if reference.is_own:
        raise ImageRefused(
            f"{reference} is one of Patchwright's own images, which repositories may not use. "
            "Leave the image out to start from the base image."
        )
    if reference.registry not in [_registry(name) for name in registries]:
        raise ImageRefused(
            f"The image {reference} comes from {reference.registry}, which is not one of the "
            f"permitted registries ({', '.join(registries) or 'none'})."
        )
    return reference, False


def _registry(name: str) -> str:
    return DOCKER_HUB if name.lower() in _HUB_NAMES else name.lower()
