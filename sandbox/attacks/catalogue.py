"""All attacks, in the order in which they are run."""

from __future__ import annotations

from sandbox.attacks import egress, git_tricks, kernel, network, resources, shells, trees
from sandbox.attacks.target import Attack

ATTACKS: tuple[Attack, ...] = (
    *resources.ATTACKS,
    *shells.ATTACKS,
    *kernel.ATTACKS,
    *network.ATTACKS,
    *trees.ATTACKS,
    *git_tricks.ATTACKS,
    *egress.ATTACKS,
)
