"""A copy of the tree in which programs are built, so that the tree itself stays as it is."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath

from agent.gate.plain.records import PlainTests
from agent.model import Record
from agent.testing.runners import in_tree
from agent.testing.suite import read_text
from sandbox.protocol import WORKDIR, Sandbox

_LEFT = (".git", "target", "node_modules")
"""Folders of the root that are not copied; the last one is linked."""
_MOST_MB = 500
"""A larger tree is not copied, and nothing is found in the copy."""


class TestFile(Record):
    """A test file with its text."""

    __test__ = False

    path: str
    text: str
    declared: bool
    """Whether it is one of the reproduction's."""


async def read_tests(sandbox: Sandbox, tests: PlainTests, ending: str) -> list[TestFile]:
    """The test files of a run whose names end so, the reproduction's own first."""
    found = [
        TestFile(path=path, text=text, declared=True)
        for path, text in tests.declared.items()
        if path.endswith(ending) and not path.startswith("/")
    ]
    known = {file.path for file in found}
    for path in tests.others:
        if path.endswith(ending) and path not in known:
            text = await read_text(sandbox, path)
            if text is not None:
                found.append(TestFile(path=path, text=text, declared=False))
    return found


def program_text(name: str) -> str:
    """The text of a program that is run inside sandboxes."""
    return resources.files("agent.gate.sandboxed").joinpath(name).read_text()


@dataclass(frozen=True, slots=True)
class CopiedTree:
    """A copy of the tree in the sandbox, and a scratch folder beside it."""

    sandbox: Sandbox
    root: str
    scratch: str

    def whole(self, path: str) -> str:
        """Where a file or folder of the tree is in the copy."""
        return str(PurePosixPath(self.root) / path)

    async def text(self, path: str) -> str | None:
        """A file's text in the copy."""
        return await read_text(self.sandbox, self.whole(path))

    async def write(self, files: Mapping[str, str]) -> None:
        """Write files into the copy."""
        for path, text in files.items():
            await self.sandbox.write(self.whole(path), text.encode("utf-8", "surrogateescape"))

    async def remove(self, files: Collection[str]) -> None:
        """Remove files from the copy."""
        await self.sandbox.run(f"rm -f -- {shlex.join(map(self.whole, files))}")

    async def nearest(self, path: str, name: str) -> str | None:
        """The folder above a file, the nearest first, that holds a file of this name."""
        for folder in PurePosixPath(path).parents:
            if await self.text(str(folder / name)) is not None:
                return str(folder)
        return None

    async def run(self, folder: str, command: str, timeout_s: float) -> str | None:
        """What a command printed that ended well in a folder of the copy; None: it did not."""
        line = f"cd {shlex.quote(self.whole(folder))} && {command}"
        ran = await self.sandbox.run(in_tree(line), timeout_s=timeout_s)
        return ran.text if ran.exit_code == 0 else None

    async def build(self, folder: str, command: str, timeout_s: float) -> bool:
        """Whether a command ends well in a folder of the copy."""
        return await self.run(folder, command, timeout_s) is not None


@asynccontextmanager
async def copied_tree(sandbox: Sandbox) -> AsyncIterator[CopiedTree]:
    """A copy of the sandbox's tree, gone after the block."""
    # A name like any other: what is built in it may find out where it is.
    folder = f"/tmp/{secrets.token_hex(6)}"  # noqa: S108 - inside the sandbox
    left = " ".join(f"--exclude=./{name}" for name in _LEFT)
    size = f"du -sm {left.replace('./', '')} {WORKDIR} | cut -f1"
    await sandbox.run(
        f'(mkdir -p {folder}/src {folder}/home; [ "$({size})" -le {_MOST_MB} ] || exit; '
        f"tar -C {WORKDIR} {left} -cf - . | tar -C {folder}/src -xf -; cd {folder}/src; "
        f"[ ! -d {WORKDIR}/node_modules ] || ln -s {WORKDIR}/node_modules node_modules)"
    )
    try:
        yield CopiedTree(sandbox, f"{folder}/src", folder)
    finally:
        await sandbox.run(f"rm -rf {folder}")
