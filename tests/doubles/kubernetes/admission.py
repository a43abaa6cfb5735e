"""What a cluster refuses to take: wrong objects, and pods beyond the `restricted` standard.

Objects are held to the models of the official client, which are made from Kubernetes' own OpenAPI
description: names of fields, their types, what must be there.

https://kubernetes.io/docs/concepts/security/pod-security-standards/ and
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes.aio import client

_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|Ki|Mi|Gi)?")


class Refused(Exception):
    """A status code and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def check_fields(body: dict[str, Any], version: str, kind: str) -> None:
    """Refuse what strict decoding refuses (`fieldValidation: Strict`)."""
    if (body.get("apiVersion"), body.get("kind")) != (version, kind):
        raise Refused(400, f"the object is no {kind}")
    try:
        model = getattr(client, f"V1{kind}").from_dict(body)
    except ValueError as error:
        raise Refused(400, f"{kind} in version {version} cannot be handled: {error}") from None
    if unknown := list(_unknown(body, model.to_dict(serialize=True), "")):
        raise Refused(400, f"strict decoding error: unknown field {unknown}")


def _unknown(sent: Any, taken: Any, path: str) -> Iterator[str]:
    """Fields that no model took."""
    if isinstance(sent, dict):
        for name, value in sent.items():
            if not isinstance(taken, dict) or name not in taken:
                yield f"{path}{name}"
            else:
                yield from _unknown(value, taken[name], f"{path}{name}.")
    elif isinstance(sent, list) and isinstance(taken, list):
        for one, other in zip(sent, taken, strict=True):
            yield from _unknown(one, other, path)


def check_metadata(metadata: dict[str, Any]) -> None:
    if not _NAME.fullmatch(metadata.get("name", "")):
        raise Refused(422, f"metadata.name: Invalid value: {metadata.get('name')!r}")
    for key, value in metadata.get("labels", {}).items():
        if not _KEY.fullmatch(key) or not _LABEL.fullmatch(value):
            raise Refused(422, f"metadata.labels: Invalid value: {key}={value!r}")
    for key, value in metadata.get("annotations", {}).items():
        if not _KEY.fullmatch(key) or not isinstance(value, str):
            raise Refused(422, f"metadata.annotations: Invalid value: {key}={value!r}")


def check_job(job: dict[str, Any], *, restricted: bool = True) -> None:
    check_fields(job, "batch/v1", "Job")
    check_metadata(job["metadata"])
    template = job["spec"]["template"]
    if template["spec"].get("restartPolicy") not in ("Never", "OnFailure"):
        raise Refused(422, 'spec.template.spec.restartPolicy: Required value: "OnFailure", "Never"')
    metadata = {"name": job["metadata"]["name"], **template.get("metadata", {})}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    check_pod(pod, restricted=restricted)


def check_pod(pod: dict[str, Any], *, restricted: bool = True) -> None:
    check_fields(pod, "v1", "Pod")
    check_metadata(pod["metadata"])
    spec = pod["spec"]
    if spec.get("dnsPolicy") == "None" and not spec.get("dnsConfig", {}).get("nameservers"):
        raise Refused(422, "spec.dnsConfig.nameservers: Required value")
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                raise Refused(422, f"volumeMounts.name: Not found: {mount['name']!r}")
        for kind in container.get("resources", {}).values():
            for quantity in kind.values():
                if not isinstance(quantity, str) or not _QUANTITY.fullmatch(quantity):
                    raise Refused(400, f"quantities must match the regular expression: {quantity}")
    for container in spec["containers"]:
        if "restartPolicy" in container:
            raise Refused(422, "restartPolicy: Forbidden: may not be set for non-init containers")
    if restricted:
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
