"""What a sandbox is to be: limits, user, mounts, labels; the same for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.protocol import Limits
from sandbox.sizing import TreeSize

RUN_LABEL = "patchwright.run"


PURPOSE_LABEL = "patchwright.purpose"


INSTALLATION_LABEL = "patchwright.installation"


OUTPUT_LABEL = "patchwright.output-bytes"


FLOOD_LABEL = "patchwright.flood-bytes"


PREPARED_LABEL = "patchwright.prepared"
"""The hash of the recipe, of prepared images and their volumes."""


COMMAND_USER = "10001:10001"
"""Whom commands run as."""


KEEPER_USER = "65534:65534"
"""Whom the container's first process runs as: commands cannot kill it, whatever they try."""


HOME = "/home/sandbox"


OWN_MOUNT = "/.patchwright"


OWN_SIZE = 16 * 1024**2


OWN_BASH = f"{OWN_MOUNT}/bash"


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """Which sandbox to open, and for whom."""

    image: str
    limits: Limits
    run_id: str
    purpose: str
    """What it is for, e.g. "attempt-1" or "gate-before"."""
    runtime: str = ""
    """The engine's runtime, e.g. "runsc"; empty: the engine's default."""
    installation: str = ""
    """Tells two Patchwrights on one engine apart, so that neither sweeps the other's."""
    tree: TreeSize = TreeSize()  # noqa: RUF009 - frozen
    """What the repository's tree takes up; nothing: it surely fits."""
    asks_registry: bool = False
    """On a cluster: whether each start asks the image's registry, even on a node that holds it."""


def command_environment() -> list[str]:
    """The environment of every shell: nothing of the host, and tools that never wait for a person.

    Python writes no bytecode: a file edited twice within a second would else run as it was.
    """
    return [
        f"HOME={HOME}",
        "LANG=C.UTF-8",
        "TERM=dumb",
        "PAGER=cat",
        "GIT_PAGER=cat",
        "GIT_TERMINAL_PROMPT=0",
        "PYTHONDONTWRITEBYTECODE=1",
        "PIP_NO_INPUT=1",
    ]


def unreadable_bash(bash: Sequence[str]) -> list[str]:
    """The same bash, started from a copy that commands may run but not read.

    The kernel keeps memory and descriptors of such a process from others of the same user. Without
    that a command could read the shell's control input and, in it, how its own end is told.
    """
    start = f'until [ -e {OWN_BASH} ]; do sleep 0.01; done; exec -a bash {OWN_BASH} "$@"'
    return ["bash", "-c", start, *bash]
