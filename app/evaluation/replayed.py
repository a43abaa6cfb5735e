"""Replays of merged fixes: what they need of a tree, and which instances can be replayed."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from agent.evaluation.hidden import split_files
from agent.evaluation.instances import Instance
from agent.evaluation.replay import NotReplayable, without_last_change
from agent.models.replay_mode import ReplayMode

LARGEST = 4 * 1024**2
"""Bytes of a test file."""


def hidden_test_texts(instance: Instance, tree: Path) -> dict[str, str]:
    """The texts, in the base, of the files that the hidden tests change.

    Raises `NotReplayable` for what is no UTF-8 text of a moderate size.
    """
    wanted = {path for path, _ in split_files(instance.test_patch)}
    texts: dict[str, str] = {}
    with tarfile.open(tree) as archive:
        for member in archive:
            if member.name.removeprefix("./") not in wanted or not member.isfile():
                continue
            file = archive.extractfile(member)
            if file is None or member.size > LARGEST:
                raise NotReplayable(f"{member.name} is too large")
            try:
                texts[member.name.removeprefix("./")] = file.read().decode()
            except UnicodeDecodeError:
                raise NotReplayable(f"{member.name} is not UTF-8 text") from None
    return texts


def replayable(
    instances: Sequence[Instance], mode: ReplayMode
) -> tuple[tuple[Instance, ...], dict[str, str]]:
    """The instances that a mode can replay, and for the others the reason why not."""
    left_out: dict[str, str] = {}
    for instance in instances:
        if not instance.patch:
            left_out[instance.instance_id] = "its fix is not known"
        elif mode == "partial":
            try:
                without_last_change(instance.patch)
            except NotReplayable as why:
                left_out[instance.instance_id] = str(why)
    return tuple(i for i in instances if i.instance_id not in left_out), left_out
