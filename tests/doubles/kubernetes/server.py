"""The API server of the stand-in cluster, over TLS, for one bearer token.

with serving_cluster() as cluster:
    path.write_text(cluster.kubeconfig)
    access = cluster_access(path)
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import docker
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from sandbox.egress.certificates import Authority
from tests.doubles.kubernetes.admission import Refused, check_fields, check_metadata, check_pod
from tests.doubles.kubernetes.exec import carry
from tests.doubles.kubernetes.kubelet import Pod, remove_all

NAMESPACE = "sandboxes"
VERSION = {
    "major": "1", "minor": "33", "gitVersion": "v1.33.0-stand-in", "gitCommit": "",
    "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
}  # fmt: skip


@dataclass
class Cluster:
    """What a test may look at and change."""

    name: str = field(default_factory=lambda: f"cluster-{secrets.token_hex(4)}")
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    url: str = ""
    ca_pem: str = ""
    keeps_policies: bool = True
    """Whether the network closes what policies close."""
    pods: dict[str, Pod] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """What was asked for, in order."""

    @property
    def kubeconfig(self) -> str:
        ca = base64.b64encode(self.ca_pem.encode()).decode()
        return yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "contexts": [{"name": "here", "context": {
                "cluster": "c", "user": "u", "namespace": NAMESPACE}}],
            "clusters": [{"name": "c", "cluster": {
                "server": self.url, "certificate-authority-data": ca}}],
            "users": [{"name": "u", "user": {"token": self.token}}],
        })  # fmt: skip

    def closes(self, pod: dict[str, Any]) -> bool:
        """Whether the network is closed for a pod, by the policies that there are."""
        labels = pod["metadata"].get("labels", {})
        closed: set[str] = set()
        for policy in self.policies.values():
            spec = policy["spec"]
            wanted = spec["podSelector"].get("matchLabels", {})
            if wanted.items() <= labels.items():
                closed |= {t for t in spec["policyTypes"] if not spec.get(t.lower())}
        return self.keeps_policies and closed == {"Ingress", "Egress"}


def _app(cluster: Cluster, engine: docker.DockerClient) -> Starlette:
    def allowed(headers: Any) -> bool:
        return bool(headers.get("authorization") == f"Bearer {cluster.token}")

    async def ask(request: Request) -> Response:
        cluster.requests.append(f"{request.method} {request.url.path}")
        if not allowed(request.headers):
            return _no(401, "Unauthorized")
        try:
            return await _answer(cluster, engine, request)
        except Refused as refusal:
            return _no(refusal.code, str(refusal))
        except KeyError as missing:
            return _no(404, f"{missing} not found")

    async def execute(socket: WebSocket) -> None:
        pod = cluster.pods.get(socket.path_params["name"])
        name = socket.query_params.get("container", "")
        container = await asyncio.to_thread(pod.container, name) if pod else None
        if not allowed(socket.headers):
            await socket.send_denial_response(_no(401, "Unauthorized"))
        elif pod is None:
            await socket.send_denial_response(_no(404, "pods not found"))
        elif container is None:
            await socket.send_denial_response(_no(400, f"container not found ({name})"))
        else:
            await carry(socket, engine, container)

    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    policies = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies"
    every = ["GET", "POST", "DELETE"]
    return Starlette(
        routes=[
            Route("/version", ask),
            WebSocketRoute(pods + "/{name}/exec", execute),
            *(Route(path, ask, methods=every) for kind in (pods, policies)
              for path in (kind, kind + "/{name}")),
        ]
    )  # fmt: skip


async def _answer(cluster: Cluster, engine: docker.DockerClient, request: Request) -> Response:
    name = request.path_params.get("name")
    if request.url.path == "/version":
        return JSONResponse(VERSION)
    body = json.loads(await request.body() or b"{}")
    if "networkpolicies" in request.url.path:
        return JSONResponse(*_policy(cluster, request.method, name, body))
    match request.method, name:
        case "POST", None:
            check_pod(body)
            if body["metadata"]["name"] in cluster.pods:
                raise Refused(409, "pods already exists")
            pod = Pod(engine, cluster.name, body, lambda: cluster.closes(body))
            cluster.pods[body["metadata"]["name"]] = pod
            threading.Thread(target=pod.start, daemon=True).start()
            return JSONResponse(body | {"status": {"phase": "Pending"}}, 201)
        case "GET", None:
            wanted = dict(
                pair.split("=") for pair in request.query_params["labelSelector"].split(",")
            )
            found = [
                pod.body | {"status": await asyncio.to_thread(pod.status)}
                for pod in list(cluster.pods.values())
                if wanted.items() <= pod.body["metadata"].get("labels", {}).items()
            ]
            return JSONResponse({"kind": "PodList", "apiVersion": "v1", "items": found})
        case "GET", str():
            pod = cluster.pods[name]
            return JSONResponse(pod.body | {"status": await asyncio.to_thread(pod.status)})
        case "DELETE", str():
            pod = cluster.pods.pop(name)
            await asyncio.to_thread(pod.remove)
            return JSONResponse(pod.body)
    raise Refused(405, "the server does not allow this method on the requested resource")


def _policy(
    cluster: Cluster, method: str, name: str | None, body: dict[str, Any]
) -> tuple[dict[str, Any], int]:
    if method == "POST" and name is None:
        check_fields(body, "networking.k8s.io/v1", "NetworkPolicy")
        check_metadata(body["metadata"])
        if body["metadata"]["name"] in cluster.policies:
            raise Refused(409, "networkpolicies already exists")
        cluster.policies[body["metadata"]["name"]] = body
        return body, 201
    if method == "GET" and name is not None:
        return cluster.policies[name], 200
    raise Refused(405, "the server does not allow this method on the requested resource")


def _no(code: int, why: str) -> JSONResponse:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": why, "code": code}
    return JSONResponse(body, code)


@contextlib.contextmanager
def serving_cluster() -> Iterator[Cluster]:
    """A cluster on a free port; its pods are gone at the end."""
    cluster, engine, authority = Cluster(), docker.from_env(), Authority()
    config = uvicorn.Config(_app(cluster, engine), port=0, log_level="warning", lifespan="off")
    config.load()
    config.ssl = authority.server_context("localhost")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    started = threading.Event()
    startup = server.startup

    async def notice(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = notice  # type: ignore[method-assign]
    thread.start()
    assert started.wait(20)
    cluster.url = f"https://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    cluster.ca_pem = authority.pem
    try:
        yield cluster
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(20)
        for pod in cluster.pods.values():
            pod.remove()
        remove_all(engine, cluster.name)
        engine.close()
