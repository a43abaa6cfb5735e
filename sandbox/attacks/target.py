"""What an attack works on, and how its outcome is told."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.protocol import CommandResult, Limits, Sandbox

_PROGRAM = "/tmp/probe.py"  # noqa: S108 - in the sandbox

LONGEST_S = 90.0
"""An attack that is not over by then counts as not contained."""

SMALL = Limits(memory_bytes=256 * 1024**2, pids=200, output_bytes=1024**2)
"""Limits that are reached soon, so that reaching them costs the machine little."""

OpenTree = Callable[[Path, Limits], Awaitable[Sandbox]]
"""Opens a fresh sandbox with the tree of a tar file in it."""

_MOST_TEXT = 300


class Escaped(Exception):
    """The attack did something that it must not; the message says what."""


class Target:
    """Opens sandboxes for one attack, and owns a folder of the host that must stay as it is."""

    def __init__(self, open_tree: OpenTree, folder: Path) -> None:
        self._open_tree = open_tree
        self._folder = folder
        self._opened: list[Sandbox] = []
        self.host = folder / "host"
        self.host.mkdir()
        self.secret = os.urandom(16).hex()
        """Stands in `host_file`; seen inside of a sandbox it is an escape."""
        self.host_file = self.host / "secret.txt"
        self.host_file.write_text(self.secret)

    async def open(
        self, limits: Limits = SMALL, members: Iterable[tuple[tarfile.TarInfo, bytes]] = ()
    ) -> Sandbox:
        """A sandbox with a README and, perhaps, members of a hostile tar."""
        path = self._folder / f"{len(self._opened)}-{os.urandom(4).hex()}.tar"
        await asyncio.to_thread(_write_tar, path, [member("README.md", b"a tree\n"), *members])
        sandbox = await self._open_tree(path, limits)
        self._opened.append(sandbox)
        return sandbox

    async def tree(self, files: Mapping[str, bytes] | None = None) -> Path:
        """A tar of a README and these files, for attacks that open sandboxes in their own way."""
        path = self._folder / f"{os.urandom(4).hex()}.tar"
        members = [member(name, data) for name, data in (files or {}).items()]
        await asyncio.to_thread(_write_tar, path, [member("README.md", b"a tree\n"), *members])
        return path

    def check_host(self) -> None:
        """Raise `Escaped` when anything of the host's folder changed."""
        names = sorted(path.name for path in self.host.iterdir())
        if names != [self.host_file.name]:
            raise Escaped(f"the host's folder holds {names}")
        if self.host_file.read_text() != self.secret:
            raise Escaped("a file of the host was changed")

    async def close(self) -> None:
        """Destroy the sandboxes."""
        for sandbox in self._opened:
            await sandbox.close()


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack: it returns when it was contained, and raises `Escaped` when not."""

    name: str
    run: Callable[[Target], Awaitable[None]]


async def outcome(attack: Attack, open_tree: OpenTree) -> str:
    """Run an attack: empty when it was contained, else what happened, safe for a terminal."""
    with tempfile.TemporaryDirectory(prefix="patchwright-attack-") as folder:
        target = Target(open_tree, Path(folder))
        try:
            async with asyncio.timeout(LONGEST_S):
                await attack.run(target)
            target.check_host()
        except Escaped as what:
            return printable(str(what))
        except TimeoutError:
            return f"it was not over within {LONGEST_S:.0f} s"
        except (SandboxError, OSError) as problem:
            return printable(f"{type(problem).__name__}: {problem}")
        finally:
            await target.close()
    return ""


def printable(text: str) -> str:
    """Hostile text as one short line without control characters."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)[:_MOST_TEXT]


def member(name: str, data: bytes = b"", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """A file in a tar, under any name at all."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    return info, data


def special(
    name: str, kind: bytes, link: str = "", mode: int = 0o644
) -> tuple[tarfile.TarInfo, bytes]:
    """A link, device or pipe in a tar; `kind` is one of tarfile's types."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info, b""


async def must_answer(sandbox: Sandbox) -> None:
    """Raise `Escaped` unless shell and tree still work as they should."""
    result = await sandbox.run("echo a-live; cat /workspace/README.md", timeout_s=20)
    if result.text != "a-live\na tree\n":
        raise Escaped(f"the sandbox no longer works: {_output_of_probe(result)}")
    if await sandbox.read("README.md") != b"a tree\n":
        raise Escaped("the sandbox no longer reads files")


async def must_not_escape(sandbox: Sandbox, script: str, *, timeout_s: float = 20.0) -> str:
    """Run a Python probe; each line `ESCAPED what` that it prints is one.

    It must come to its end, which prints `TRIED`; returns all that it printed.
    """
    await sandbox.write(_PROGRAM, PROBE.encode() + script.encode() + b"\nprint('TRIED')\n")
    result = await sandbox.run(f"python3 {_PROGRAM}", timeout_s=timeout_s)
    escapes = [line for line in result.text.splitlines() if line.startswith("ESCAPED ")]
    if escapes:
        raise Escaped("; ".join(line.removeprefix("ESCAPED ") for line in escapes))
    if not result.text.rstrip().endswith("TRIED"):
        raise Escaped(f"the probe did not end by itself: {_output_of_probe(result)}")
    return result.text


def _output_of_probe(result: CommandResult) -> str:
    return f"exit {result.exit_code}, {result.text[-200:]!r}"


def _write_tar(path: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))


PROBE = """
import os, socket, sys
def tried(what, call):
    try:
        call()
    except Exception as problem:
        print("refused", what, type(problem).__name__, problem)
    else:
        print("ESCAPED", what, flush=True)
"""
