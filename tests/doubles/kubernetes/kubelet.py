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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import DriverConfig, Mount

LABEL = "patchwright.stand-in-cluster"
POD_PIDS = 512
"""As a node's `podPidsLimit`."""
_UNITS = {"m": 0.001, "": 1, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}


@dataclass
class Volumes:
    """What pods may mount or start from besides their own."""

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    config_maps: dict[str, dict[str, str]] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    """Names of the engine's images by the references of the cluster's registry."""


class Pod:
    """One pod on the node. Methods block."""

    def __init__(
        self,
        engine: docker.DockerClient,
        cluster: str,
        body: dict[str, Any],
        closed: Callable[[], bool],
        volumes: Volumes | None = None,
    ) -> None:
        self.body = body
        self._engine = engine
        self._cluster = cluster
        self._closed = closed
        self._sources = volumes or Volumes()
        self._evicted: dict[str, str] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="patchwright-pod-"))
        self._made: dict[str, Any] = {}
        self._waiting = {"reason": "ContainerCreating"}
        self._failed = ""
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
                if container.get("restartPolicy") == "Always":
                    continue
                if made.wait()["StatusCode"]:
                    self._failed = container["name"]
                    self._end_sidecars()
                    return
            for container in spec["containers"]:
                made = self._make(container)
                if made is not None:
                    made.start()
            if self._sidecars:
                for container in spec["containers"]:
                    self._made[container["name"]].wait()
                self._end_sidecars()
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
        if self._evicted:
            return {"phase": "Failed", **self._evicted}
        spec = self.body["spec"]
        states = [self._container_status(c) for c in spec["containers"]]
        ended = [s["state"].get("terminated") for s in states]
        phase = "Pending"
        if self._failed or any(e and e["exitCode"] for e in ended):
            phase = "Failed"
        elif all(ended):
            phase = "Succeeded" if self._sidecars else "Failed"
        elif all("running" in s["state"] for s in states):
            phase = "Running"
        return {
            "phase": phase,
            "initContainerStatuses": [
                self._container_status(c) for c in spec.get("initContainers", [])
            ],
            "containerStatuses": states,
        }

    def evict(self, message: str) -> None:
        """As a node that runs out of something does."""
        self._evicted = {"reason": "Evicted", "message": message}
        self._stop()

    def log(self, name: str, tail_lines: int, limit_bytes: int) -> bytes | None:
        made = self._made.get(name)
        if made is None:
            return None
        with contextlib.suppress(NotFound):
            printed: bytes = made.logs(tail=tail_lines)
            return printed[:limit_bytes]
        return None

    def remove(self) -> None:
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _stop(self) -> None:
        with self._lock:
            self._gone = True
            made = list(self._made.values())
        for container in made:
            with contextlib.suppress(APIError):
                container.remove(v=True, force=True)

    @property
    def _sidecars(self) -> list[str]:
        every = self.body["spec"].get("initContainers", [])
        return [c["name"] for c in every if c.get("restartPolicy") == "Always"]

    def _end_sidecars(self) -> None:
        for name in self._sidecars:
            with contextlib.suppress(APIError):
                self._made[name].kill()

    def _container_status(self, described: dict[str, Any]) -> dict[str, Any]:
        state = self._state(described["name"])
        if ended := state.get("terminated"):
            message = self._termination_log(described["name"]).read_text("utf-8", "replace")
            policy = described.get("terminationMessagePolicy")
            if not message and ended["exitCode"] and policy == "FallbackToLogsOnError":
                message = (self.log(described["name"], 80, 2048) or b"").decode("utf-8", "replace")
            if message:
                ended["message"] = message[-4096:]
        return _container(described, state)

    def _termination_log(self, name: str) -> Path:
        path = self._folder / f"{name}.termination"
        if not path.exists():
            with contextlib.suppress(FileNotFoundError):  # the pod was removed
                path.touch()
                path.chmod(0o666)
        return path if path.exists() else Path("/dev/null")

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
        reason = "Error" if state["ExitCode"] else "Completed"
        if state["OOMKilled"]:
            reason = "OOMKilled"
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
            "image": self._sources.images.get(container["image"], container["image"]),
            "entrypoint": container["command"][:1],
            "command": [*container["command"][1:], *container.get("args", [])],
            "user": f"{own['runAsUser']}:{own['runAsGroup']}",
            "group_add": [str(spec["securityContext"]["fsGroup"])],
            "working_dir": container.get("workingDir", "/"),
            "environment": cluster | given,
            "hostname": spec.get("hostname"),
            "stdin_open": container.get("stdin", False),
            "network_mode": self._network(container["name"]),
            "cap_drop": own["capabilities"]["drop"],
            "cap_add": own["capabilities"].get("add", []),
            "security_opt": [] if own["allowPrivilegeEscalation"] else ["no-new-privileges"],
            "read_only": own.get("readOnlyRootFilesystem", False),
            "mounts": self._mounts(container),
            "mem_limit": int(_quantity(limits["memory"])),
            "memswap_limit": int(_quantity(limits["memory"])),
            "nano_cpus": int(_quantity(limits["cpu"]) * 1e9),
            "pids_limit": POD_PIDS,
            "ipc_mode": "private",
            "log_config": {"Type": "json-file", "Config": {"max-size": "10m"}},
            "labels": {LABEL: self._cluster},
        }

    def _network(self, name: str) -> str:
        """All containers of a pod with sidecars have the first one's network."""
        first = self._sidecars[:1]
        if first and name not in first:
            return f"container:{self._made[first[0]].id}"
        return "none" if self._closed() else "host"

    def _given(self, volume: dict[str, Any]) -> Path | None:
        """The files of a secret or a config map, for a volume of one; None: it is another's."""
        if secret := volume.get("secret"):
            found = self._sources.secrets[secret["secretName"]]
            files = {item["path"]: found[item["key"]] for item in secret["items"]}
        elif config_map := volume.get("configMap"):
            files = self._sources.config_maps[config_map["name"]]
        else:
            return None
        folder = self._folder / volume["name"]
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    def _mounts(self, container: dict[str, Any]) -> list[Mount]:
        spec = self.body["spec"]
        group = spec["securityContext"]["fsGroup"]
        every = [*spec.get("initContainers", []), *spec["containers"]]
        users = [mount["name"] for c in every for mount in c.get("volumeMounts", [])]
        volumes = {v["name"]: v for v in spec.get("volumes", [])}
        log = str(self._termination_log(container["name"]))
        mounts = [Mount("/dev/termination-log", log, type="bind")] if self._sidecars else []
        for mount in container.get("volumeMounts", []):
            name, path = mount["name"], mount["mountPath"]
            if (given := self._given(volumes[name])) is not None:
                mounts.append(Mount(path, str(given), type="bind", read_only=True))
            elif users.count(name) > 1:
                # What containers share outlives the first of them.
                folder = self._folder / name
                if not folder.exists():
                    folder.mkdir()
                    folder.chmod(0o2777)
                only = bool(mount.get("readOnly"))
                mounts.append(Mount(path, str(folder), type="bind", read_only=only))
            else:
                size = int(_quantity(volumes[name]["emptyDir"]["sizeLimit"]))
                shape = f"size={size},mode=2777,uid=0,gid={group}"
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
