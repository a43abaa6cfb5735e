"""Images made safe: each is decoded in a process of its own, and only what that wrote is kept."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from agent.models.request_body import media_type

PROGRAM = Path(__file__).with_name("reencode.py")
TIMEOUT_S = 60.0
"""On a busy machine too; the process itself may use 20 seconds of a processor."""
MOST_BYTES = 8_000_000
"""Of what comes out: no image within the bounds takes more."""
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class ImageRefused(ValueError):
    """The bytes are no image that is shown; one sentence says why."""


@dataclass(frozen=True, slots=True)
class SafeImage:
    """An image as our own encoder wrote it."""

    data: bytes
    width: int
    height: int

    @property
    def media_type(self) -> str:
        """PNG or JPEG."""
        return media_type(self.data)


def make_safe(data: bytes) -> SafeImage:
    """Decode and encode anew, without metadata, within bounds of pixels. Raises `ImageRefused`.

    Takes up to a second for large ones; blocks.
    """
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-I", str(PROGRAM)],
            input=data,
            capture_output=True,
            timeout=TIMEOUT_S,
            env={},
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ImageRefused("it takes too long to decode") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace")[:300] if done.returncode == 1 else ""
        raise ImageRefused(said or "the decoder failed on it")
    sizes, _, written = done.stdout.partition(b"\n")
    if len(written) > MOST_BYTES or not written.startswith(_SIGNATURES):
        raise ImageRefused("the decoder failed on it")
    width, height = (int(number) for number in sizes.split())
    return SafeImage(written, width, height)


def is_safe(data: bytes) -> bool:
    """Whether kept bytes begin as those that `make_safe` gives."""
    return data.startswith(_SIGNATURES)
