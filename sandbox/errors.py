"""What can go wrong with a sandbox, named for what the caller can do about it."""

from __future__ import annotations


class SandboxError(Exception):
    """A sandbox could not do what was asked; the message says what to do."""


class EngineUnavailable(SandboxError):
    """No container engine answers."""


class ImageMissing(SandboxError):
    """The image is not there; build it with `patchwright images build`."""


class SandboxGone(SandboxError):
    """The container died (out of memory, engine restarted); open another."""


class FileMissing(SandboxError):
    """There is no such file in the sandbox."""


class FileRefused(SandboxError):
    """The path is no regular file, too large, or cannot be written."""


class PatchRefused(SandboxError):
    """The patch does not apply."""
