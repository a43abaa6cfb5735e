"""What a cluster is told of a set-up, and how its answers are read: pure parts."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.environment.image_reference import parse_reference
from sandbox.environment.records import Environment, Step
from sandbox.errors import SandboxError
from sandbox.protocol import Limits
from sandbox.setup.cluster import states
from sandbox.setup.cluster.build_files import build_files, failed_command, plain_log
from sandbox.setup.cluster.images import repository_name
from sandbox.setup.cluster.job import SETUP_POLICY, BuildSettings, JobSpec, job
from sandbox.setup.prepare import ImageKey
from sandbox.setup.records import SetupFailed, SetupPolicy
from sandbox.setup.variables import LONGEST_VALUE
from tests.doubles.kubernetes.admission import Refused, check_job
from tests.support.deploy_files import NEEDED_BY_SETUPS, permissions

KEY = ImageKey("r" * 32, "o/r")
BUILD = BuildSettings("setups", "r.test/p", "builder@sha256:1", "copier@sha256:2", "push", "ca")
SPEC = JobSpec(
    "r.test/base:1", "r.test/p/o-r:recipe", "r.test/base:1", Limits(cpus=1.5), 2**30, 60.0,
    "r" * 32, "run/1", "here", True,
)  # fmt: skip


def files(environment: Environment, **policy: Any) -> Any:
    return build_files(environment, KEY, {"own": "me"}, SetupPolicy(**policy), trusts=True)


def test_nothing_of_a_repository_is_in_the_dockerfile_but_escaped_values() -> None:
    hostile = 'x"\nRUN evil'
    made = files(
        Environment(
            'o/r: a "source"\nRUN evil',
            steps=(Step("echo 'one\ntwo' # \\", folder="a b; evil"), Step("two", root=True)),
            variables=(
                ("A", 'say "$PATH" \\ $(id) ${x:-y} ${B}'),
                ("PATH", "/opt/bin:$PATH"),
            ),
        )
    )
    lines = made.dockerfile.splitlines()
    assert 'ENV A="say \\"$PATH\\" \\\\ \\$(id) \\${x:-y} ${B}"' in lines
    assert 'ENV PATH="/opt/bin:$PATH"' in lines
    assert 'LABEL patchwright.source="o/r: a \\"source\\"?RUN evil"' in lines
    assert [line.split()[0] for line in lines if line.startswith("RUN")] == ["RUN"] * 5
    assert not any("evil" in line for line in lines if line.startswith("RUN"))
    users = [line for line in lines if line.startswith("USER")]
    assert users == ["USER 0:0", "USER 10001:10001", "USER 0:0", "USER 0:0", "USER 10001:10001"]
    assert "cd 'a b; evil' && { echo 'one\ntwo' # \\\n}" in made.scripts["step-0"]
    assert "export https_proxy=http://127.0.0.1:3128" in made.scripts["step-0"]
    assert "proxy" not in files(Environment("x"), network=False).scripts["needed"]
    with pytest.raises(SetupFailed, match="ENV A"):
        files(Environment("x", variables=(("A", hostile),)))
    for name in ("A=1\nUSER 0:0\nRUN evil\nENV B", "A=1 B", "A\n", ""):
        with pytest.raises(SetupFailed, match="name is none"):
            files(Environment("x", variables=((name, "x"),)))
    long = (("A", "x" * 40_000), ("B", "$A$A"))
    with pytest.raises(SetupFailed, match=f"longer than {LONGEST_VALUE}"):
        files(Environment("x", variables=long))


def test_what_is_for_runs_is_offline_and_what_is_built_upon_is_not() -> None:
    assert 'ENV PIP_NO_INDEX="1"' in files(Environment("x", steps=(Step("a"),))).dockerfile
    shared = Environment("x", steps=(Step("a", shared=True),))
    assert "PIP_NO_INDEX" not in files(shared).dockerfile
    further = Environment("x", steps=(Step("a"),), parent="r.test/p/x@sha256:1")
    lines = files(further).dockerfile.splitlines()
    assert lines.index('ENV PIP_NO_INDEX="0"') < lines.index('ENV PIP_NO_INDEX="1"')


def test_the_context_has_the_tree_as_a_file(tmp_path: Path) -> None:
    tree, context = tmp_path / "tree.tar", tmp_path / "context.tar"
    tree.write_bytes(b"a tar")
    made = files(Environment("x", steps=(Step("a"),)))
    made.write(context, tree, b"CA")
    with tarfile.open(context) as archive:
        names = archive.getnames()
        inner = archive.extractfile("tree.tar")
        assert inner is not None and inner.read() == b"a tar"
    assert sorted(names) == [
        "Dockerfile", "begin", "ca.pem", "finish", "needed", "step-0", "tree.tar",
    ]  # fmt: skip


def test_the_command_that_failed_is_found_in_buildkits_log() -> None:
    environment = Environment("x", steps=(Step("first"), Step("second")))
    said = 'error: failed to solve: process "bash /.patchwright-setup/{}" did not complete '
    log = said + "successfully: exit code: 7"
    assert failed_command(environment, log.format("step-1")) == ("second", "exit 7")
    assert failed_command(environment, log.format("begin")) == ("unpacking the tree", "exit 7")
    assert failed_command(environment, log.format("step-9")) == ("", "")
    killed = said.format("step-0") + "successfully: signal: killed"
    assert failed_command(environment, killed) == ("first", "killed")
    assert failed_command(environment, "error: no space left on device") == ("", "")
    assert plain_log("#12 3.456 hello\n#1 [internal] load\nrest") == "hello\n[internal] load\nrest"


def test_only_the_copies_of_images_see_the_registrys_secret() -> None:
    made = job(SPEC, BUILD)
    check_job(made, restricted=False)
    with pytest.raises(Refused, match="PodSecurity"):
        check_job(made)
    pod = made["spec"]["template"]["spec"]
    containers = {c["name"]: c for c in (*pod["initContainers"], *pod["containers"])}
    assert list(containers) == ["relay", "fetch", "build", "push"]
    mounts = {
        name: {m["name"] for m in c.get("volumeMounts", [])} for name, c in containers.items()
    }
    assert "registry" not in mounts["build"] | mounts["relay"]
    assert "registry" in mounts["fetch"] & mounts["push"]
    homes = [e["value"] for e in containers["push"]["env"] if e["name"] == "HOME"]
    [home] = [m for m in containers["push"]["volumeMounts"] if m["mountPath"] in homes]
    assert home["name"] not in mounts["build"], "skopeo's settings are no repository's to write"
    assert "build" in [c["name"] for c in pod["initContainers"]], "it has ended before the push"
    assert pod["automountServiceAccountToken"] is False
    assert not any(pod[name] for name in ("hostNetwork", "hostPID", "shareProcessNamespace"))
    for name, container in containers.items():
        security, limits = container["securityContext"], container["resources"]["limits"]
        assert security["privileged"] is False and security["runAsNonRoot"] is True
        assert set(limits) == {"cpu", "memory", "ephemeral-storage"}
        assert security["allowPrivilegeEscalation"] is (name == "build")
    assert made["spec"]["activeDeadlineSeconds"] > SPEC.timeout_s
    assert made["spec"]["backoffLimit"] == 0
    foreign = job(replace(SPEC, own_base=False), BUILD)["spec"]["template"]["spec"]
    fetch = foreign["initContainers"][1]
    assert "--authfile" not in fetch["command"]
    assert "registry" not in {m["name"] for m in fetch["volumeMounts"]}
    bare = job(SPEC, replace(BUILD, secret="", ca_config_map=""))
    check_job(bare, restricted=False)
    assert "SSL_CERT_FILE" not in str(bare)


def test_no_two_scopes_share_a_place_in_the_registry() -> None:
    scopes = ("o/r", "o/r (other branches)", "o-r/x", "o/r-x", "O/R", "", "ünïcode/" + "x" * 200)
    names = [repository_name("me", scope) for scope in scopes]
    assert len({*names, repository_name("you", "o/r")}) == len(scopes) + 1
    for name in names:
        assert parse_reference(f"r.test/p/{name}:t").path == f"p/{name}"


def pod(phase: str = "Pending", **containers: dict[str, Any]) -> dict[str, Any]:
    listed = [{"name": name, "state": state} for name, state in containers.items()]
    return {"status": {"phase": phase, "initContainerStatuses": listed[:1],
                       "containerStatuses": listed[1:]}}  # fmt: skip


def test_how_far_a_pod_has_come() -> None:
    assert states.is_running(pod(relay={"running": {}}), "relay")
    assert not states.is_running(pod(relay={}), "build")
    assert states.ended(pod(build={"running": {}}), "build") is None
    done = states.ended(pod(build={"terminated": {"exitCode": 3, "message": "m"}}), "build")
    assert done == states.Ended(3, "", "m")
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "denied"}}
    with pytest.raises(SandboxError, match=r"`build` does not start .*denied"):
        states.ended(pod(build=waiting), "build")
    evicted = {"status": {"phase": "Failed", "reason": "Evicted", "message": "disk"}}
    assert states.pod_failure(evicted) == "Evicted: disk"
    assert states.pod_failure(pod("Running")) == ""


@pytest.mark.parametrize(
    ("message", "code", "digest"),
    [
        (f"sha256:{'a' * 64}\n", 0, f"sha256:{'a' * 64}"),
        (f"sha256:{'a' * 64}", 1, ""),
        (f"sha256:{'g' * 64}", 0, ""),
        ("sha256:abc", 0, ""),
        ("", 0, ""),
    ],
)
def test_only_a_digest_is_taken_for_one(message: str, code: int, digest: str) -> None:
    done = {"terminated": {"exitCode": code, "message": message}}
    assert states.finished_image(pod("Succeeded", relay={}, push=done)) == digest


def test_what_is_applied_beforehand_is_what_set_ups_need() -> None:
    path = Path(__file__).resolve().parents[4] / "deploy" / "kubernetes" / "setups.yaml"
    objects = {o["kind"]: o for o in yaml.safe_load_all(path.read_text("utf-8"))}
    assert objects["NetworkPolicy"]["spec"] == SETUP_POLICY["spec"]
    assert objects["NetworkPolicy"]["metadata"]["name"] == SETUP_POLICY["metadata"]["name"]
    assert permissions(objects["Role"]["rules"]) == NEEDED_BY_SETUPS
    spaces = {o["metadata"].get("namespace") for o in objects.values()} - {None}
    assert spaces == {objects["Namespace"]["metadata"]["name"]}
