"""What a cluster is told of a sandbox, and how its answers are read: pure parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.errors import ImageMissing, SandboxError
from sandbox.kubernetes.engine import closes_network, waits_for
from sandbox.kubernetes.exec_socket import status_code
from sandbox.kubernetes.pod import POLICY, pod
from sandbox.kubernetes.pod_machine import death
from sandbox.protocol import Limits
from sandbox.spec import SandboxSpec
from tests.doubles.kubernetes.admission import Refused, check_metadata, check_pod

SPEC = SandboxSpec(
    "registry.test/base:1", Limits(cpus=1.5, memory_bytes=2**30), "run/1", "gate", "runsc", "here"
)


def test_a_pod_is_closed_on_every_side() -> None:
    made = pod(SPEC)
    check_pod(made)
    spec = made["spec"]
    assert spec["runtimeClassName"] == "runsc"
    assert spec["automountServiceAccountToken"] is False
    (box,) = spec["containers"]
    assert box["securityContext"]["runAsUser"] == 10001
    limits, wanted = box["resources"]["limits"], box["resources"]["requests"]
    assert limits == {"cpu": "1500m", "memory": str(2**30)}
    assert wanted["memory"] == limits["memory"], "memory is never promised twice"
    assert all(v["emptyDir"]["medium"] == "Memory" for v in spec["volumes"])
    sizes = sum(int(v["emptyDir"]["sizeLimit"]) for v in spec["volumes"])
    assert sizes < 2**30, "a full disk is no dead pod"
    own = next(m for m in box["volumeMounts"] if m["mountPath"] == "/.patchwright")
    assert own["readOnly"] is True
    assert "runtimeClassName" not in pod(SandboxSpec("x", Limits(), "r", "p"))["spec"]


@pytest.mark.parametrize(("asks", "policy"), [(True, "Always"), (False, None)])
def test_an_image_that_a_repository_names_is_asked_for_at_its_registry(
    asks: bool, policy: str | None
) -> None:
    made = pod(replace(SPEC, asks_registry=asks))
    check_pod(made)
    parts = made["spec"]["containers"] + made["spec"]["initContainers"]
    assert [part.get("imagePullPolicy") for part in parts] == [policy] * 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"surprise": 1}, "unknown field"),
        ({"hostNetwork": "no"}, "valid boolean"),
        ({"containers": [{"image": "i"}]}, "valid string"),
        ({"volumes": [{"name": "own", "hostPath": {"path": "/"}}]}, "not found|volume"),
        ({"securityContext": {}}, "seccompProfile"),
    ],
)
def test_the_stand_in_refuses_what_a_cluster_refuses(change: dict[str, Any], why: str) -> None:
    made = pod(SPEC)
    made["spec"] |= change
    with pytest.raises(Refused, match=f"(?i){why}"):
        check_pod(made)
    with pytest.raises(Refused, match="labels"):
        check_metadata({"name": "a", "labels": {"run": "a/b"}})


def test_only_a_policy_without_rules_closes() -> None:
    assert closes_network(POLICY)
    spec = POLICY["spec"]
    for change in (
        {"egress": [{}]},
        {"ingress": [{"from": []}]},
        {"policyTypes": ["Egress"]},
        {"podSelector": {"matchLabels": {"other": "true"}}},
    ):
        assert not closes_network({"spec": spec | change})
    assert not closes_network({})


def status(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    boxes = [{"name": "sandbox", "image": "i", "state": state}]
    return {"status": {"phase": "Pending", "containerStatuses": boxes, **more}}


def test_what_a_pod_waits_for() -> None:
    assert waits_for(status({"waiting": {"reason": "ContainerCreating"}})) == ""
    assert waits_for(status({"waiting": {"reason": "ErrImagePull"}})) == "", "it is tried again"
    unscheduled = [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: memory"}]
    assert waits_for(status({}, conditions=unscheduled)) == "0/3 nodes: memory"
    with pytest.raises(ImageMissing, match="denied"):
        waits_for(status({"waiting": {"reason": "ImagePullBackOff", "message": "denied"}}))
    with pytest.raises(SandboxError, match="RunContainerError"):
        waits_for(status({"waiting": {"reason": "RunContainerError"}}))
    with pytest.raises(SandboxError, match="exit 3"):
        waits_for(status({"terminated": {"exitCode": 3}}))
    first = {"initContainerStatuses": [{"name": "shell", "state": {"terminated": {"exitCode": 1}}}]}
    with pytest.raises(SandboxError, match="exit 1"):
        waits_for(status({}, **first))


def test_why_a_pod_died() -> None:
    assert death(status({"running": {}})) == ""
    assert death(status({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})) == (
        "out of memory"
    )
    assert death(status({"terminated": {"exitCode": 1, "reason": "Error"}})) == "exit 1"
    evicted = {"status": {"phase": "Failed", "reason": "Evicted", "message": "node is full"}}
    assert death(evicted) == "Evicted"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"status": "Success"}, 0),
        (
            {
                "status": "Failure",
                "details": {"causes": [{"reason": "ExitCode", "message": "7"}]},
            },
            7,
        ),
        ({"status": "Failure", "reason": "InternalError"}, None),
        ([], None),
    ],
)
def test_a_status_is_read(said: object, code: int | None) -> None:
    assert status_code(json.dumps(said).encode()) == code
    assert status_code(b"{") is None


def test_what_is_applied_beforehand_is_what_the_engine_would_make() -> None:
    path = Path(__file__).resolve().parents[4] / "deploy" / "kubernetes" / "sandboxes.yaml"
    objects = list(yaml.safe_load_all(path.read_text("utf-8")))
    (policy,) = [o for o in objects if o["kind"] == "NetworkPolicy"]
    assert policy["spec"] == POLICY["spec"]
    assert policy["metadata"]["name"] == POLICY["metadata"]["name"]
    spaces = {o["metadata"].get("namespace") for o in objects} - {None}
    assert spaces == {o["metadata"]["name"] for o in objects if o["kind"] == "Namespace"}
