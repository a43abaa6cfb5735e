"""The chart, linted and rendered by Helm's own library, and its objects by Kubernetes' schemas."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.kubernetes.pod import POLICY
from sandbox.protocol import Limits
from sandbox.setup.cluster.job import SETUP_POLICY, BuildSettings, JobSpec, job
from tests.deploy.figures import DEPLOY
from tests.deploy.programs import helm_python
from tests.support.deploy_files import NEEDED_BY_SETUPS, SETTINGS, permissions

CHART = DEPLOY / "helm" / "patchwright"
LEAST = {"publicUrl": "https://p.example.com", "github": {"appId": 7}}
FULL = LEAST | {
    "secret": {"keys": {"operatorToken": "t", "modelApiKey": "m", "githubClientSecret": "c"}},
    "settings": {"PATCHWRIGHT_CONCURRENCY": "9"},
    "sandbox": {"engine": "kubernetes", "image": "registry.example.com/sandbox:1", "runtime": "g"},
    "autoscaling": {"enabled": True},
    "podMonitor": {"enabled": True},
    "ingress": {"enabled": True, "host": "p.example.com", "tlsSecret": "t", "className": "nginx"},
    "workers": {"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]},
    "networkPolicy": {"database": {"cidr": "10.9.0.0/16"}, "extraEgress": [{"to": []}]},
    "imagePullSecrets": [{"name": "r"}],
}
EXTERNAL = LEAST | {
    "sandbox": {"engine": "external", "url": "tcp://engine.example.com:2375"},
    "networkPolicy": {"enabled": False},
    "podDisruptionBudget": {"enabled": False},
}
OWN_IMAGE = LEAST | {"sandbox": {"image": "registry.example.com/sandbox:1"}}
BUILDER = f"moby/buildkit@sha256:{'1' * 64}"
SETUPS = LEAST | {
    "sandbox": {
        "engine": "kubernetes",
        "image": "registry.example.com/sandbox:1",
        "setups": {
            "enabled": True,
            "registry": "registry.example.com/patchwright",
            "secret": "push",
            "builderImage": BUILDER,
            "copierImage": f"quay.io/skopeo/stable@sha256:{'2' * 64}",
        },
    }
}
VARIANTS = {
    "least": LEAST,
    "full": FULL,
    "external": EXTERNAL,
    "own image": OWN_IMAGE,
    "set-ups": SETUPS,
}
KUBERNETES = ("1.29", "1.33", "1.37")
"""Versions whose schemas are asked."""


@pytest.fixture(scope="module")
def python() -> Path:
    return helm_python()


def called(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("rendering.py")
    return subprocess.run(
        [python, script, CHART, *words], capture_output=True, text=True, check=False
    )


def rendered(python: Path, values: dict[str, Any]) -> dict[tuple[str, str], Any]:
    done = called(python, "render", json.dumps(values))
    assert done.returncode == 0, done.stderr
    objects = json.loads(done.stdout)["objects"]
    found = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    assert len(found) == len(objects)
    return found


def containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    pod = workload["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {v["name"]: v.get("value", "") for v in container.get("env", [])}


def test_lint_finds_nothing(python: Path) -> None:
    found = json.loads(called(python, "lint").stdout)
    assert found["errors"] == []
    assert [m["error"] for m in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_objects_fit_their_schemas(
    python: Path, tmp_path: Path, values: dict[str, Any], version: str
) -> None:
    # PodMonitor is the Prometheus operator's; its schema is not Kubernetes'.
    objects = [o for (kind, _), o in rendered(python, values).items() if kind != "PodMonitor"]
    assert validated(python, tmp_path, objects, version)


def validated(python: Path, folder: Path, objects: list[Any], version: str) -> bool:
    """Whether a version's schemas take all objects, strictly."""
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    command = [python.parent / "kubernetes-validate", "-k", version, "--strict", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.count("passed for resource") == len(objects)


@pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS)
def test_our_containers_are_confined_and_set_only_settings(
    python: Path, values: dict[str, Any]
) -> None:
    for (kind, name), workload in rendered(python, values).items():
        if kind not in ("Deployment", "StatefulSet"):
            continue
        for container in containers(workload):
            security = container["securityContext"]
            assert security["runAsNonRoot"], name
            assert security["readOnlyRootFilesystem"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert not security["allowPrivilegeEscalation"]
            assert set(variables(container)) <= SETTINGS
            mounted = {m["name"] for m in container["volumeMounts"]}
            there = {v["name"] for v in workload["spec"]["template"]["spec"]["volumes"]}
            there |= {
                c["metadata"]["name"] for c in workload["spec"].get("volumeClaimTemplates", [])
            }
            assert mounted <= there


def test_workers_keep_their_names_and_each_node_has_an_engine(python: Path) -> None:
    made = rendered(python, LEAST)
    workers = made["StatefulSet", "pw-workers"]
    image, worker = containers(workers)
    executor = next(v for v in worker["env"] if v["name"] == "PATCHWRIGHT_EXECUTOR_ID")
    assert executor["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert image["args"] == ["images", "build"]
    assert workers["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    engine = made["DaemonSet", "pw-engine"]
    (dockerd,) = containers(engine)
    assert "--host=unix:///run/engine/docker.sock" in dockerd["args"]
    assert not any("tcp" in argument for argument in dockerd["args"])
    sockets = [
        volume["hostPath"]["path"]
        for workload in (workers, engine)
        for volume in workload["spec"]["template"]["spec"]["volumes"]
        if volume["name"] in ("engine", "socket")
    ]
    assert len(sockets) == 2
    assert len(set(sockets)) == 1
    privileged = [
        name
        for (kind, name), o in made.items()
        if kind in ("Deployment", "StatefulSet", "DaemonSet")
        for container in containers(o)
        if container["securityContext"].get("privileged")
    ]
    assert privileged == ["pw-engine"]
    service = made["Deployment", "pw-service"]["spec"]["template"]["spec"]
    assert not any("hostPath" in volume for volume in service["volumes"])


def test_with_pods_as_sandboxes_nothing_is_privileged_and_the_account_makes_pods_only_there(
    python: Path,
) -> None:
    made = rendered(python, FULL)
    assert "privileged" not in json.dumps(list(made.values()))
    assert "hostPath" not in json.dumps(list(made.values()))
    role = made["Role", "pw-workers"]
    assert role["metadata"]["namespace"] == "patchwright-sandboxes"
    assert {r for rule in role["rules"] for r in rule["resources"]} == {
        "pods", "pods/exec", "networkpolicies",
    }  # fmt: skip
    assert not any(kind.startswith("Cluster") for kind, _ in made)
    (worker,) = containers(made["StatefulSet", "pw-workers"])
    assert variables(worker)["PATCHWRIGHT_SANDBOX_ENGINE"] == "kubernetes"
    assert variables(worker)["PATCHWRIGHT_CONCURRENCY"] == "9"
    service = made["Deployment", "pw-service"]["spec"]["template"]["spec"]
    assert service["automountServiceAccountToken"] is False


def test_set_ups_are_permitted_only_in_their_namespace(python: Path) -> None:
    made = rendered(python, SETUPS)
    role = made["Role", "pw-workers-setups"]
    assert role["metadata"]["namespace"] == "patchwright-setups"
    assert permissions(role["rules"]) == NEEDED_BY_SETUPS
    assert "jobs" not in json.dumps(made["Role", "pw-workers"]["rules"])
    (worker,) = containers(made["StatefulSet", "pw-workers"])
    assert variables(worker)["PATCHWRIGHT_KUBERNETES_BUILDER_IMAGE"] == BUILDER
    assert ("Role", "pw-workers-setups") not in rendered(python, FULL)


@pytest.mark.parametrize("version", KUBERNETES)
def test_what_the_service_makes_fits_kubernetes_schemas(
    python: Path, tmp_path: Path, version: str
) -> None:
    build = BuildSettings("s", "r.test/p", "b@sha256:1", "c@sha256:2", "push", "ca")
    spec = JobSpec(
        "r.test/b:1", "r.test/p/x:1", "r.test/b:1", Limits(), 1, 1.0, "r", "run", "own", True
    )
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    objects = [o for f in files for o in yaml.safe_load_all(f.read_text("utf-8"))]
    objects += [job(spec, build), SETUP_POLICY, POLICY]
    if version == "1.29":
        # `appArmorProfile` came with 1.30, which set-ups need.
        del objects[-3]
    assert validated(python, tmp_path, objects, version)


def test_journals_become_files_only_where_these_are_kept(python: Path) -> None:
    (service,) = containers(rendered(python, LEAST)["Deployment", "pw-service"])
    assert variables(service)["PATCHWRIGHT_KEEP_JOURNALS_DAYS"] == "0"
    kept = LEAST | {
        "service": {"replicas": 1, "archivesClaim": "old"},
        "settings": {"PATCHWRIGHT_KEEP_JOURNALS_DAYS": "9"},
    }
    deployment = rendered(python, kept)["Deployment", "pw-service"]
    (service,) = containers(deployment)
    assert variables(service)["PATCHWRIGHT_KEEP_JOURNALS_DAYS"] == "9"
    places = {m["name"]: m["mountPath"] for m in service["volumeMounts"]}
    assert places["archives"] == "/var/lib/patchwright/archives"
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_scaling_is_left_to_the_autoscaler_where_there_is_one(python: Path) -> None:
    made = rendered(python, FULL)
    scaler = made["HorizontalPodAutoscaler", "pw-workers"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == "pw-workers"
    assert scaler["metrics"][0]["external"]["metric"]["name"] == "patchwright_live_runs"
    assert "replicas" not in made["StatefulSet", "pw-workers"]["spec"]
    assert rendered(python, LEAST)["StatefulSet", "pw-workers"]["spec"]["replicas"] == 2


def test_policies_and_budgets_select_the_pods_that_they_are_for(python: Path) -> None:
    made = rendered(python, LEAST)
    pods = {
        name: o["spec"]["template"]["metadata"]["labels"]
        for (kind, name), o in made.items()
        if kind in ("Deployment", "StatefulSet", "DaemonSet")
    }

    def chosen(selector: dict[str, str]) -> set[str]:
        return {n for n, labels in pods.items() if selector.items() <= labels.items()}

    policies = {n: o["spec"] for (kind, n), o in made.items() if kind == "NetworkPolicy"}
    assert chosen(policies["pw-closed"]["podSelector"]["matchLabels"]) == set(pods)
    assert "ingress" not in policies["pw-closed"]
    assert "egress" not in policies["pw-closed"]
    for name in ("service", "workers", "engine"):
        assert chosen(policies[f"pw-{name}"]["podSelector"]["matchLabels"]) == {f"pw-{name}"}
    assert "ingress" not in policies["pw-engine"]
    for (kind, name), o in made.items():
        if kind == "PodDisruptionBudget":
            assert chosen(o["spec"]["selector"]["matchLabels"]) == {name}
        if kind == "Service":
            assert chosen(o["spec"]["selector"]) == {name}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"github": {"appId": 7}}, "publicUrl"),
        ({"publicUrl": "https://p.example.com"}, "github.appId"),
        (LEAST | {"publicUrl": "p.example.com"}, "publicUrl"),
        (LEAST | {"sandbox": {"engine": "external"}}, "sandbox.url"),
        (LEAST | {"sandbox": {"engine": "kubernetes"}}, "sandbox.image"),
        (LEAST | {"sandbox": {"engine": "podman"}}, "engine"),
        (LEAST | {"sandbox": SETUPS["sandbox"] | {"setups": {"enabled": True}}}, "registry"),
        (LEAST | {"sandbox": {"setups": {"builderImage": "moby/buildkit:latest"}}}, "builderImage"),
        (LEAST | {"settings": {"PATCHWRIGHT_CONCURRENCY": 9}}, "want string"),
        (LEAST | {"settings": {"CONCURRENCY": "9"}}, "CONCURRENCY"),
        (LEAST | {"ingress": {"enabled": True}}, "ingress.host"),
        (LEAST | {"service": {"archivesClaim": "old"}}, "service.replicas: 1"),
        (LEAST | {"settings": {"PATCHWRIGHT_KEEP_JOURNALS_DAYS": "9"}}, "service.archivesClaim"),
    ],
)
def test_values_that_cannot_be_are_refused(
    python: Path, values: dict[str, Any], words: str
) -> None:
    done = called(python, "render", json.dumps(values))
    assert done.returncode != 0
    assert words in done.stderr
