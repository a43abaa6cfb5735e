"""The tree's snapshots: taken so that they outlive the sandbox, restored in any sandbox."""

from __future__ import annotations

from agent.events import SnapshotTaken
from agent.journal import Journal
from sandbox.errors import SandboxError, SandboxGone
from sandbox.protocol import Sandbox


async def take_snapshot(sandbox: Sandbox, journal: Journal, why: str) -> SnapshotTaken:
    """Snapshot the tree and keep it as a patch against the base commit.

    The event is returned, not appended: it belongs in the transaction of what caused it.
    """
    snapshot = await sandbox.snapshot()
    patch_log = f"snapshot:{snapshot}"
    if journal.get_log(patch_log) is None:
        journal.put_log(patch_log, (await sandbox.diff(binary=True)).encode())
    return SnapshotTaken(snapshot=snapshot, patch_log=patch_log, why=why)


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
