"""What a node does with a pod, done by the machine's engine: containers, mounts, status.

Nothing is given to a container that the pod's description does not ask for, but for what every
node gives: variables that name the API server, a limit of processes, and a network that is open
unless a policy closes it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import DriverConfig, Mount

LABEL = "patchwright.stand-in-cluster"
POD_PIDS = 512
"""As a node's `podPidsLimit`."""
_UNITS = {"m": 0.001, "": 1, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}


class Pod:
    """One pod on the node. Methods block."""

    def __init__(
        self,
        engine: docker.DockerClient,
        cluster: str,
        body: dict[str, Any],
        closed: Callable[[], bool],
    ) -> None:
        self.body = body
        self._engine = engine
        self._cluster = cluster
        self._closed = closed
        self._folder = Path(tempfile.mkdtemp(prefix="patchwright-pod-"))
        self._made: dict[str, Any] = {}
        self._waiting = {"reason": "ContainerCreating"}
        self._failed: dict[str, Any] = {}
        self._gone = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Run the containers that prepare, one after another, then the others."""
        spec = self.body["spec"]
        try:
            for container in spec.get("initContainers", []):
                made = self._make(container)
                if made is None:
                    return
                made.start()
                code = made.wait()["StatusCode"]
                made.remove(v=True, force=True)
                if code:
                    self._failed = {"exitCode": code, "reason": "Error"}
                    return
            for container in spec["containers"]:
                made = self._make(container)
                if made is not None:
                    made.start()
        except ImageNotFound as error:
            self._waiting = {"reason": "ImagePullBackOff", "message": str(error.explanation)}
        except APIError as error:
            if not self._gone:
                self._waiting = {"reason": "RunContainerError", "message": str(error.explanation)}

    def container(self, name: str) -> Any:
        """The engine's container; None when it does not run."""
        made = self._made.get(name)
        if made is None:
            return None
        with contextlib.suppress(NotFound):
            made.reload()
            return made if made.status == "running" else None
        return None

    def status(self) -> dict[str, Any]:
        states = [_container(c, self._state(c["name"])) for c in self.body["spec"]["containers"]]
        ended = [s["state"].get("terminated") for s in states]
        phase = "Pending"
        if self._failed or any(ended):
            phase = "Failed"
        elif all("running" in s["state"] for s in states):
            phase = "Running"
        found: dict[str, Any] = {"phase": phase, "containerStatuses": states}
        if self._failed:
            found["initContainerStatuses"] = [
                _container(c, {"terminated": self._failed})
                for c in self.body["spec"]["initContainers"][:1]
            ]
        return found

    def remove(self) -> None:
        with self._lock:
            self._gone = True
            made = list(self._made.values())
        for container in made:
            with contextlib.suppress(APIError):
                container.remove(v=True, force=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _state(self, name: str) -> dict[str, Any]:
        made = self._made.get(name)
        if made is None:
            return {"waiting": self._waiting}
        try:
            made.reload()
        except NotFound:
            return {"terminated": {"exitCode": 137, "reason": "Error"}}
        state = made.attrs["State"]
        if state["Running"]:
            return {"running": {"startedAt": state["StartedAt"]}}
        if state["Status"] == "created":
            return {"waiting": self._waiting}
        reason = "OOMKilled" if state["OOMKilled"] else "Error"
        return {"terminated": {"exitCode": state["ExitCode"], "reason": reason}}

    def _make(self, container: dict[str, Any]) -> Any:
        options = self._options(container)
        with self._lock:
            if self._gone:
                return None
            made = self._engine.containers.create(**options)
            self._made[container["name"]] = made
        return made

    def _options(self, container: dict[str, Any]) -> dict[str, Any]:
        spec, own = self.body["spec"], container["securityContext"]
        limits = container["resources"]["limits"]
        cluster = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_PORT": "tcp://127.0.0.1:443"}
        given = {pair["name"]: pair["value"] for pair in container.get("env", [])}
        return {
            "image": container["image"],
            "entrypoint": container["command"][:1],
            "command": [*container["command"][1:], *container.get("args", [])],
            "user": f"{own['runAsUser']}:{own['runAsGroup']}",
            "group_add": [str(spec["securityContext"]["fsGroup"])],
            "working_dir": container.get("workingDir", "/"),
            "environment": cluster | given,
            "hostname": spec.get("hostname"),
            "stdin_open": container.get("stdin", False),
            "network_mode": "none" if self._closed() else "host",
            "cap_drop": own["capabilities"]["drop"],
            "security_opt": [] if own["allowPrivilegeEscalation"] else ["no-new-privileges"],
            "read_only": own["readOnlyRootFilesystem"],
            "mounts": self._mounts(container),
            "mem_limit": int(_quantity(limits["memory"])),
            "memswap_limit": int(_quantity(limits["memory"])),
            "nano_cpus": int(_quantity(limits["cpu"]) * 1e9),
            "pids_limit": POD_PIDS,
            "ipc_mode": "private",
            "log_config": {"Type": "none", "Config": {}},
            "labels": {LABEL: self._cluster},
        }

    def _mounts(self, container: dict[str, Any]) -> list[Mount]:
        spec = self.body["spec"]
        group = spec["securityContext"]["fsGroup"]
        every = [*spec.get("initContainers", []), *spec["containers"]]
        users = [mount["name"] for c in every for mount in c["volumeMounts"]]
        sizes = {v["name"]: v["emptyDir"]["sizeLimit"] for v in spec["volumes"]}
        mounts: list[Mount] = []
        for mount in container["volumeMounts"]:
            name, path = mount["name"], mount["mountPath"]
            if users.count(name) > 1:
                # What containers share outlives the first of them.
                folder = self._folder / name
                if not folder.exists():
                    folder.mkdir()
                    folder.chmod(0o2777)
                only = bool(mount.get("readOnly"))
                mounts.append(Mount(path, str(folder), type="bind", read_only=only))
            else:
                shape = f"size={int(_quantity(sizes[name]))},mode=2777,uid=0,gid={group}"
                options = {"type": "tmpfs", "device": "tmpfs", "o": shape}
                memory = DriverConfig("local", options)
                mounts.append(Mount(path, None, type="volume", no_copy=True, driver_config=memory))
        return mounts


def _container(described: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": described["name"],
        "image": described["image"],
        "imageID": "",
        "ready": "running" in state,
        "restartCount": 0,
        "state": state,
    }


def remove_all(engine: docker.DockerClient, cluster: str) -> int:
    """Remove what is left of a cluster; gives how many containers there were."""
    left = engine.containers.list(all=True, filters={"label": f"{LABEL}={cluster}"})
    for container in left:
        with contextlib.suppress(APIError):
            container.remove(v=True, force=True)
    return len(left)


def _quantity(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(m|Ki|Mi|Gi|)", text)
    assert found, text
    return float(found[1]) * _UNITS[found[2]]
