"""What a sandbox's container is made of: one pure function from a spec to the engine's terms."""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.docker.prepared_volume import mounted
from sandbox.environment.records import PREFIX
from sandbox.protocol import WORKDIR
from sandbox.sizing import mount_sizes
from sandbox.spec import (
    COMMAND_USER,
    FLOOD_LABEL,
    INSTALLATION_LABEL,
    KEEPER_USER,
    OUTPUT_LABEL,
    OWN_BASH,
    OWN_MOUNT,
    OWN_SIZE,
    PURPOSE_LABEL,
    RUN_LABEL,
    SandboxSpec,
)

_KEEPER = (
    f'cp -- "$(type -P bash)" {OWN_MOUNT}/new && chmod 0111 {OWN_MOUNT}/new && '
    f"mv {OWN_MOUNT}/new {OWN_BASH}; exec sleep infinity"
)


def container_options(spec: SandboxSpec, volume: str = "") -> dict[str, Any]:
    """Arguments for docker-py's `containers.create`.

    Nothing of the host is mounted and no network interface exists but loopback. The writable
    places are tmpfs mounts (see `room`). `volume` is that of the image, if it has one.
    """
    limits, room = spec.limits, mount_sizes(spec.limits, spec.tree)
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
        # The image is a plain one already; an engine that defaults to checks would be told no.
        "healthcheck": {"test": ["NONE"]},
    }
    if volume:
        options["mounts"] = [mounted(volume, PREFIX)]
    if spec.runtime:
        options["runtime"] = spec.runtime
    return options


def _tmpfs(size: int, mode: str = "0755", owner: str = COMMAND_USER) -> str:
    uid, _, gid = owner.partition(":")
    return f"rw,exec,nosuid,nodev,size={size},mode={mode},uid={uid},gid={gid}"
