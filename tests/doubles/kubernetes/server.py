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
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from sandbox.egress.certificates import Authority
from tests.doubles.kubernetes.admission import (
    Refused,
    check_fields,
    check_job,
    check_metadata,
    check_pod,
)
from tests.doubles.kubernetes.exec import carry
from tests.doubles.kubernetes.kubelet import Pod, Volumes, remove_all

NAMESPACE = "sandboxes"
"""Holds pods to the `restricted` standard."""
SETUPS = "patchwright-setups"
"""Lets pods be as they like (`privileged`)."""
VERSION = {
    "major": "1", "minor": "33", "gitVersion": "v1.33.0-stand-in", "gitCommit": "",
    "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
}  # fmt: skip


@dataclass
class Job:
    """A job and its only pod."""

    body: dict[str, Any]
    pod: str

    def status(self, pod: Pod | None) -> dict[str, Any]:
        phase = pod.status()["phase"] if pod else "Failed"
        done = {"Succeeded": ("succeeded", "Complete"), "Failed": ("failed", "Failed")}
        if phase not in done:
            return {"active": 1}
        count, condition = done[phase]
        return {count: 1, "conditions": [{"type": condition, "status": "True"}]}


@dataclass
class Cluster:
    """What a test may look at and change."""

    name: str = field(default_factory=lambda: f"cluster-{secrets.token_hex(4)}")
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    url: str = ""
    ca_pem: str = ""
    keeps_policies: bool = True
    """Whether the network closes what policies close."""
    away: bool = False
    """Whether requests are answered by 503."""
    forbidden: set[str] = field(default_factory=set)
    """What the account may not do: "create jobs"."""
    volumes: Volumes = field(default_factory=Volumes)
    jobs: dict[str, Job] = field(default_factory=dict)
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
            if policy["metadata"]["namespace"] != pod["metadata"]["namespace"]:
                continue
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
        if cluster.away:
            return _no(503, "the server is currently unable to handle the request")
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
        if cluster.away:
            await socket.send_denial_response(_no(503, "the server is currently unable"))
        elif not allowed(socket.headers):
            await socket.send_denial_response(_no(401, "Unauthorized"))
        elif pod is None:
            await socket.send_denial_response(_no(404, "pods not found"))
        elif container is None:
            await socket.send_denial_response(_no(400, f"container not found ({name})"))
        else:
            await carry(socket, engine, container)

    space = "/namespaces/{namespace}/"
    kinds = ("/api/v1" + space + "pods", "/apis/batch/v1" + space + "jobs",
             "/apis/networking.k8s.io/v1" + space + "networkpolicies")  # fmt: skip
    every = ["GET", "POST", "DELETE"]
    return Starlette(
        routes=[
            Route("/version", ask),
            Route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", ask, methods=every),
            WebSocketRoute(kinds[0] + "/{name}/exec", execute),
            Route(kinds[0] + "/{name}/log", ask),
            *(Route(path, ask, methods=every) for kind in kinds
              for path in (kind, kind + "/{name}")),
        ]
    )  # fmt: skip


async def _answer(cluster: Cluster, engine: docker.DockerClient, request: Request) -> Response:
    name, namespace = request.path_params.get("name"), request.path_params.get("namespace")
    if request.url.path == "/version":
        return JSONResponse(VERSION)
    body = json.loads(await request.body() or b"{}")
    if request.url.path.endswith("/selfsubjectaccessreviews"):
        return JSONResponse(_review(cluster, body), 201)
    if namespace not in (NAMESPACE, SETUPS):
        raise Refused(404, f"namespaces {namespace!r} not found")
    if body.get("metadata") is not None and request.method == "POST":
        body["metadata"]["namespace"] = namespace
    if "networkpolicies" in request.url.path:
        return JSONResponse(*_policy(cluster, request.method, name, body))
    if "/jobs" in request.url.path:
        answered, code = await asyncio.to_thread(_job, cluster, engine, request, name, body)
        return JSONResponse(answered, code)
    if request.url.path.endswith("/log"):
        return _log(cluster.pods[str(name)], request)
    match request.method, name:
        case "POST", None:
            check_pod(body, restricted=namespace == NAMESPACE)
            if body["metadata"]["name"] in cluster.pods:
                raise Refused(409, "pods already exists")
            _start(cluster, engine, body)
            return JSONResponse(body | {"status": {"phase": "Pending"}}, 201)
        case "GET", None:
            found = [
                pod.body | {"status": await asyncio.to_thread(pod.status)}
                for pod in list(cluster.pods.values())
                if _is_selected(request, pod.body["metadata"])
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


def _start(cluster: Cluster, engine: docker.DockerClient, body: dict[str, Any]) -> None:
    pod = Pod(engine, cluster.name, body, lambda: cluster.closes(body), cluster.volumes)
    cluster.pods[body["metadata"]["name"]] = pod
    threading.Thread(target=pod.start, daemon=True).start()


def _is_selected(request: Request, metadata: dict[str, Any]) -> bool:
    wanted = dict(pair.split("=") for pair in request.query_params["labelSelector"].split(","))
    here = metadata["namespace"] == request.path_params["namespace"]
    return here and wanted.items() <= metadata.get("labels", {}).items()


def _job(
    cluster: Cluster,
    engine: docker.DockerClient,
    request: Request,
    name: str | None,
    body: dict[str, Any],
) -> tuple[dict[str, Any], int]:
    def described(job: Job) -> dict[str, Any]:
        return job.body | {"status": job.status(cluster.pods.get(job.pod))}

    match request.method, name:
        case "POST", None:
            if "create jobs" in cluster.forbidden:
                raise Refused(
                    403, 'jobs.batch is forbidden: User "u" cannot create resource "jobs"'
                )
            metadata = body["metadata"]
            check_job(body, restricted=metadata["namespace"] == NAMESPACE)
            template = body["spec"]["template"]
            labels = template["metadata"].get("labels", {}) | {"job-name": metadata["name"]}
            pod = f"{metadata['name']}-{secrets.token_hex(3)}"
            own = template["metadata"] | {
                "name": pod, "labels": labels, "namespace": metadata["namespace"],
            }  # fmt: skip
            job = cluster.jobs[metadata["name"]] = Job(body, pod)
            _start(
                cluster,
                engine,
                {"apiVersion": "v1", "kind": "Pod", "metadata": own, "spec": template["spec"]},
            )
            return described(job), 201
        case "GET", None:
            found = [
                described(job)
                for job in list(cluster.jobs.values())
                if _is_selected(request, job.body["metadata"])
            ]
            return {"kind": "JobList", "apiVersion": "batch/v1", "items": found}, 200
        case "GET", str():
            return described(cluster.jobs[name]), 200
        case "DELETE", str():
            job = cluster.jobs.pop(name)
            if request.query_params.get("propagationPolicy") in ("Background", "Foreground"):
                cluster.pods.pop(job.pod).remove()
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}, 200
    raise Refused(405, "the server does not allow this method on the requested resource")


def _log(pod: Pod, request: Request) -> Response:
    query = request.query_params
    printed = pod.log(query["container"], int(query["tailLines"]), int(query["limitBytes"]))
    if printed is None:
        raise Refused(400, f"container {query['container']!r} in pod is waiting to start")
    return PlainTextResponse(printed)


def _review(cluster: Cluster, body: dict[str, Any]) -> dict[str, Any]:
    check_fields(body, "authorization.k8s.io/v1", "SelfSubjectAccessReview")
    asked = body["spec"]["resourceAttributes"]
    what = f"{asked['verb']} {asked['resource']}"
    return body | {"status": {"allowed": what not in cluster.forbidden}}


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
