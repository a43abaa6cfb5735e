"""A Kubernetes cluster as the place of sandboxes: opening, finding again, sweeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.errors import ImageMissing, SandboxError, SandboxGone
from sandbox.kubernetes.access import Access
from sandbox.kubernetes.api import Api, Object
from sandbox.kubernetes.pod import CONTAINER, POLICY, POLICY_NAME, SANDBOX_LABEL, pod
from sandbox.kubernetes.pod_machine import PodMachine, death
from sandbox.protocol import Limits
from sandbox.shell.commands import OutputLimits
from sandbox.shell.sandbox import ShellSandbox
from sandbox.sizing import tree_size
from sandbox.spec import FLOOD_LABEL, INSTALLATION_LABEL, OUTPUT_LABEL, RUN_LABEL, SandboxSpec

START_S = 300.0
"""How long a pod may take to run: the cluster may have to bring a node or an image first."""

_POLL_S = 0.2
PROBE_S = 3
"""How long a connection that should not be possible may take to be made."""
OPEN_NETWORK = (
    "The cluster's network does not enforce NetworkPolicy: a sandbox reached the API server. "
    "Install a network plug-in that does, such as Calico or Cilium."
)
NEVER = {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}
"""Why a container waits that will never start: its image cannot be had."""
FAULTS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
"""Why one waits that does not start for other reasons."""


class KubernetesEngine:
    """One namespace of a cluster. For one event loop.

    It has the network's policy made, and tries once whether it holds: a cluster whose network
    knows no policies would let sandboxes out, and is not used.
    """

    def __init__(self, access: Access, namespace: str = "", *, start_s: float = START_S) -> None:
        """`namespace` empty: that of the access."""
        self.api = Api(access)
        self._namespace = namespace or access.namespace
        self._start_s = start_s
        self._closed_network = False
        self._policy = asyncio.Lock()
        self._probe = asyncio.Lock()

    async def check(self) -> str:
        """The cluster's version. Raises `EngineUnavailable` when it does not answer."""
        version = await self.api.ask(lambda c: c.version.get_code())
        return f"Kubernetes {version['gitVersion']}, namespace {self._namespace}"

    async def open(
        self, spec: SandboxSpec, tree: Path, history: Path | None = None
    ) -> ShellSandbox:
        """Start a sandbox with the tree of a tar file in it, and perhaps the history of another.

        Raises `EngineUnavailable`, `ImageMissing`, or `SandboxError` when the cluster has no room,
        when its network is open, or when the tree does not fit.
        """
        spec = replace(spec, tree=await asyncio.to_thread(tree_size, tree, spec.limits, history))
        await self._have_policy()
        made = await self.api.ask(
            lambda c: c.core.create_namespaced_pod(self._namespace, pod(spec))
        )
        sandbox = self._sandbox(str(made["metadata"]["name"]), _limits(made["metadata"]))
        try:
            await self._running(sandbox.id)
            await sandbox.warm()
            await self._try_the_network(sandbox)
            await sandbox.fill(tree, history)
        except BaseException:
            await asyncio.shield(sandbox.close())
            raise
        return sandbox

    async def attach(
        self, sandbox_id: str, *, installation: str | None = None
    ) -> ShellSandbox | None:
        """A sandbox that another process opened, with new shells; None when it does not run, or
        is another installation's than the one named. Tree and snapshots are as they were.
        """
        try:
            found = await self._pod(sandbox_id)
            labels = found["metadata"].get("labels", {})
            if SANDBOX_LABEL not in labels or death(found) or not _is_running(found):
                return None
            if installation not in (None, labels.get(INSTALLATION_LABEL, "")):
                return None
            sandbox = self._sandbox(sandbox_id, _limits(found["metadata"]))
            await sandbox.take_over()
        except SandboxGone:
            return None
        return sandbox

    async def sweep(self, keep_runs: Collection[str], *, installation: str = "") -> list[str]:
        """Remove this installation's pods of all runs but `keep_runs`; returns their names."""
        selector = f"{SANDBOX_LABEL}=true,{INSTALLATION_LABEL}={installation}"
        found = await self.api.ask(
            lambda c: c.core.list_namespaced_pod(self._namespace, label_selector=selector)
        )
        swept = []
        for entry in found["items"]:
            metadata = entry["metadata"]
            if metadata.get("annotations", {}).get(RUN_LABEL, "") not in keep_runs:
                await PodMachine(self.api, self._namespace, metadata["name"]).remove()
                swept.append(str(metadata["name"]))
        return swept

    async def close(self) -> None:
        """Close the connections; sandboxes live on."""
        await self.api.close()

    async def _pod(self, name: str) -> Object:
        return await self.api.ask(lambda c: c.core.read_namespaced_pod(name, self._namespace))

    def _sandbox(self, name: str, output: OutputLimits) -> ShellSandbox:
        return ShellSandbox(PodMachine(self.api, self._namespace, name), output)

    async def _have_policy(self) -> None:
        """Have the policy that closes the network, before there is a pod that it is for."""
        async with self._policy:
            try:
                found = await self.api.ask(
                    lambda c: c.networking.read_namespaced_network_policy(
                        POLICY_NAME, self._namespace
                    )
                )
            except SandboxGone:
                found = await self.api.ask(
                    lambda c: c.networking.create_namespaced_network_policy(self._namespace, POLICY)
                )
        if not closes_network(found):
            raise SandboxError(
                f"The NetworkPolicy {POLICY_NAME} in {self._namespace} does not close the network "
                "of the sandboxes. Delete it; Patchwright will recreate it."
            )

    async def _running(self, name: str) -> None:
        deadline = time.monotonic() + self._start_s
        while True:
            found = await self._pod(name)
            if _is_running(found):
                return
            why = waits_for(found)
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"The cluster started no pod within {self._start_s:.0f} s: {why or 'no reason'}"
                )
            await asyncio.sleep(_POLL_S)

    async def _try_the_network(self, sandbox: ShellSandbox) -> None:
        """Refuse a cluster that lets a sandbox reach its API server."""
        async with self._probe:
            if self._closed_network:
                return
            probe = network_probe(await self.api.host())
            if (await sandbox.run(probe, timeout_s=PROBE_S + 20)).ok:
                raise SandboxError(OPEN_NETWORK)
            self._closed_network = True


