"""A sandbox in memory, for tests that run the loop hundreds of times: files and a pretended shell.

What a command prints comes from the function given; files, snapshots and diffs are real.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping

from sandbox.errors import FileMissing, PatchRefused, SandboxError
from sandbox.protocol import CommandResult

Shell = Callable[[str, Mapping[str, str]], tuple[int, str]]
"""(command, files) → (exit status, output)."""


class MemorySandbox:
    """`Sandbox` over a dict."""

    def __init__(self, files: Mapping[str, str], shell: Shell) -> None:
        self.files = dict(files)
        self.closed = False
        self._base = dict(files)
        self._snapshots: dict[str, dict[str, str]] = {}
        self._shell = shell

    id = "memory"

    async def run(self, command: str, *, timeout_s: float = 120.0) -> CommandResult:
        """What the pretended shell answers; the time limit means nothing."""
        status, output = self._shell(command, self.files)
        return CommandResult(exit_code=status, output=output.encode(), duration_s=0.001)

    async def read(self, path: str, *, max_bytes: int = 4 * 1024**2) -> bytes:
        """A file's content, however large. Raises `FileMissing`."""
        if path not in self.files:
            raise FileMissing(f"{path}: no such file")
        return self.files[path].encode()

    async def write(self, path: str, data: bytes) -> None:
        """Write a file of UTF-8 text."""
        self.files[path] = data.decode()

    async def snapshot(self) -> str:
        """Keep the tree as it is now; gives an id made of its content."""
        name = hashlib.sha256(repr(sorted(self._tree().items())).encode()).hexdigest()[:12]
        self._snapshots[name] = self._tree()
        return name

    async def restore(self, snapshot: str | None) -> None:
        """Bring the tree back to a snapshot; files outside of it stay.

        Raises `SandboxError` when the snapshot is unknown.
        """
        if snapshot is not None and snapshot not in self._snapshots:
            raise SandboxError(f"no snapshot {snapshot}")
        wanted = self._base if snapshot is None else self._snapshots[snapshot]
        outside = {p: t for p, t in self.files.items() if p.startswith("/")}
        self.files = {**wanted, **outside}

    async def diff(self, since: str | None = None, *, binary: bool = False) -> str:
        """The change since a snapshot, or since the beginning, as a git-style unified diff."""
        before = self._base if since is None else self._snapshots[since]
        parts = []
        for path in sorted(before.keys() | self._tree().keys()):
            old, new = before.get(path), self.files.get(path)
            if old == new:
                continue
            head = f"diff --git a/{path} b/{path}\n"
            if old is None:
                head += "new file mode 100644\n"
            lines = difflib.unified_diff(
                (old or "").splitlines(keepends=True),
                (new or "").splitlines(keepends=True),
                f"a/{path}" if old is not None else "/dev/null",
                f"b/{path}" if new is not None else "/dev/null",
            )
            parts.append(head + "".join(lines))
        return "".join(parts)

    async def apply(self, patch: str) -> None:
        """Refuse: no test that runs in memory applies a patch. Raises `PatchRefused`."""
        raise PatchRefused("patches are not applied in memory")

    async def close(self) -> None:
        """Note that the sandbox was closed."""
        self.closed = True

    def _tree(self) -> dict[str, str]:
        return {p: t for p, t in self.files.items() if not p.startswith("/")}
