"""Prepared images of a cluster: a Job makes each, and the finished Job says where it is."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from sandbox.egress.proxy import EgressProxy
from sandbox.egress.rules import EgressRules
from sandbox.environment.image_reference import (
    DOCKER_HUB,
    ImageRefused,
    parse_reference,
    permitted_reference,
)
from sandbox.environment.records import Environment
from sandbox.errors import EngineUnavailable, SandboxError, SandboxGone
from sandbox.kubernetes.api import Answer, Api, Object
from sandbox.kubernetes.engine import OPEN_NETWORK, PROBE_S, closes_network, network_probe
from sandbox.kubernetes.exec_socket import ExecSocket
from sandbox.setup.cluster import states
from sandbox.setup.cluster.build_files import build_files, failed_command, plain_log
from sandbox.setup.cluster.job import (
    CONTEXT,
    READY,
    RECIPE_LABEL,
    REGISTRY_PORT,
    SETUP_LABEL,
    SETUP_POLICY,
    SETUP_PORT,
    BuildSettings,
    JobSpec,
    job,
)
from sandbox.setup.container import SetupSpec
from sandbox.setup.network import proxy_tunnel
from sandbox.setup.prepare import ImageKey
from sandbox.setup.records import Progress, SetupFailed, SetupPolicy
from sandbox.spec import INSTALLATION_LABEL, RUN_LABEL

_POLL_S = 0.5
_START_S = 300.0
_COPY_S = 1200.0
_FEED_S = 900.0
_ANSWER_S = 5.0
_REASON_S = 5.0
"""How long a pod that broke off may take to say why."""
_AWAY_S = 60.0
"""How long the API server may not answer before a set-up is given up."""
_LOG_BYTES = 512 * 1024
_LOG_LINES = 4000
_PIECE = 256 * 1024
_SLUG = re.compile(r"[^a-z0-9]+")

LAYER_HOSTS = {
    # https://docs.docker.com/desktop/setup/allow-list/
    "docker.io": (
        "registry-1.docker.io",
        "auth.docker.io",
        "production.cloudflare.docker.com",
        "*.r2.cloudflarestorage.com",
    ),
    "ghcr.io": ("ghcr.io", "pkg-containers.githubusercontent.com"),
    "quay.io": ("quay.io", "*.quay.io"),
    # https://learn.microsoft.com/azure/container-registry/container-registry-firewall-access-rules
    "mcr.microsoft.com": ("mcr.microsoft.com", "*.data.mcr.microsoft.com"),
    "public.ecr.aws": ("public.ecr.aws", "*.cloudfront.net"),
}
"""Where registries have their layers, besides under their own name."""


class ClusterImages:
    """`PreparedImages` in a cluster, for set-ups as `spec` and `policy` say."""

    def __init__(
        self, api: Api, settings: BuildSettings, spec: SetupSpec, policy: SetupPolicy
    ) -> None:
        """`spec.image` is the base image, which the cluster's registry has."""
        self._api = api
        self._settings = settings
        self._spec = spec
        self._policy = policy

    async def base(self, environment: Environment) -> str:
        """The image that the set-up starts from. Raises `SandboxError`."""
        if environment.parent or not environment.image:
            # One that has both a tag and a digest is copied by its digest.
            own = environment.parent or environment.base or self._spec.image
            return str(parse_reference(own))
        image = self._named(environment.image)[0]
        if environment.official and not await _answers(parse_reference(image).registry):
            raise SandboxError(f"No registry says that it has {image}.")
        return image

    async def content_id(self, image: str) -> str:
        """The reference itself: the operator's by their own word, prepared ones by digest."""
        return image

    async def find(self, key: ImageKey) -> str:
        """The image that a finished Job made under this key; empty: there is none."""
        for entry in await self._jobs(key):
            if not entry.get("status", {}).get("succeeded"):
                continue
            pod = await self._pod_of(str(entry["metadata"]["name"]))
            if pod is not None and (digest := states.finished_image(pod)):
                return f"{self._repository(key.scope)}@{digest}"
        return ""

    async def _jobs(self, key: ImageKey) -> list[Object]:
        return await list_jobs(
            self._api, self._settings.namespace, self._owner, f"{RECIPE_LABEL}={key.recipe}"
        )

    async def _remove_interrupted(self, key: ImageKey) -> None:
        """Remove what this run began before its process was started again."""
        for entry in await self._jobs(key):
            metadata, status = entry["metadata"], entry.get("status", {})
            run = metadata.get("annotations", {}).get(RUN_LABEL, "")
            if run == self._spec.run_id and not status.get("succeeded"):
                await remove(self._api, self._settings.namespace, str(metadata["name"]))

    async def make(
        self,
        environment: Environment,
        base: str,
        tree: Path | None,
        key: ImageKey,
        progress: Progress,
    ) -> str:
        """Run the set-up in a Job, and have the registry keep what it made."""
        policy = self._policy
        proxy = EgressProxy(policy.rules, ca_file=str(policy.ca_file or ""))
        ca_pem = (policy.ca_file.read_bytes() if policy.ca_file else b"") + b"\n"
        ca_pem += proxy.authority_pem.encode() if policy.network else b""
        labels = {INSTALLATION_LABEL: self._owner}
        files = build_files(environment, key, labels, policy, trusts=bool(ca_pem.strip()))
        await have_policy(self._api, self._settings.namespace)
        spec = self._job_spec(environment, base, key)
        namespace, body = self._settings.namespace, job(spec, self._settings)
        await self._remove_interrupted(key)
        made = await self._api.ask(lambda c: c.batch.create_namespaced_job(namespace, body))
        name = str(made["metadata"]["name"])
        try:
            with tempfile.TemporaryDirectory(prefix="patchwright-build-") as folder:
                context = Path(folder) / "context.tar"
                await asyncio.to_thread(files.write, context, tree, ca_pem)
                digest = await self._run(name, environment, spec, context, proxy, progress)
        except BaseException:
            await asyncio.shield(remove(self._api, namespace, name))
            raise
        return f"{self._repository(key.scope)}@{digest}"

    async def _run(
        self,
        name: str,
        environment: Environment,
        spec: JobSpec,
        context: Path,
        proxy: EgressProxy,
        progress: Progress,
    ) -> str:
        """The digest of what the Job pushed."""
        pod = await self._started(name)
        await self._try_the_network(pod)
        async with self._registry(pod, spec) as refused:
            fetched = await self._end_of(pod, "fetch", _COPY_S)
        if fetched.exit_code != 0:
            why = _last_line(fetched.message) or fetched.reason
            raise SetupFailed(environment, f"FROM {spec.base}", why, fetched.message, [*refused])
        progress("  building in the cluster …")
        limit_s = self._policy.timeout_s
        try:
            async with self._network(pod, proxy):
                await self._feed(pod, context)
                built = await self._end_of(pod, "build", limit_s)
        except TimeoutError:
            log = await self._log(pod, "build")
            why = f"not done within {limit_s:.0f} s"
            raise SetupFailed(environment, "the whole set-up", why, log, [*proxy.refused]) from None
        except SandboxError as error:
            # A pod that is ended takes its network and its streams along: its own reason says more.
            if not (why := await self._why_ended(pod)):
                raise error
            log = await self._log(pod, "build")
            raise SetupFailed(environment, "the whole set-up", why, log, [*proxy.refused]) from None
        if built.exit_code != 0:
            raw = await self._log(pod, "build", plain=False)
            command, why = failed_command(environment, raw)
            if built.reason == "OOMKilled":
                why = "out of memory"
            raise SetupFailed(
                environment,
                command or "building the image",
                why or f"exit {built.exit_code}",
                plain_log(raw),
                [*proxy.refused],
            )
        async with self._registry(pod, spec) as refused:
            pushed = await self._end_of(pod, "push", _COPY_S)
        found = await self._pod(pod)
        if digest := states.finished_image(found):
            return digest
        said = "; ".join([_last_line(pushed.message) or f"exit {pushed.exit_code}", *refused])
        raise SandboxError(
            f"The prepared image could not be pushed to {spec.target.rpartition(':')[0]}: {said}"
        )

    async def _started(self, name: str) -> str:
        """The name of the Job's pod, when the container that holds its network runs."""
        deadline = time.monotonic() + _START_S
        while True:
            found = await self._pod_of(name)
            if found is not None:
                if why := states.pod_failure(found):
                    raise SandboxError(f"The set-up's pod did not start: {why}")
                states.ended(found, "relay")
                if states.is_running(found, "relay"):
                    return str(found["metadata"]["name"])
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"The cluster started no pod for the set-up within {_START_S:.0f} s. `kubectl "
                    f"-n {self._settings.namespace} describe job {name}` says why."
                )
            await asyncio.sleep(_POLL_S)

    async def _try_the_network(self, pod: str) -> None:
        """Refuse a cluster that lets a set-up reach its API server. No command runs yet."""
        namespace = self._settings.namespace
        if namespace in self._api.closed_namespaces:
            return
        probe = network_probe(await self._api.host())
        stream = await self._exec(pod, "relay", ["sh", "-c", probe])
        try:
            async with asyncio.timeout(PROBE_S + 20):
                await stream.wait()
        finally:
            stream.abort()
        if stream.exit_code == 0:
            raise SandboxError(OPEN_NETWORK)
        self._api.closed_namespaces.add(namespace)

    async def _why_ended(self, pod: str) -> str:
        """Why the cluster ended the pod, which its description may say a moment later.

        Empty: it did not.
        """
        deadline = time.monotonic() + _REASON_S
        while True:
            try:
                why = states.pod_failure(await self._pod(pod))
            except SandboxGone:
                return "the cluster deleted its pod"
            if why or time.monotonic() > deadline:
                return why
            await asyncio.sleep(_POLL_S)

    async def _end_of(self, pod: str, container: str, limit_s: float) -> states.Ended:
        """Wait for a container's end. Raises `TimeoutError`, `SandboxError`."""
        async with asyncio.timeout(limit_s):
            while True:
                found = await self._pod(pod)
                if why := states.pod_failure(found):
                    raise SandboxGone(f"The cluster ended the set-up's pod: {why}")
                if (done := states.ended(found, container)) is not None:
                    return done
                await asyncio.sleep(_POLL_S)

    async def _feed(self, pod: str, context: Path) -> None:
        """Give the build its files; it begins when it has them."""
        async with asyncio.timeout(_START_S):
            while True:
                found = await self._pod(pod)
                if states.is_running(found, "build"):
                    break
                if states.ended(found, "build"):
                    return  # its exit code and its log say why
                if why := states.pod_failure(found):
                    raise SandboxGone(f"The cluster ended the set-up's pod: {why}")
                await asyncio.sleep(_POLL_S)
        size = (await asyncio.to_thread(context.stat)).st_size
        unpack = f"head -c {size} | tar -xf - -C {CONTEXT} && touch {READY}"
        stream = await self._exec(pod, "build", ["sh", "-c", unpack])
        try:
            async with asyncio.timeout(_FEED_S):
                with context.open("rb") as file:
                    while piece := await asyncio.to_thread(file.read, _PIECE):
                        await stream.write(piece)
                await stream.wait()
        finally:
            stream.abort()
        if stream.exit_code != 0:
            raise SandboxError("The set-up's files could not be given to its pod.")

    @asynccontextmanager
    async def _network(self, pod: str, proxy: EgressProxy) -> AsyncIterator[None]:
        """Meanwhile the set-up's commands have their way out, if they may."""
        if not self._policy.network:
            yield
            return
        async with proxy_tunnel(partial(self._exec, pod, "relay"), SETUP_PORT, proxy):
            yield

    @asynccontextmanager
    async def _registry(self, pod: str, spec: JobSpec) -> AsyncIterator[dict[str, int]]:
        """Meanwhile images can be copied; gives what was refused. No command runs then."""
        hosts: list[str] = [*self._settings.registry_hosts]
        for image in (spec.base, spec.target):
            registry = parse_reference(image).registry
            hosts += LAYER_HOSTS.get(registry, (registry,))
        rules = EgressRules(hosts=tuple(hosts), networks=self._policy.rules.networks)
        proxy = EgressProxy(rules, ca_file=str(self._policy.ca_file or ""))
        async with proxy_tunnel(partial(self._exec, pod, "relay"), REGISTRY_PORT, proxy):
            yield proxy.refused

    async def _exec(self, pod: str, container: str, command: list[str]) -> ExecSocket:
        return await ExecSocket.open(self._api, self._settings.namespace, pod, container, command)

    async def _log(self, pod: str, container: str, *, plain: bool = True) -> str:
        """The end of what a container printed; empty when it cannot be had."""
        namespace = self._settings.namespace
        try:
            text = await self._api.call(
                lambda c: c.core.read_namespaced_pod_log(
                    pod,
                    namespace,
                    container=container,
                    tail_lines=_LOG_LINES,
                    limit_bytes=_LOG_BYTES,
                )
            )
        except SandboxError:
            return ""
        return plain_log(str(text)) if plain else str(text)

    async def _pod(self, name: str) -> Object:
        namespace = self._settings.namespace
        return await self._patiently(
            lambda: self._api.ask(lambda c: c.core.read_namespaced_pod(name, namespace))
        )

    async def _pod_of(self, job_name: str) -> Object | None:
        namespace = self._settings.namespace
        pods = await self._patiently(lambda: _pods_of(self._api, namespace, job_name))
        return pods[0] if pods else None

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask again for a while when the API server does not answer."""
        deadline = time.monotonic() + _AWAY_S
        while True:
            try:
                return await ask()
            except EngineUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_POLL_S)

    def _job_spec(self, environment: Environment, base: str, key: ImageKey) -> JobSpec:
        own = environment.parent or not environment.image or self._named(environment.image)[1]
        return JobSpec(
            base=base,
            target=f"{self._repository(key.scope)}:{key.recipe}",
            relay_image=self._spec.image,
            limits=self._spec.limits,
            disk_bytes=self._policy.disk_bytes,
            timeout_s=self._policy.timeout_s,
            recipe=key.recipe,
            run_id=self._spec.run_id,
            installation=self._owner,
            own_base=bool(own),
        )

    def _named(self, name: str) -> tuple[str, bool]:
        """A repository's name for an image in full, and whether the operator lists it.

        Raises `ImageRefused`.
        """
        policy = self._policy
        reference, listed = permitted_reference(name, policy.image_registries, policy.held_images)
        refuse_prepared(str(reference), self._settings.registry)
        return str(reference), listed

    @property
    def _owner(self) -> str:
        return self._spec.owner or self._spec.installation

    def _repository(self, scope: str) -> str:
        return f"{self._settings.registry}/{repository_name(self._owner, scope)}"


def repository_name(owner: str, scope: str) -> str:
    """Where in the registry the images of a scope are: no two scopes have the same place."""
    digest = hashlib.sha256(f"{owner}:{scope}".encode()).hexdigest()[:16]
    slug = _SLUG.sub("-", scope.lower()).strip("-")[:80].strip("-")
    return f"{slug}-{digest}" if slug else f"toolchain-{digest}"


def refuse_prepared(reference: str, registry: str) -> None:
    """Raise `ImageRefused` when a repository names what may be another's prepared image."""
    if registry and reference.startswith(f"{registry}/"):
        raise ImageRefused(
            f"{reference} is below {registry}, where Patchwright keeps the prepared images of all "
            "repositories. No repository may name them."
        )


