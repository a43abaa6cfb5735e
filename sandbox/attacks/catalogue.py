"""All attacks, in the order in which they are run."""

from __future__ import annotations

from sandbox.attacks import (
    egress,
    git_tricks,
    kernel,
    neighbours,
    network,
    resources,
    shells,
    system_calls,
    trees,
)
from sandbox.attacks.target import Attack

ATTACKS: tuple[Attack, ...] = (
    *resources.ATTACKS,
    *shells.ATTACKS,
    *kernel.ATTACKS,
    *system_calls.ATTACKS,
    *network.ATTACKS,
    *neighbours.ATTACKS,
    *trees.ATTACKS,
    *git_tricks.ATTACKS,
    *egress.ATTACKS,
)
