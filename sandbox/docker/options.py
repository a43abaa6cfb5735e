"""What a sandbox's container is made of: one pure function from a spec to the engine's terms."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.protocol import WORKDIR, Limits
from sandbox.sizing import TreeSize, room_for

RUN_LABEL = "patchwright.run"
PURPOSE_LABEL = "patchwright.purpose"
INSTALLATION_LABEL = "patchwright.installation"
OUTPUT_LABEL = "patchwright.output-bytes"
FLOOD_LABEL = "patchwright.flood-bytes"

COMMAND_USER = "10001:10001"
"""Whom commands run as."""

KEEPER_USER = "65534:65534"
"""Whom the container's first process runs as: commands cannot kill it, whatever they try."""

HOME = "/home/sandbox"

OWN_MOUNT = "/.patchwright"
OWN_SIZE = 16 * 1024**2
OWN_BASH = f"{OWN_MOUNT}/bash"
_KEEPER = (
    f'cp -- "$(type -P bash)" {OWN_MOUNT}/new && chmod 0111 {OWN_MOUNT}/new && '
    f"mv {OWN_MOUNT}/new {OWN_BASH}; exec sleep infinity"
)


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


def container_options(spec: SandboxSpec) -> dict[str, Any]:
    """Arguments for docker-py's `containers.create`.

    Nothing of the host is mounted and no network interface exists but loopback. The writable
    places are tmpfs mounts (see `room`).
    """
    limits, room = spec.limits, room_for(spec.limits, spec.tree)
    options: dict[str, Any] = {
        "image": spec.image,
        "name": f"patchwright-{secrets.token_hex(6)}",
        "hostname": "sandbox",
        "entrypoint": ["bash"],
        "command": ["-c", _KEEPER],
        "user": KEEPER_USER,
        "working_dir": "/",
        "labels": {
            RUN_LABEL: spec.run_id,
            PURPOSE_LABEL: spec.purpose,
            INSTALLATION_LABEL: spec.installation,
            OUTPUT_LABEL: str(limits.output_bytes),
            FLOOD_LABEL: str(limits.flood_bytes),
        },
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "ipc_mode": "private",
        "init": True,
        "read_only": True,
        "tmpfs": {
            WORKDIR: _tmpfs(room.workspace),
            "/home": _tmpfs(room.home),
            "/tmp": _tmpfs(room.temporary, mode="1777"),  # noqa: S108 - a mount in the sandbox
            "/run": _tmpfs(room.small),
            OWN_MOUNT: _tmpfs(OWN_SIZE, owner=KEEPER_USER),
        },
        "shm_size": room.small,
        "mem_limit": room.memory,
        "memswap_limit": room.memory,
        "nano_cpus": int(limits.cpus * 1e9),
        "pids_limit": limits.pids,
        "ulimits": [
            {"Name": "nofile", "Soft": 4096, "Hard": 4096},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "log_config": {"Type": "none", "Config": {}},
    }
    if spec.runtime:
        options["runtime"] = spec.runtime
    return options


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


def out_of_reach(bash: Sequence[str]) -> list[str]:
    """The same bash, started from a copy that commands may run but not read.

    The kernel keeps memory and descriptors of such a process from others of the same user. Without
    that a command could read the shell's control input and, in it, how its own end is told.
    """
    start = f'until [ -e {OWN_BASH} ]; do sleep 0.01; done; exec -a bash {OWN_BASH} "$@"'
    return ["bash", "-c", start, *bash]


def _tmpfs(size: int, mode: str = "0755", owner: str = COMMAND_USER) -> str:
    uid, _, gid = owner.partition(":")
    return f"rw,exec,nosuid,nodev,size={size},mode={mode},uid={uid},gid={gid}"
