"""A sandbox without a container: subprocesses in a temporary folder. For tests only.

It isolates nothing. `/workspace` and `/tmp` in commands and paths stand for folders of its own,
and are put back into the output, so that code under test sees the paths of a real sandbox.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sandbox.errors import FileMissing, FileRefused, PatchRefused, SandboxError
from sandbox.protocol import WORKDIR, CommandResult
from tests.doubles.warm_pytest import warm_python

_MAPPED = re.compile(r"/workspace(?![\w.-])|(?<![\w./-])/tmp(?![\w.-])")


class LocalSandbox:
    """`Sandbox` over a temporary folder that holds the given files.

    `warm`: pytest starts at once in it; see `warm_pytest`.
    """

    def __init__(self, files: Mapping[str, str | bytes], *, warm: bool = False) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="patchwright-local-"))
        self.root, self.scratch = self._home / "tree", self._home / "scratch"
        for folder in (self.root, self.scratch):
            folder.mkdir()
        for path, content in files.items():
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        self._env = {
            "PATH": ":".join(
                [
                    *([str(warm_python())] if warm else []),
                    str(Path(sys.executable).parent),
                    os.environ["PATH"],
                ]
            ),
            "HOME": str(self._home),
            "TMPDIR": str(self.scratch),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self._base = ""

    @property
    def id(self) -> str:
        """The folder's name."""
        return self._home.name

    async def run(self, command: str, *, timeout_s: float = 120.0) -> CommandResult:
        """Run a command in a bash of its own; exported variables and the directory carry over.

        Its process group is killed at the time limit and when the awaiting task is cancelled.
        """
        await self._keep_base()
        state = self._home / "state"
        script = (
            f"cd {self.root}\n[ -f {state} ] && . {state}\n"
            f'trap \'s=$?; {{ export -p; echo "cd \\"$PWD\\""; }} >{state}; exit $s\' EXIT\n'
            f"{self._mapped(command)}\n"
        )
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            script,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._env,
            start_new_session=True,
        )
        reading = asyncio.ensure_future(process.communicate())
        timed_out = False
        try:
            output, _ = await asyncio.wait_for(asyncio.shield(reading), timeout_s)
        except TimeoutError:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = await reading
        except asyncio.CancelledError:
            os.killpg(process.pid, signal.SIGKILL)
            await reading
            raise
        return CommandResult(
            exit_code=None if timed_out else process.returncode,
            output=self._unmapped(output),
            duration_s=time.monotonic() - started,
            timed_out=timed_out,
        )

    async def read(self, path: str, *, max_bytes: int = 4 * 1024**2) -> bytes:
        """Read a regular file. Raises `FileMissing` and `FileRefused`."""
        target = self._path(path)
        if not target.exists():
            raise FileMissing(f"{path}: no such file")
        if not target.is_file() or target.is_symlink() or target.stat().st_size > max_bytes:
            raise FileRefused(f"{path}: not a regular file, or too large")
        return target.read_bytes()

    async def write(self, path: str, data: bytes) -> None:
        """Write a file and make its folders. Raises `FileRefused`."""
        await self._keep_base()
        target = self._path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except OSError as error:
            raise FileRefused(f"{path}: {error.strerror}") from error

    async def snapshot(self) -> str:
        """Keep the tree in the shadow git; gives the id of the git tree."""
        if not (self._home / "shadow").exists():
            await self._git("init", "-q")
        await self._git("add", "-A")
        return (await self._git("write-tree")).strip()

    async def restore(self, snapshot: str | None) -> None:
        """Bring the tree back to a snapshot, or to how it was at first. Raises `SandboxError`."""
        await self._keep_base()
        await self.snapshot()
        await self._git("read-tree", "-u", "--reset", snapshot or self._base)

    async def diff(self, since: str | None = None, *, binary: bool = False) -> str:
        """The change since a snapshot, or since the beginning, as git shows it."""
        await self._keep_base()
        now = await self.snapshot()
        flags = ["--binary"] if binary else []
        return await self._git("diff", "--no-renames", *flags, since or self._base, now)

    async def apply(self, patch: str) -> None:
        """Apply a git-style patch to the tree. Raises `PatchRefused`."""
        await self._keep_base()
        try:
            await self._git("apply", "--whitespace=nowarn", "-", stdin=patch.encode())
        except SandboxError as error:
            raise PatchRefused(str(error)) from error

    async def close(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self._home, ignore_errors=True)

    async def _keep_base(self) -> None:
        self._base = self._base or await self.snapshot()

    async def _git(self, *args: str, stdin: bytes | None = None) -> str:
        git = ("git", f"--git-dir={self._home / 'shadow'}", f"--work-tree={self.root}")
        process = await asyncio.create_subprocess_exec(
            *git,
            *args,
            cwd=self.root,
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin)
        if process.returncode:
            raise SandboxError(err.decode(errors="replace"))
        return out.decode(errors="replace")

    def _mapped(self, text: str) -> str:
        return _MAPPED.sub(lambda m: str(self.root if m[0] == WORKDIR else self.scratch), text)

    def _unmapped(self, output: bytes) -> bytes:
        tree, scratch = str(self.root).encode(), str(self.scratch).encode()
        return output.replace(tree, WORKDIR.encode()).replace(scratch, b"/tmp")

    def _path(self, path: str) -> Path:
        return Path(os.path.normpath(self.root / self._mapped(path)))
