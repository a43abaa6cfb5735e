"""The base image where no registry answers: a root file system from the distribution's packages."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.images.apt_sources import AptSource, choose, machine_codename, machine_sources
from sandbox.images.recipe import Recipe

Progress = Callable[[str], None]

_UBUNTU_EXTRA = "universe"
"""Ubuntu keeps ripgrep, pytest and coverage outside of main."""


@asynccontextmanager
async def root_archive(
    recipe: Recipe, progress: Progress, release: str = ""
) -> AsyncIterator[Path]:
    """A tar of a slim root file system with the recipe's packages; deleted afterwards.

    Needs root, debootstrap and the package archive of the machine's own apt sources. `release`:
    another one of the same archive; empty: the machine's own. Raises `SandboxError` with what to
    do.
    """
    _need_root_and_tools()
    source = choose(machine_sources(), machine_codename())
    source = replace(source, suite=release or source.suite)
    with tempfile.TemporaryDirectory(prefix="patchwright-image-") as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        progress(f"Installing {source.suite} packages into a new root file system …")
        await run(debootstrap_command(recipe, source, root), "debootstrap")
        progress("Finishing and packing it …")
        await asyncio.to_thread(shutil.copy, recipe.folder / "finish.sh", root / "finish.sh")
        await run(["chroot", str(root), "/bin/sh", "/finish.sh"], "finishing the image")
        await asyncio.to_thread((root / "finish.sh").unlink)
        await run(pack_command(root, archive), "packing the image")
        yield archive


def debootstrap_command(recipe: Recipe, source: AptSource, root: Path) -> list[str]:
    """The command that fills `root`."""
    packages = ",".join((*recipe.packages, *recipe.python_packages))
    components = ["main", *([_UBUNTU_EXTRA] if _UBUNTU_EXTRA in source.components else [])]
    command = ["debootstrap", "--variant=minbase", f"--include={packages}"]
    command.append(f"--components={','.join(components)}")
    if source.keyring.startswith("/"):
        command.append(f"--keyring={source.keyring}")
    return [*command, source.suite, str(root), source.uri]


def pack_command(root: Path, archive: Path) -> list[str]:
    """The command that makes a tar of `root` without what belongs to the running machine."""
    left_out = ("./proc/*", "./sys/*", "./dev/*", "./etc/resolv.conf", "./etc/hostname")
    excludes = [f"--exclude={pattern}" for pattern in left_out]
    return ["tar", "--one-file-system", *excludes, "-C", str(root), "-cf", str(archive), "."]


async def run(command: Sequence[str], doing: str) -> None:
    """Run a program of this machine; its last lines are the error when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd="/",  # not the folder of whoever calls, which may be a hostile checkout
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
            "DEBIAN_FRONTEND": "noninteractive",
            **{k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")},
        },
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        last = "\n".join(output.decode(errors="replace").splitlines()[-15:])
        raise SandboxError(f"Failed at {doing} (exit {process.returncode}):\n{last}")


def _need_root_and_tools() -> None:
    if os.geteuid() != 0:
        raise SandboxError(
            "Building the base image without a registry needs root: "
            "run `sudo patchwright images build --offline` once."
        )
    if shutil.which("debootstrap", path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        raise SandboxError(
            "Building the base image without a registry needs debootstrap: "
            "run `apt-get install debootstrap` and try again."
        )
