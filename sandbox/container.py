"""What a sandbox's container is made of: one pure function from a spec to the engine's terms."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from sandbox.protocol import WORKDIR, Limits

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
_SMALL_MOUNT = 64 * 1024**2


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


def container_options(spec: SandboxSpec) -> dict[str, Any]:
    """Arguments for docker-py's `containers.create`.

    Nothing of the host is mounted and no network interface exists but loopback. The writable
    places are tmpfs mounts; their pages count as the container's memory, so together they may
    hold three quarters of it at most: a full disk is then "no space left", not a dead container.
    """
    limits = spec.limits
    disk = min(limits.disk_bytes, limits.memory_bytes * 3 // 4)
    small = min(_SMALL_MOUNT, disk // 16)
    disk -= 2 * small
    options: dict[str, Any] = {
        "image": spec.image,
        "name": f"patchwright-{secrets.token_hex(6)}",
        "hostname": "sandbox",
        "entrypoint": ["sleep"],
        "command": ["infinity"],
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
            WORKDIR: _tmpfs(disk // 2),
            "/home": _tmpfs(disk // 4),
            "/tmp": _tmpfs(disk // 4, mode="1777"),  # noqa: S108 - a mount in the sandbox
            "/run": _tmpfs(small),
        },
        "shm_size": small,
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,
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


def _tmpfs(size: int, mode: str = "0755") -> str:
    uid, _, gid = COMMAND_USER.partition(":")
    return f"rw,exec,nosuid,nodev,size={size},mode={mode},uid={uid},gid={gid}"
