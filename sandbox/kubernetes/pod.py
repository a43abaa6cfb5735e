"""What a sandbox's pod is made of: pure functions from a spec to the cluster's terms.

They hold under the `restricted` Pod Security Standard: no root, no privilege, no capability, no
service account's token, no volume but memory. The network is closed by a policy (see `POLICY`).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

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
    command_environment,
)

CONTAINER = "sandbox"
SANDBOX_LABEL = "patchwright.sandbox"
"""Every sandbox's pod has it; the network's policy and the sweep go by it."""

POLICY_NAME = "patchwright-sandboxes-reach-nothing"
_GID = COMMAND_USER.partition(":")[2]
_CPU_SHARE = "100m"
_OPEN_FILES = 4096

# The mount is only to be read in the sandbox itself, so commands cannot change what they start.
_COPY = (
    f'cp -- "$(type -P bash)" {OWN_MOUNT}/new && chmod 0111 {OWN_MOUNT}/new && '
    f"mv {OWN_MOUNT}/new {OWN_BASH}"
)
# The first process of its process namespace: the kernel lets nobody in there kill it. Bash takes
# care of orphans. It starts no other process, which commands could kill, but reads an input that
# nobody writes to; signals that it would act upon are ignored.
_KEEPER = (
    "trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE; "
    "while read -r _; do :; done; exec sleep infinity"
)
# Standard error is told the shell's end by a bash that commands cannot look into.
_START = (
    'exec 4>&2 2>/dev/null; unset "${!KUBERNETES_@}"; ulimit -c 0; '
    f'ulimit -n {_OPEN_FILES} 2>/dev/null; "$@" 4>&-; printf %d $? >&4'
)

POLICY: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": POLICY_NAME},
    "spec": {
        "podSelector": {"matchLabels": {SANDBOX_LABEL: "true"}},
        "policyTypes": ["Ingress", "Egress"],
    },
}
"""Sandboxes reach nothing and nothing reaches them: a direction without a rule is closed."""


def pod(spec: SandboxSpec) -> dict[str, Any]:
    """The pod of one sandbox: one container, and one that prepares its shell and ends."""
    limits, room = spec.limits, mount_sizes(spec.limits, spec.tree)
    memory = str(room.memory)
    # That a node holds an image, pulled for another repository, gives this one no right to it.
    pull = {"imagePullPolicy": "Always"} if spec.asks_registry else {}
    image = {"image": spec.image, **pull}
    mounts = {
        "workspace": (WORKDIR, room.workspace),
        "home": ("/home", room.home),
        "tmp": ("/tmp", room.temporary),  # noqa: S108 - a mount in the sandbox
        "run": ("/run", room.small),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"patchwright-{secrets.token_hex(6)}",
            "labels": {SANDBOX_LABEL: "true", INSTALLATION_LABEL: spec.installation},
            "annotations": {
                RUN_LABEL: spec.run_id,
                PURPOSE_LABEL: spec.purpose,
                OUTPUT_LABEL: str(limits.output_bytes),
                FLOOD_LABEL: str(limits.flood_bytes),
            },
        },
        "spec": {
            **closed(int(_GID)),
            "hostname": "sandbox",
            **({"runtimeClassName": spec.runtime} if spec.runtime else {}),
            "initContainers": [
                {
                    "name": "shell",
                    **image,
                    "command": ["bash", "-c", _COPY],
                    "securityContext": confined(KEEPER_USER),
                    "resources": {
                        "limits": {"cpu": "1", "memory": "64Mi"},
                        "requests": {"cpu": _CPU_SHARE, "memory": "64Mi"},
                    },
                    "volumeMounts": [{"name": "own", "mountPath": OWN_MOUNT}],
                }
            ],
            "containers": [
                {
                    "name": CONTAINER,
                    **image,
                    "command": [OWN_BASH, "-c", _KEEPER],
                    "workingDir": WORKDIR,
                    "stdin": True,
                    "env": _environment(),
                    "securityContext": confined(COMMAND_USER),
                    "resources": {
                        "limits": {"cpu": f"{round(limits.cpus * 1000)}m", "memory": memory},
                        # Commands are rare: many sandboxes share a processor, but no memory.
                        "requests": {"cpu": _CPU_SHARE, "memory": memory},
                    },
                    "volumeMounts": [
                        {"name": name, "mountPath": path} for name, (path, _) in mounts.items()
                    ]
                    + [{"name": "own", "mountPath": OWN_MOUNT, "readOnly": True}],
                }
            ],
            "volumes": [
                _memory(name, size)
                for name, size in [*((n, s) for n, (_, s) in mounts.items()), ("own", OWN_SIZE)]
            ],
        },
    }


def in_pod(command: Sequence[str]) -> list[str]:
    """The command as it is started in a pod: nothing of the cluster in its environment, and its
    status told on standard error when it ends.
    """
    return [OWN_BASH, "-c", _START, "bash", *command]


def closed(group: int) -> dict[str, Any]:
    """What the description of every pod of ours begins with; its volumes are the group's."""
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Names are not resolved: there is nobody to ask.
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "shareProcessNamespace": False,
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def confined(user: str) -> dict[str, Any]:
    """The security context of a container that runs as `UID:GID` and may do nothing else."""
    uid, _, gid = user.partition(":")
    return {
        "runAsUser": int(uid),
        "runAsGroup": int(gid),
        "runAsNonRoot": True,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _environment() -> list[dict[str, str]]:
    pairs = (entry.partition("=") for entry in command_environment())
    # A cluster gives the mounts to root, with rights for our group; git asks who owns a folder.
    git = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    found = {name: value for name, _, value in pairs} | git
    return [{"name": name, "value": value} for name, value in found.items()]


def _memory(name: str, size: int) -> dict[str, Any]:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}}