def network_probe(server: str) -> str:
    """A shell command that succeeds where the API server can be reached."""
    host = server.partition("//")[2]
    name, _, port = host.rpartition(":") if ":" in host else (host, "", "443")
    return f"timeout {PROBE_S} bash -c 'exec 9<>/dev/tcp/{name.strip('[]')}/{port}'"


def closes_network(policy: dict[str, Any], label: str = SANDBOX_LABEL) -> bool:
    """Whether a policy closes both directions for all pods with a label."""
    spec = policy.get("spec", {})
    selects_them = spec.get("podSelector") in ({"matchLabels": {label: "true"}}, {})
    both = {"Ingress", "Egress"} <= set(spec.get("policyTypes") or ())
    return selects_them and both and not spec.get("ingress") and not spec.get("egress")


def waits_for(found: dict[str, Any]) -> str:
    """What a pod that does not run yet waits for.

    Raises `ImageMissing` or `SandboxError` when it waits in vain.
    """
    if why := death(found):
        raise SandboxError(f"The sandbox's pod did not start: {why}")
    status = found.get("status", {})
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for container in containers:
        state = container.get("state", {})
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in NEVER:
            raise ImageMissing(f"The cluster cannot pull {container.get('image')}: {message}")
        if reason in FAULTS:
            raise SandboxError(f"The sandbox's pod does not start: {reason}: {message}")
        if ended and ended.get("exitCode"):
            raise SandboxError(f"The image does not start a sandbox: exit {ended['exitCode']}")
    conditions = status.get("conditions", [])
    return next((c["message"] for c in conditions if c.get("message")), "")


def _is_running(found: dict[str, Any]) -> bool:
    containers = found.get("status", {}).get("containerStatuses", [])
    return any(c.get("name") == CONTAINER and c.get("state", {}).get("running") for c in containers)


def _limits(metadata: dict[str, Any]) -> OutputLimits:
    notes, usual = metadata.get("annotations", {}), Limits()
    return OutputLimits(
        kept=int(notes.get(OUTPUT_LABEL) or usual.output_bytes),
        flood=int(notes.get(FLOOD_LABEL) or usual.flood_bytes),
    )
