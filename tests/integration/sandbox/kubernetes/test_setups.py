"""Set-ups as Jobs, against the stand-in cluster: what runs where, and what may go wrong.

The pods are real containers, the tunnel and the proxy are the service's own. In the places of
BuildKit and skopeo there are small programs (`tests/doubles/kubernetes/programs`).
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import pytest
from pydantic import SecretStr

from app.cli.doctor import check_cluster
from app.sandboxes.environment import EnvironmentRequest
from app.sandboxes.kubernetes import KubernetesSandboxes, kubernetes_engine
from app.server.bootstrap import require_cluster
from app.settings.base import SettingsError
from app.settings.schema import Settings
from sandbox.egress.rules import EgressRules, networks_of
from sandbox.environment.choose import EnvironmentSettings
from sandbox.environment.image_reference import ImageRefused
from sandbox.environment.records import Environment, Step
from sandbox.environment.tree import tree_hash
from sandbox.errors import ImageMissing, SandboxError
from sandbox.images.base_image import BASE_IMAGE
from sandbox.kubernetes.api import Api
from sandbox.protocol import Limits
from sandbox.setup.cluster import images as cluster_images
from sandbox.setup.cluster.images import ClusterImages, repository_name, sweep
from sandbox.setup.cluster.job import BuildSettings
from sandbox.setup.cluster.permissions import missing_permissions
from sandbox.setup.container import SetupSpec
from sandbox.setup.prepare import prepare
from sandbox.setup.records import PreparedEnvironment, SetupFailed, SetupPolicy
from tests.doubles.kubernetes.server import SETUPS, Cluster, serving_cluster
from tests.support.sandboxes.fixtures import access_to, tar_of

pytestmark = pytest.mark.docker
PROGRAMS = Path(__file__).resolve().parents[3] / "doubles" / "kubernetes" / "programs"
LOGIN = "a login to the registry"
DIGEST = f"sha256:{7:064d}"
ASK = (
    "python3 -c \"import urllib.request; urllib.request.urlopen('http://{host}/', timeout=5)\" "
    "|| echo no way to {host}"
)


@pytest.fixture(scope="module")
def tools() -> Iterator[str]:
    """An image with the programs in it."""
    name = f"patchwright-tests/setup-tools:{uuid.uuid4().hex[:8]}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        text = (
            f"FROM {BASE_IMAGE}\nUSER 0\nCOPY . /usr/local/bin/\n"
            "RUN mkdir -p /opt/patchwright && chmod 777 /opt/patchwright\n"
        )
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text.encode()))
        for path in PROGRAMS.iterdir():
            entry = archive.gettarinfo(str(path), path.name)
            entry.mode = 0o755
            with path.open("rb") as file:
                archive.addfile(entry, file)
    packed.seek(0)
    engine = docker.from_env()
    engine.images.build(fileobj=packed, custom_context=True, tag=name, rm=True)
    yield name
    engine.images.remove(name, force=True)
    engine.close()


@pytest.fixture(scope="module")
def setups() -> Iterator[Cluster]:
    with serving_cluster() as cluster:
        cluster.volumes.secrets["push"] = {".dockerconfigjson": LOGIN}
        yield cluster


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_images, "_POLL_S", 0.1)


@dataclass
class Workshop:
    """Prepares trees in a cluster, for an installation of its own."""

    cluster: Cluster
    api: Api
    build: BuildSettings
    spec: SetupSpec
    policy: SetupPolicy
    tree: Path

    async def prepare(self, *steps: str, scope: str = "o/r", **more: str) -> PreparedEnvironment:
        found = Environment(
            "a test", steps=tuple(Step(step) for step in steps), explicit=True, **more
        )
        return await prepare(
            self.images, self.tree, tree_hash(self.tree), [found], base=self.spec.image,
            scope=scope, owner=self.spec.installation, waits_s=(),
        )  # fmt: skip

    @property
    def images(self) -> ClusterImages:
        return ClusterImages(self.api, self.build, self.spec, self.policy)

    @property
    def jobs(self) -> list[str]:
        own = self.spec.installation
        return [
            name
            for name, job in self.cluster.jobs.items()
            if job.body["metadata"]["labels"]["patchwright.installation"] == own
        ]


@pytest.fixture
async def workshop(setups: Cluster, tools: str, tmp_path: Path) -> AsyncIterator[Workshop]:
    host = setups.url.removeprefix("https://")
    base = f"{host}/bases/sandbox:1"
    setups.volumes.images[base] = BASE_IMAGE
    ca = tmp_path / "ca.pem"
    ca.write_text(setups.ca_pem)
    own = f"setups-{uuid.uuid4().hex[:8]}"
    api = Api(access_to(setups, tmp_path))
    yield Workshop(
        setups,
        api,
        BuildSettings(SETUPS, f"{host}/prepared", tools, tools, "push"),
        SetupSpec(base, Limits(memory_bytes=2**30), f"{own}-run", own),
        SetupPolicy(
            EgressRules(hosts=(host,), networks=networks_of(["127.0.0.1/32", "::1/128"])),
            ca_file=ca,
            timeout_s=60,
            disk_bytes=2**28,
        ),
        tar_of({"README.md": "a tree\n"}, tmp_path / "tree.tar"),
    )
    await sweep(api, SETUPS, (), installation=own)
    await api.close()


async def log_of(workshop: Workshop, container: str) -> str:
    (name,) = workshop.jobs
    pod = workshop.cluster.pods[workshop.cluster.jobs[name].pod]
    return (pod.log(container, 1000, 100_000) or b"").decode()


async def test_an_image_is_made_once_and_its_job_says_where_it_is(workshop: Workshop) -> None:
    made = await workshop.prepare("echo first", "tar -tf /work/context/tree.tar")
    own = repository_name(workshop.spec.installation, "o/r")
    assert made.image == f"{workshop.build.registry}/{own}@{DIGEST}" and not made.cached
    for container in ("fetch", "push"):
        log = await log_of(workshop, container)
        assert "the registry answered 401" in log and f"login {LOGIN}" in log, log
    log = await log_of(workshop, "build")
    assert "first\n" in log and "README.md" in log and "ESCAPED" not in log
    assert f"oci-layout://base@sha256:{'b' * 64}" in log and "FROM patchwright-base" in log
    again = await workshop.prepare("echo first", "tar -tf /work/context/tree.tar")
    assert again.cached and again.image == made.image
    assert len(workshop.jobs) == 1
    other = await workshop.prepare("echo first", "tar -tf /work/context/tree.tar", scope="o/other")
    assert not other.cached and other.image.partition("@")[0] != made.image.partition("@")[0]
    assert await sweep(workshop.api, SETUPS, (), installation=workshop.spec.installation) == [], (
        "finished ones are what is known of the images"
    )


async def test_commands_have_no_way_to_the_registry_nor_past_the_proxy(workshop: Workshop) -> None:
    registry = workshop.build.registry.partition("/")[0]
    rules = replace(workshop.policy.rules, hosts=("127.0.0.1",))
    workshop.policy = replace(workshop.policy, rules=rules)
    reach = (
        "import os, socket, sys\n"
        "def way(where):\n"
        "    try: socket.create_connection(where, 3).close(); return True\n"
        "    except OSError: return False\n"
        f"print('api', way(('127.0.0.1', {registry.rpartition(':')[2]})))\n"
        "print('set-up proxy', way(('127.0.0.1', 3128)), os.environ['https_proxy'])\n"
        "print('registry proxy', way(('127.0.0.1', 3129)))\n"
        "print('interfaces', os.listdir('/sys/class/net'))\n"
    )
    connect = (
        f"exec 9<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT {registry} HTTP/1.1\\r\\n"
        f"Host: {registry}\\r\\n\\r\\n' >&9; head -n 1 <&9"
    )
    with pytest.raises(SetupFailed) as failed:
        await workshop.prepare(f"cat >p.py <<'END'\n{reach}END\npython3 p.py", connect, "exit 9")
    log = failed.value.log
    assert "api False" in log and "registry proxy False" in log, log
    assert "set-up proxy True http://127.0.0.1:3128" in log
    assert "interfaces ['lo']" in log and "HTTP/1.1 403" in log
    assert any("not on the allow-list" in why for why in failed.value.refused)
    assert workshop.jobs == []


async def test_a_command_that_fails_is_named_with_what_it_printed(workshop: Workshop) -> None:
    with pytest.raises(SetupFailed) as failed:
        await workshop.prepare("echo fine", "echo '<b>broken'; exit 7")
    assert failed.value.command == "echo '<b>broken'; exit 7"
    assert failed.value.why == "exit 7"
    assert "\n<b>broken\n" in failed.value.log and "#4" not in failed.value.log
    assert workshop.jobs == [], "nothing is kept of it"


async def test_a_set_up_that_takes_too_long_is_ended(workshop: Workshop) -> None:
    workshop.policy = replace(workshop.policy, timeout_s=3)
    with pytest.raises(SetupFailed, match="not done within 3 s") as failed:
        await workshop.prepare("echo begun; sleep 60")
    assert "begun" in failed.value.log
    assert workshop.jobs == []


async def test_a_node_that_runs_out_of_disk_is_the_set_ups_fault(workshop: Workshop) -> None:
    making = asyncio.create_task(workshop.prepare("sleep 60"))
    while not (
        workshop.jobs
        and (pod := workshop.cluster.pods.get(workshop.cluster.jobs[workshop.jobs[0]].pod))
        and pod.container("build")
    ):
        await asyncio.sleep(0.1)
    await asyncio.to_thread(pod.evict, "Pod ephemeral local storage usage exceeds the limit")
    with pytest.raises(SandboxError, match="ephemeral local storage"):
        await making
    assert workshop.jobs == []


async def test_a_refused_push_is_told_in_one_sentence(workshop: Workshop) -> None:
    workshop.build = replace(workshop.build, registry=f"{workshop.build.registry}/refused")
    with pytest.raises(SandboxError, match=r"could not be pushed to .*denied: requested access"):
        await workshop.prepare("true")
    assert workshop.jobs == []


async def test_an_image_that_is_not_there_fails_the_set_up(workshop: Workshop) -> None:
    host = workshop.build.registry.partition("/")[0]
    workshop.policy = replace(workshop.policy, image_registries=(host,))
    with pytest.raises(SetupFailed, match=r"FROM .*/refused/python:3.*denied"):
        await workshop.prepare("true", image=f"{host}/refused/python:3")
    with pytest.raises(SetupFailed, match="No repository may name them"):
        await workshop.prepare("true", image=f"{workshop.build.registry}/of-another:1")


@pytest.mark.long
async def test_a_foreign_image_is_fetched_without_the_operators_login(workshop: Workshop) -> None:
    host = workshop.build.registry.partition("/")[0]
    workshop.policy = replace(workshop.policy, image_registries=(host,))
    await workshop.prepare("true", image=f"{host}/python:3")
    assert "login none" in await log_of(workshop, "fetch")
    assert LOGIN in await log_of(workshop, "push")


@pytest.mark.long
async def test_an_api_server_that_is_away_for_a_moment_costs_nothing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = asyncio.create_task(workshop.prepare("sleep 3; echo done"))
    while not workshop.jobs:
        await asyncio.sleep(0.05)
    pod = workshop.cluster.pods[workshop.cluster.jobs[workshop.jobs[0]].pod]
    while not pod.log("build", 10, 1000):
        await asyncio.sleep(0.1)
    workshop.cluster.away = True
    await asyncio.sleep(1)
    workshop.cluster.away = False
    assert (await making).image.endswith(DIGEST)


async def test_an_api_server_that_stays_away_ends_the_set_up(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_images, "_AWAY_S", 0.5)
    making = asyncio.create_task(workshop.prepare("sleep 60"))
    while not workshop.jobs:
        await asyncio.sleep(0.05)
    workshop.cluster.away = True
    try:
        with pytest.raises(SandboxError, match="503"):
            await making
    finally:
        workshop.cluster.away = False
    (left,) = workshop.jobs
    # The run goes on in another process, and does not find its own remains in the way.
    await workshop.prepare("true")
    assert left in workshop.jobs, "another recipe's"
    workshop.policy = replace(workshop.policy, timeout_s=1)
    with pytest.raises(SetupFailed):
        await workshop.prepare("sleep 60")
    assert left not in workshop.jobs


async def test_runs_on_a_cluster_get_prepared_environments(
    workshop: Workshop, tmp_path: Path
) -> None:
    cluster, build = workshop.cluster, workshop.build
    builder = f"{build.registry}/tools@sha256:{'1' * 64}"
    cluster.volumes.images[builder] = build.builder_image
    settings = Settings(
        state_dir=tmp_path / "state",
        sandbox_engine="kubernetes",
        kubernetes_config=tmp_path / "kubeconfig",
        sandbox_image=workshop.spec.image,
        kubernetes_registry=build.registry,
        kubernetes_registry_secret="push",
        kubernetes_builder_image=builder,
        kubernetes_copier_image=builder,
        setup_networks=("127.0.0.1/32", "::1/128"),
        setup_ca_file=workshop.policy.ca_file,
        setup_hosts=("pypi.test",),
        setup_image_registries=(build.registry.partition("/")[0],),
        operator_token=SecretStr("x"),
    )
    require_cluster(settings)
    engine = kubernetes_engine(settings)
    sandboxes = KubernetesSandboxes(settings, engine)
    image = f"{build.registry.partition('/')[0]}/python:3"
    wanted = EnvironmentSettings(image=image, setup=("echo prepared",))
    request = EnvironmentRequest("o/prepared", wanted)
    place = f"{build.registry}/{repository_name(settings.installation, request.scope)}"
    cluster.volumes.images[f"{place}@{DIGEST}"] = BASE_IMAGE
    try:
        made = await sandboxes.prepare("r", workshop.tree, request)
        assert made is not None and made.image == f"{place}@{DIGEST}"
        assert await sandboxes.environment(workshop.tree) == made.image
        box = await sandboxes.open("r", "attempt-1", workshop.tree)
        assert (await box.run("cat README.md")).text == "a tree\n"
        del cluster.volumes.images[made.image]
        with pytest.raises(ImageMissing):
            await sandboxes.open("r", "attempt-2", workshop.tree)
        cluster.volumes.images[made.image] = BASE_IMAGE
        again = await sandboxes.prepare("r", workshop.tree, request)
        assert again is not None and not again.cached, "what the registry lost is made again"
        failing = EnvironmentRequest("o/failing", replace(wanted, setup=("exit 3",)))
        other = tar_of({"other": ""}, tmp_path / "other.tar")
        with pytest.raises(SetupFailed, match="failed at `exit 3`"):
            await sandboxes.prepare("r", other, failing)
        found = {finding.name: finding for finding in await check_cluster(settings)}
        assert found["set-ups"].ok and not found["registry"].ok
        assert "answers 404" in found["registry"].text
        cluster.forbidden = {"delete jobs"}
        found = {finding.name: finding for finding in await check_cluster(settings)}
        assert "may not delete jobs in the namespace" in found["set-ups"].text
    finally:
        cluster.forbidden = set()
        await sandboxes.sweep(())
        await engine.close()
    incomplete = settings.model_copy(update={"kubernetes_copier_image": ""})
    with pytest.raises(SettingsError, match="KUBERNETES_COPIER_IMAGE is missing"):
        require_cluster(incomplete)


async def test_only_unfinished_jobs_of_dead_runs_are_swept(workshop: Workshop) -> None:
    own, other = workshop.spec.installation, replace(workshop.spec, run_id="another run")
    await workshop.prepare("true")
    (finished,) = workshop.jobs
    making = asyncio.create_task(workshop.prepare("sleep 60"))
    while len(workshop.jobs) < 2:
        await asyncio.sleep(0.05)
    (dead,) = set(workshop.jobs) - {finished}
    assert await sweep(workshop.api, SETUPS, {workshop.spec.run_id}, installation=own) == []
    assert await sweep(workshop.api, SETUPS, (), installation="others") == []
    assert await sweep(workshop.api, SETUPS, {other.run_id}, installation=own) == [dead]
    with pytest.raises(SandboxError):
        await making
    assert workshop.jobs == [finished]


async def test_what_the_account_may_not_do_is_named(workshop: Workshop) -> None:
    assert await missing_permissions(workshop.api, SETUPS) == []
    workshop.cluster.forbidden = {"create jobs"}
    try:
        assert await missing_permissions(workshop.api, SETUPS) == ["create jobs"]
        with pytest.raises(SandboxError, match=r"403.*cannot create resource"):
            await workshop.prepare("true")
    finally:
        workshop.cluster.forbidden = set()


async def test_a_cluster_that_enforces_no_policy_runs_no_command(workshop: Workshop) -> None:
    workshop.cluster.keeps_policies = False
    try:
        with pytest.raises(SandboxError, match="does not enforce NetworkPolicy"):
            await workshop.prepare("true")
    finally:
        workshop.cluster.keeps_policies = True
    assert workshop.jobs == []


async def test_a_policy_that_does_not_close_is_refused(workshop: Workshop) -> None:
    await workshop.prepare("true")
    policy = workshop.cluster.policies["patchwright-setups-reach-nothing"]
    policy["spec"]["egress"] = [{}]
    try:
        with pytest.raises(SandboxError, match="does not close the network of set-ups"):
            await workshop.prepare("false")
    finally:
        del policy["spec"]["egress"]
    with pytest.raises(ImageRefused):
        cluster_images.refuse_prepared("r.test/p/x:1", "r.test/p")
