"""What a set-up's Job is made of: pure functions to the cluster's terms.

Its pod has no network: a policy closes it, and the only way out is a tunnel through the cluster's
API to the egress proxy of this process, whose end in the pod is the container `relay`. The other
containers run one after another:

- `fetch` copies the base image from its registry into a volume;
- `build` runs the repository's commands, in BuildKit's own containers within this one;
- `push` copies the result to the operator's registry.

The registry's secret is mounted in `fetch` and `push`, which run no code of the repository, and not
in `build`: every process of `build` has ended before `push` starts, for `build` is one of the pod's
`initContainers`. While `build` runs the tunnel leads to the hosts of set-up, not to the registry.

Rootless BuildKit needs what the Pod Security Standards forbid (no seccomp filter, `newuidmap`), so
Jobs have a namespace of their own:
https://github.com/moby/buildkit/blob/master/docs/rootless.md
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.pod import POLICY, closed, confined
from sandbox.protocol import Limits
from sandbox.setup.cluster.build_files import BASE
from sandbox.spec import INSTALLATION_LABEL, KEEPER_USER, RUN_LABEL

SETUP_LABEL = "patchwright.setup"
"""Every set-up's Job and pod has it; the network's policy and the sweep go by it."""
RECIPE_LABEL = "patchwright.recipe"
SETUP_PORT, REGISTRY_PORT = 3128, 3129
"""Where the relay listens for the set-up's commands, and for the copies of images."""

CONTEXT = "/work/context"
READY = f"{CONTEXT}/.ready"
_IMAGE = "/work/image.tar"
_BASE = "/work/base"
_AUTH = "/run/registry/config.json"
_CA = "/run/registry-ca/ca.crt"
_BUILD_USER = 1000
"""The user of `moby/buildkit:rootless`, which has subordinate users in that image."""
_COPIER_HOME = "/copier"
"""Not where `build` may write: skopeo reads settings and names of programs there."""
_STATE = "/home/user/.local/share/buildkit"
_GRACE_S = 1800.0
"""For the copies of images, besides the time that the commands have."""
_COPY_MEMORY = "1Gi"

SETUP_POLICY: dict[str, Any] = {
    **POLICY,
    "metadata": {"name": "patchwright-setups-reach-nothing"},
    "spec": {
        "podSelector": {"matchLabels": {SETUP_LABEL: "true"}},
        "policyTypes": ["Ingress", "Egress"],
    },
}
"""As for sandboxes: the way out leads through the API server, not through the pod's network."""

# The tunnel opens when the container is seen to run.
# One stream: logs do not keep the order of two, and the last line is told.
_WHEN_OPEN = (
    f"until (exec 3<>/dev/tcp/127.0.0.1/{REGISTRY_PORT}) 2>/dev/null; do sleep 0.2; done; "
    'exec "$@" 2>&1'
)
# Digests are looked up, not trusted: the layout has one image.
_DIGEST = f'sed -n \'s/.*"digest":"\\(sha256:[0-9a-f]*\\)".*/\\1/p\' {_BASE}/index.json | head -n 1'


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What an operator's cluster has for set-ups."""

    namespace: str
    registry: str
    """Registry and path below which prepared images are pushed."""
    builder_image: str
    """Rootless BuildKit, by digest."""
    copier_image: str
    """skopeo and bash, by digest."""
    secret: str = ""
    """Secret of the type kubernetes.io/dockerconfigjson in the namespace; empty: none is needed."""
    ca_config_map: str = ""
    """ConfigMap with the registry's certificates as `ca.crt`; empty: the copier's own."""
    registry_hosts: tuple[str, ...] = ()
    """Hosts that registries send to for layers, besides themselves."""
    keep_s: int = 30 * 86400
    """How long a finished Job, which says where its image is, is kept."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One set-up."""

    base: str
    """The image that it starts from."""
    target: str
    """The name that the result is pushed to, with a tag."""
    relay_image: str
    """Has python3."""
    limits: Limits
    disk_bytes: int
    timeout_s: float
    recipe: str
    run_id: str
    installation: str
    own_base: bool
    """Whether the base is the operator's, and the registry's secret may be shown for it."""


def job(spec: JobSpec, settings: BuildSettings) -> dict[str, Any]:
    """The Job of one set-up."""
    labels = {
        SETUP_LABEL: "true",
        INSTALLATION_LABEL: spec.installation,
        RECIPE_LABEL: spec.recipe,
    }
    notes = {RUN_LABEL: spec.run_id}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"patchwright-setup-{secrets.token_hex(6)}",
            "labels": labels,
            "annotations": notes,
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(spec.timeout_s + _GRACE_S),
            "ttlSecondsAfterFinished": settings.keep_s,
            "template": {
                "metadata": {"labels": labels, "annotations": notes},
                "spec": _pod(spec, settings),
            },
        },
    }


