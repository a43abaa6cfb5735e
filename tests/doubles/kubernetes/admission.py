"""What a cluster refuses to take: wrong objects, and pods beyond the `restricted` standard.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ and
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

from __future__ import annotations

import re
from typing import Any

_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|Ki|Mi|Gi)?")

_POD = {
    "activeDeadlineSeconds", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy",
    "enableServiceLinks", "hostIPC", "hostNetwork", "hostPID", "hostname", "initContainers",
    "nodeSelector", "restartPolicy", "runtimeClassName", "securityContext", "serviceAccountName",
    "shareProcessNamespace", "terminationGracePeriodSeconds", "tolerations", "volumes",
}  # fmt: skip
_CONTAINER = {
    "args", "command", "env", "image", "imagePullPolicy", "name", "resources", "securityContext",
    "stdin", "stdinOnce", "tty", "volumeMounts", "workingDir",
}  # fmt: skip


class Refused(Exception):
    """A status code and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def check_metadata(metadata: dict[str, Any]) -> None:
    if not _NAME.fullmatch(metadata.get("name", "")):
        raise Refused(422, f"metadata.name: Invalid value: {metadata.get('name')!r}")
    for key, value in metadata.get("labels", {}).items():
        if not _KEY.fullmatch(key) or not _LABEL.fullmatch(value):
            raise Refused(422, f"metadata.labels: Invalid value: {key}={value!r}")
    for key, value in metadata.get("annotations", {}).items():
        if not _KEY.fullmatch(key) or not isinstance(value, str):
            raise Refused(422, f"metadata.annotations: Invalid value: {key}={value!r}")


def check_pod(pod: dict[str, Any]) -> None:
    if (pod.get("apiVersion"), pod.get("kind")) != ("v1", "Pod"):
        raise Refused(400, "the object is no Pod")
    check_metadata(pod["metadata"])
    spec = pod["spec"]
    if unknown := set(spec) - _POD:
        raise Refused(400, f"strict decoding error: unknown field {sorted(unknown)}")
    if spec.get("dnsPolicy") == "None" and not spec.get("dnsConfig", {}).get("nameservers"):
        raise Refused(422, "spec.dnsConfig.nameservers: Required value")
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        if unknown := set(container) - _CONTAINER:
            raise Refused(400, f"strict decoding error: unknown field {sorted(unknown)}")
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                raise Refused(422, f"volumeMounts.name: Not found: {mount['name']!r}")
        for kind in container.get("resources", {}).values():
            for quantity in kind.values():
                if not isinstance(quantity, str) or not _QUANTITY.fullmatch(quantity):
                    raise Refused(400, f"quantities must match the regular expression: {quantity}")
    _restricted(spec)


def _restricted(spec: dict[str, Any]) -> None:
    def refuse(why: str) -> None:
        raise Refused(403, f'pods is forbidden: violates PodSecurity "restricted:latest": {why}')

    pod = spec.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            refuse(name)
    for volume in spec.get("volumes", []):
        if set(volume) - {"name", "emptyDir"}:
            refuse(f"restricted volume types: {volume['name']}")
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = container.get("securityContext", {})
        if own.get("privileged"):
            refuse("privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            refuse("allowPrivilegeEscalation != false")
        if "ALL" not in own.get("capabilities", {}).get("drop", []):
            refuse("unrestricted capabilities")
        if not (own.get("runAsNonRoot") or pod.get("runAsNonRoot")) or own.get("runAsUser") == 0:
            refuse("runAsNonRoot != true")
        profile = (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
        if profile not in ("RuntimeDefault", "Localhost"):
            refuse("seccompProfile")
