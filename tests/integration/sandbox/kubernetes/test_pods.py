"""Sandboxes as pods, against the stand-in cluster: what the conformance suite does not ask."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from app.sandboxes.environment import EnvironmentRequest
from app.sandboxes.kubernetes import KubernetesSandboxes, kubernetes_engine
from app.server.bootstrap import require_cluster
from app.settings.base import SettingsError
from app.settings.schema import Settings
from sandbox.environment.choose import EnvironmentSettings
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxError, SandboxGone
from sandbox.images.base_image import BASE_IMAGE
from sandbox.kubernetes.access import cluster_access
from sandbox.kubernetes.engine import KubernetesEngine
from sandbox.protocol import Limits
from sandbox.spec import SandboxSpec
from tests.doubles.kubernetes.server import Cluster, serving_cluster
from tests.support.sandboxes.fixtures import TREE, DockerOpener, access_to, tar_of

pytestmark = pytest.mark.docker


def spec(installation: str, image: str = BASE_IMAGE) -> SandboxSpec:
    return SandboxSpec(image, Limits(), f"run-{uuid.uuid4().hex[:8]}", "test", "", installation)


async def test_nobody_in_a_pod_ends_it_or_looks_into_its_first_process(
    open_kubernetes: DockerOpener,
) -> None:
    box = await open_kubernetes()
    tried = await box.run(
        "for s in $(seq 1 64); do kill -$s 1; done; sleep 0.2; "
        "cat /proc/1/environ /proc/1/mem; ls /proc/1/fd; "
        "rm -f /.patchwright/bash; echo x > /.patchwright/bash; chmod +r /.patchwright/bash",
        timeout_s=30,
    )
    assert "Permission denied" in tried.text and "Read-only file system" in tried.text
    await box.run("kill -KILL -1; sleep 5", timeout_s=30)
    # It ended what told the shell's status too, so another shell may come with a note.
    await box.run("true", timeout_s=30)
    orphans = "for i in $(seq 30); do (sleep 0.01 &); done; sleep 1; ps -eo stat= | grep -c Z"
    assert (await box.run(orphans, timeout_s=30)).text == "0\n", "orphans are buried"
    seen = await box.run("env; ls /sys/class/net; id -u; cat /proc/self/status | grep CapBnd")
    assert "KUBERNETES" not in seen.text
    assert seen.text.endswith("lo\n10001\nCapBnd:\t0000000000000000\n")


async def test_git_works_in_a_tree_whose_folder_is_roots(open_kubernetes: DockerOpener) -> None:
    box = await open_kubernetes()
    made = await box.run("git init -q . && git add -A && git status --short | head -n 1")
    assert (made.exit_code, made.text) == (0, "A  .gitignore\n")
    assert await box.diff() == ""


async def test_a_dead_pod_is_reported_and_can_be_swept(
    open_kubernetes: DockerOpener, kubernetes: KubernetesEngine, cluster: Cluster
) -> None:
    name = f"own-{uuid.uuid4().hex[:8]}"
    boxes = [await open_kubernetes(run_id=f"{name}-{n}") for n in range(2)]
    kept = await boxes[0].snapshot()
    running = asyncio.create_task(boxes[0].run("sleep 60"))
    await boxes[1].run("echo second >README.md; sleep 500 &")
    await asyncio.to_thread(cluster.pods[boxes[0].id].container("sandbox").kill)
    with pytest.raises(SandboxGone, match="exit 137"):
        await running
    for call in (boxes[0].run("true"), boxes[0].read("README.md"), boxes[0].restore(kept)):
        with pytest.raises(SandboxGone, match="exit 137"):
            await call
    assert await kubernetes.attach(boxes[0].id) is None
    again = await kubernetes.attach(boxes[1].id)
    assert again is not None
    assert (await again.run("cat README.md; pgrep -x sleep")).text == "second\n"
    assert "+second" in await again.diff()
    assert await kubernetes.attach(boxes[1].id, installation="somebody else's") is None
    assert await kubernetes.attach("patchwright-none") is None


async def test_only_what_no_run_owns_is_swept(
    kubernetes: KubernetesEngine, tmp_path: Path, cluster: Cluster
) -> None:
    own = f"sweep-{uuid.uuid4().hex[:8]}"
    tree = tar_of(TREE, tmp_path / "tree.tar")
    wanted, orphan = spec(own), replace(spec(own), run_id="with/odd:signs in it")
    kept, gone = await kubernetes.open(wanted, tree), await kubernetes.open(orphan, tree)
    assert await kubernetes.sweep({wanted.run_id}, installation="others") == []
    assert await kubernetes.sweep({wanted.run_id}, installation=own) == [gone.id]
    assert gone.id not in cluster.pods
    assert (await kept.run("echo here")).text == "here\n"
    await kept.close()
    await kept.close()
    assert await kubernetes.sweep((), installation=own) == []


async def test_an_open_that_fails_leaves_no_pod(
    kubernetes: KubernetesEngine, tmp_path: Path
) -> None:
    own = f"fails-{uuid.uuid4().hex[:8]}"
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no tar" * 1000)
    with pytest.raises(SandboxError, match="unpacked"):
        await kubernetes.open(spec(own), broken)
    with pytest.raises(ImageMissing, match="no-such"):
        await kubernetes.open(spec(own, "patchwright/no-such:1"), tar_of(TREE, tmp_path / "t.tar"))
    assert await kubernetes.sweep((), installation=own) == []


async def test_a_cluster_that_does_not_enforce_network_policies_is_not_used(tmp_path: Path) -> None:
    with serving_cluster() as careless:
        careless.keeps_policies = False
        engine = KubernetesEngine(access_to(careless, tmp_path))
        with pytest.raises(SandboxError, match="reached the API server"):
            await engine.open(spec("careless"), tar_of(TREE, tmp_path / "tree.tar"))
        assert careless.pods == {}
        (policy,) = careless.policies.values()
        policy["spec"]["egress"] = [{}]
        with pytest.raises(SandboxError, match="does not close the network"):
            await engine.open(spec("careless"), tmp_path / "tree.tar")
        await engine.close()


async def test_refused_credentials_and_unreachable_clusters_are_reported(
    cluster: Cluster, tmp_path: Path
) -> None:
    def engine(name: str, change: Callable[[dict[str, Any]], Any]) -> KubernetesEngine:
        config = yaml.safe_load(cluster.kubeconfig)
        change(config)
        path = tmp_path / name
        path.write_text(yaml.safe_dump(config))
        return KubernetesEngine(cluster_access(path))

    stranger = engine("a", lambda c: c["users"][0]["user"].update(token="stolen"))
    with pytest.raises(SandboxError, match="401 Unauthorized"):
        await stranger.check()
    elsewhere = engine("b", lambda c: c["clusters"][0]["cluster"].update(server="https://[::1]:1"))
    with pytest.raises(EngineUnavailable, match="does not respond"):
        await elsewhere.check()
    impostor = engine("c", lambda c: c["clusters"][0]["cluster"].pop("certificate-authority-data"))
    with pytest.raises(EngineUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await impostor.check()
    for one in (stranger, elsewhere, impostor):
        await one.close()


async def test_a_program_gives_credentials_and_is_asked_again_when_they_are_refused(
    tmp_path: Path,
) -> None:
    """As `aws eks get-token`, `gke-gcloud-auth-plugin` and `kubelogin` do."""
    with serving_cluster() as renewing:
        config = yaml.safe_load(renewing.kubeconfig)
        program, token = tmp_path / "get-token", tmp_path / "token"
        given = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
        program.write_text(
            f"#!/bin/sh\ntouch {tmp_path}/ran-$$\n"
            f'printf \'%s\' \'{json.dumps(given)[:-1]}, "status": {{"token": "\''
            f'"$(cat {token})"\'"}}}}\'\n'
        )
        program.chmod(0o700)
        config["users"][0]["user"] = {
            "exec": {"apiVersion": given["apiVersion"], "command": str(program)}
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        token.write_text(renewing.token)
        engine = KubernetesEngine(cluster_access(path))
        box = await engine.open(spec("renewing"), tar_of(TREE, tmp_path / "tree.tar"))
        assert len(list(tmp_path.glob("ran-*"))) == 1, "not asked for each request"
        renewing.token = "the next one"
        with pytest.raises(SandboxError, match="401"):
            await engine.check()
        token.write_text(renewing.token)
        assert "stand-in" in await engine.check()
        assert (await box.run("echo here")).text == "here\n", "an open stream stays"
        assert await engine.attach(box.id) is not None
        await box.close()
        await engine.close()


async def test_streams_pass_a_kubeconfigs_proxy_and_are_made_again_where_it_cuts_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    asked: list[bytes] = []
    carried: list[asyncio.StreamWriter] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0])
        host, _, port = head.split()[1].decode().rpartition(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        carried.append(writer)
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    config = yaml.safe_load(cluster.kubeconfig)
    port = server.sockets[0].getsockname()[1]
    config["clusters"][0]["cluster"]["proxy-url"] = f"http://127.0.0.1:{port}"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    engine = KubernetesEngine(cluster_access(path))
    box = await engine.open(spec("proxied"), tar_of(TREE, tmp_path / "tree.tar"))
    await box.run("cd src; echo kept >kept.txt")
    running = asyncio.create_task(box.run("echo begun; sleep 60"))
    while b"sleep" not in await _processes(cluster, box.id):
        await asyncio.sleep(0.05)
    for writer in carried:
        writer.transport.abort()
    cut = await running
    assert not cut.ok and cut.duration_s < 60 and cut.text.startswith("begun\n"), cut
    assert (await box.run("cat src/kept.txt")).text.endswith("kept\n"), "the tree stays"
    assert "+kept" in await box.diff()
    await box.close()
    await engine.close()
    server.close()
    assert len(asked) > 1 and all(line.startswith(b"CONNECT localhost:") for line in asked)


async def _processes(cluster: Cluster, pod: str) -> bytes:
    container = await asyncio.to_thread(cluster.pods[pod].container, "sandbox")
    listed: bytes = (await asyncio.to_thread(container.exec_run, "ps -eo comm="))[1]
    return listed


async def test_runs_get_pods_from_the_image_that_their_repository_names(
    cluster: Cluster, tmp_path: Path
) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(cluster.kubeconfig)
    settings = Settings(
        state_dir=tmp_path / "state",
        sandbox_engine="kubernetes",
        kubernetes_config=config,
        sandbox_image=BASE_IMAGE,
        operator_token=SecretStr("x"),
    )
    require_cluster(settings)
    tree = tar_of(TREE, tmp_path / "tree.tar")
    engine = kubernetes_engine(settings)
    sandboxes = KubernetesSandboxes(settings, engine)
    await sandboxes.prepare("r", tree, EnvironmentRequest("o/plain"))
    box = await sandboxes.open("r", "attempt-1", tree)
    again = await sandboxes.attach(box.id)
    assert again is not None and (await again.run("cat README.md")).text == "a small tree\n"
    await sandboxes.sweep(["others"])
    with pytest.raises(SandboxGone):
        await again.run("true")
    with pytest.raises(SandboxError, match="set-up commands"):
        await sandboxes.prepare(
            "r", tree, EnvironmentRequest("o/x", EnvironmentSettings(setup=("make",)))
        )
    with pytest.raises(SandboxError, match=r"evil\.test, which is not one of the permitted"):
        await sandboxes.prepare(
            "r", tree, EnvironmentRequest("o/x", EnvironmentSettings(image="evil.test/x:1"))
        )
    await sandboxes.prepare(
        "r", tree, EnvironmentRequest("o/x", EnvironmentSettings(image="ghcr.io/o/none:1"))
    )
    with pytest.raises(ImageMissing, match=r"ghcr\.io/o/none:1"):
        await sandboxes.open("r", "attempt-1", tree)
    await engine.close()
    with pytest.raises(SettingsError, match="SANDBOX_IMAGE"):
        require_cluster(settings.model_copy(update={"sandbox_image": ""}))