async def have_policy(api: Api, namespace: str) -> None:
    """Have the policy that closes the network, before there is a pod that it is for.

    Raises `SandboxError` when there is one of that name that does not close it.
    """
    name = SETUP_POLICY["metadata"]["name"]
    try:
        found = await api.ask(
            lambda c: c.networking.read_namespaced_network_policy(name, namespace)
        )
    except SandboxGone:
        found = await api.ask(
            lambda c: c.networking.create_namespaced_network_policy(namespace, SETUP_POLICY)
        )
    if not closes_network(found, SETUP_LABEL):
        raise SandboxError(
            f"The NetworkPolicy {name} in {namespace} does not close the network of set-ups. "
            "Delete it; Patchwright will recreate it."
        )


async def remove(api: Api, namespace: str, name: str) -> None:
    """Delete a Job and its pod; nothing happens when it is gone already."""
    try:
        await api.ask(
            lambda c: c.batch.delete_namespaced_job(
                name, namespace, propagation_policy="Background", grace_period_seconds=1
            )
        )
    except (SandboxGone, EngineUnavailable):
        # The Job's own deadline ends it, and a later sweep removes it.
        return


async def list_jobs(api: Api, namespace: str, installation: str, label: str = "") -> list[Object]:
    """An installation's Jobs, those with a label (`NAME=VALUE`)."""
    own = f"{SETUP_LABEL}=true,{INSTALLATION_LABEL}={installation}"
    selector = f"{own},{label}" if label else own
    found = await api.ask(lambda c: c.batch.list_namespaced_job(namespace, label_selector=selector))
    jobs: list[Object] = found["items"]
    return jobs


