"""The tree's snapshots: taken so that they outlive the sandbox, restored in any sandbox."""

from __future__ import annotations

from agent.journal.events import SnapshotTaken
from agent.journal.writer import Journal
from sandbox.errors import SandboxError, SandboxGone
from sandbox.protocol import Sandbox

CHANGE_MOST = 1024**2
"""Bytes of a patch that is kept after each change; a larger one only with a hypothesis, or the
journal would grow with every build."""


async def take_snapshot(sandbox: Sandbox, journal: Journal, why: str) -> SnapshotTaken:
    """Snapshot the tree and keep it as a patch against the base commit.

    The event is returned, not appended: it belongs in the transaction of what caused it.
    """
    snapshot = await sandbox.snapshot()
    patch_log = f"snapshot:{snapshot}"
    if journal.get_log(patch_log) is None:
        journal.put_log(patch_log, (await sandbox.diff(binary=True)).encode())
    return SnapshotTaken(snapshot=snapshot, patch_log=patch_log, why=why)


async def keep_change(sandbox: Sandbox, journal: Journal, why: str) -> tuple[SnapshotTaken, ...]:
    """A snapshot after a call that may have changed the tree; none when the tree is as it was.

    So a sandbox may die, with its machine, between any two calls. Of a sandbox that is dead
    already nothing is kept: the next call says so.
    """
    last = journal.state.last_snapshot
    try:
        snapshot = await sandbox.snapshot()
        if last is not None and last.snapshot == snapshot:
            return ()
        patch_log = f"snapshot:{snapshot}"
        if journal.get_log(patch_log) is None:
            patch = (await sandbox.diff(binary=True)).encode()
            if len(patch) > CHANGE_MOST:
                return ()
            journal.put_log(patch_log, patch)
    except SandboxError:
        return ()
    return (SnapshotTaken(snapshot=snapshot, patch_log=patch_log, why=why),)


async def restore_tree(sandbox: Sandbox, journal: Journal, snapshot: str) -> None:
    """Bring the tree to a snapshot, also one that another, dead sandbox took.

    Raises `SandboxError` when the snapshot's patch no longer applies.
    """
    try:
        await sandbox.restore(snapshot)
    except SandboxGone:
        raise
    except SandboxError:
        patch = journal.get_log(f"snapshot:{snapshot}")
        if patch is None:
            raise
        await sandbox.restore(None)
        if patch.strip():
            await sandbox.apply(patch.decode())