def _pod(spec: JobSpec, settings: BuildSettings) -> dict[str, Any]:
    # The base, its layers unpacked, what is written, and the result packed.
    room = str(4 * spec.disk_bytes)
    volumes: list[dict[str, Any]] = [
        {"name": "work", "emptyDir": {"sizeLimit": room}},
        {"name": "state", "emptyDir": {"sizeLimit": room}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "copier", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    secret: list[dict[str, Any]] = []
    ca: list[dict[str, Any]] = []
    if settings.secret:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        volumes.append(
            {"name": "registry", "secret": {"secretName": settings.secret, "items": items}}
        )
        secret = [{"name": "registry", "mountPath": "/run/registry", "readOnly": True}]
    if settings.ca_config_map:
        volumes.append({"name": "registry-ca", "configMap": {"name": settings.ca_config_map}})
        ca = [{"name": "registry-ca", "mountPath": "/run/registry-ca", "readOnly": True}]
    return {
        **closed(_BUILD_USER),
        "initContainers": [
            _relay(spec),
            _copier(
                "fetch",
                settings,
                f"docker://{spec.base}",
                f"oci:{_BASE}:base",
                secret if spec.own_base else [],
                ca,
            ),
            _builder(spec, settings),
        ],
        "containers": [
            _copier(
                "push", settings, f"oci-archive:{_IMAGE}", f"docker://{spec.target}", secret, ca
            )
        ],
        "volumes": volumes,
    }


def _relay(spec: JobSpec) -> dict[str, Any]:
    """Runs nobody's code. It starts first and lives as long as the others."""
    return {
        "name": "relay",
        "image": spec.relay_image,
        "restartPolicy": "Always",
        "command": ["sleep", "infinity"],
        "securityContext": confined(KEEPER_USER),
        "resources": _resources("500m", "128Mi", "64Mi"),
    }


def _copier(
    name: str,
    settings: BuildSettings,
    source: str,
    target: str,
    secret: list[dict[str, Any]],
    ca: list[dict[str, Any]],
) -> dict[str, Any]:
    proxy = f"http://127.0.0.1:{REGISTRY_PORT}"
    variables = {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NO_PROXY": ""}
    variables["HOME"] = _COPIER_HOME
    if ca:
        variables["SSL_CERT_FILE"] = _CA
    auth = ["--authfile", _AUTH] if secret else []
    return {
        "name": name,
        "image": settings.copier_image,
        "command": [
            *("bash", "-c", _WHEN_OPEN, "copy"),
            *("skopeo", "--insecure-policy", "--tmpdir", "/work", "copy", "--retry-times", "3"),
            *auth,
            *(("--digestfile", "/dev/termination-log") if name == "push" else ()),
            source,
            target,
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": _variables(variables),
        "securityContext": confined(f"{_BUILD_USER}:{_BUILD_USER}"),
        "resources": _resources("1", _COPY_MEMORY, "64Mi"),
        "volumeMounts": [
            {"name": "work", "mountPath": "/work"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
            {"name": "copier", "mountPath": _COPIER_HOME},
            *secret,
            *ca,
        ],
    }


def _builder(spec: JobSpec, settings: BuildSettings) -> dict[str, Any]:
    """BuildKit, which waits for its files. https://github.com/moby/buildkit#opencontainers"""
    build = (
        "buildctl-daemonless.sh build --progress=plain --frontend=dockerfile.v0 "
        f"--local context={CONTEXT} --local dockerfile={CONTEXT} "
        f"--oci-layout base={_BASE} --opt context:{BASE}=oci-layout://base@$digest "
        f"--output type=oci,dest={_IMAGE}"
    )
    limits, disk = spec.limits, str(4 * spec.disk_bytes)
    return {
        "name": "build",
        "image": settings.builder_image,
        "command": [
            "sh",
            "-c",
            f"set -e; mkdir -p {CONTEXT}; until [ -e {READY} ]; do sleep 0.2; done; "
            f"digest=$({_DIGEST}); exec {build}",
        ],
        "env": _variables(
            # Processes of the commands have the pod's network, so that they reach the relay.
            {"BUILDKITD_FLAGS": "--oci-worker-no-process-sandbox --oci-worker-net=host"}
        ),
        "securityContext": {
            "runAsUser": _BUILD_USER,
            "runAsGroup": _BUILD_USER,
            "runAsNonRoot": True,
            "privileged": False,
            # For newuidmap, with which BuildKit makes its user namespace.
            "allowPrivilegeEscalation": True,
            "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
            "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "Unconfined"},
        },
        "resources": {
            "limits": {
                "cpu": f"{round(limits.cpus * 1000)}m",
                "memory": str(limits.memory_bytes),
                "ephemeral-storage": disk,
            },
            "requests": {
                "cpu": "100m",
                "memory": str(limits.memory_bytes),
                "ephemeral-storage": str(spec.disk_bytes),
            },
        },
        "volumeMounts": [
            {"name": "work", "mountPath": "/work"},
            {"name": "state", "mountPath": _STATE},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
        ],
    }


def _resources(cpu: str, memory: str, disk: str) -> dict[str, Any]:
    return {
        "limits": {"cpu": cpu, "memory": memory, "ephemeral-storage": disk},
        "requests": {"cpu": "100m", "memory": memory, "ephemeral-storage": disk},
    }


def _variables(named: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in named.items()]