async def _pods_of(api: Api, namespace: str, job_name: str) -> list[Object]:
    selector = f"job-name={job_name}"
    found = await api.ask(lambda c: c.core.list_namespaced_pod(namespace, label_selector=selector))
    pods: list[Object] = found["items"]
    return pods


async def forget(api: Api, namespace: str, image: str, *, installation: str) -> None:
    """Delete the Jobs that say that an image is there: the registry has it no more."""
    digest = image.partition("@")[2]
    for entry in await list_jobs(api, namespace, installation):
        name = str(entry["metadata"]["name"])
        pods = await _pods_of(api, namespace, name)
        if any(states.finished_image(pod) == digest for pod in pods):
            await remove(api, namespace, name)


async def sweep(
    api: Api, namespace: str, keep_runs: Collection[str], *, installation: str
) -> list[str]:
    """Delete this installation's unfinished and failed Jobs of all runs but these."""
    swept = []
    for entry in await list_jobs(api, namespace, installation):
        metadata = entry["metadata"]
        if entry.get("status", {}).get("succeeded"):
            continue
        if metadata.get("annotations", {}).get(RUN_LABEL, "") not in keep_runs:
            await remove(api, namespace, str(metadata["name"]))
            swept.append(str(metadata["name"]))
    return swept


async def _answers(registry: str) -> bool:
    """Whether a registry can be reached from here, where the proxy is."""
    host, _, port = registry.partition(":")
    if registry == DOCKER_HUB:
        host = "registry-1.docker.io"
    try:
        async with asyncio.timeout(_ANSWER_S):
            _, writer = await asyncio.open_connection(host, int(port or 443))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip()[:500] if lines else ""
