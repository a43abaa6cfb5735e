"""`patchwright doctor`: checks everything that a run needs, and says what to do."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from github import GithubException, GithubIntegration
from rich.console import Console

from agent.models.doctor import check_endpoint
from app.alerts import config as alerts_config
from app.cli.signatures import told_branches, told_signatures, wrong_with_key
from app.github.app import GithubApp, integration
from app.llm.factory import endpoint
from app.mcp import config as tools_config
from app.notifications import config as notifications_config
from app.publishing.commits import signing_of
from app.sandboxes.attacks import HOST_ATTACKS
from app.sandboxes.cluster_environments import build_settings
from app.sandboxes.kubernetes import cluster_image, kubernetes_engine
from app.settings.base import SettingsError
from app.settings.schema import Settings
from sandbox.attacks.catalogue import ATTACKS
from sandbox.attacks.target import Attack, outcome
from sandbox.docker.engine import DockerEngine
from sandbox.environment.image_reference import DOCKER_HUB
from sandbox.errors import ImageMissing, SandboxError
from sandbox.images.base_image import BASE_IMAGE
from sandbox.kubernetes.engine import KubernetesEngine
from sandbox.protocol import Limits, Sandbox
from sandbox.setup.attacks import setup_attacks
from sandbox.setup.cluster.permissions import missing_permissions
from sandbox.setup.image_attacks import image_attacks
from sandbox.spec import SandboxSpec


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    ok: bool
    text: str
    """What was seen, or what to do."""


async def check_host(settings: Settings) -> list[Finding]:
    """Check the engine, the image, the model's endpoint and the GitHub credentials."""
    checks: list[Callable[[Settings], Awaitable[list[Finding]]]] = [
        _sandbox,
        _model,
        _github,
        _operator_files,
    ]
    return [finding for check in checks for finding in await check(settings)]


async def check_model(settings: Settings) -> list[Finding]:
    """Check only the model's endpoint."""
    return await _model(settings)


async def _sandbox(settings: Settings) -> list[Finding]:
    if settings.sandbox_engine == "kubernetes":
        return await check_cluster(settings)
    engine = DockerEngine(settings.docker_url)
    try:
        version = await engine.check()
    except SandboxError as problem:
        return [Finding("engine", False, str(problem))]
    else:
        image = settings.sandbox_image or BASE_IMAGE
        there = await engine.has_image(image)
        missing = f"{image} is missing: run `patchwright images build`"
        return [
            Finding("engine", True, version),
            Finding("image", there, image if there else missing),
        ]
    finally:
        await engine.close()


async def check_cluster(settings: Settings) -> list[Finding]:
    """Check the cluster of the sandboxes, and what its operator has for set-ups."""
    try:
        image = cluster_image(settings)
        engine = kubernetes_engine(settings)
    except (SettingsError, SandboxError) as problem:
        return [Finding("cluster", False, str(problem))]
    try:
        version = await engine.check()
        found = [Finding("cluster", True, version), Finding("image", True, image)]
        return found + await _cluster_setups(settings, engine)
    except (SettingsError, SandboxError) as problem:
        return [Finding("cluster", False, str(problem))]
    finally:
        await engine.close()


async def _cluster_setups(settings: Settings, engine: KubernetesEngine) -> list[Finding]:
    build = build_settings(settings)
    if build is None:
        text = "dependencies are not installed: there is no PATCHWRIGHT_KUBERNETES_REGISTRY"
        return [Finding("set-ups", True, text)]
    missing = await missing_permissions(engine.api, build.namespace)
    text = f"Jobs in the namespace {build.namespace}"
    if missing:
        text = (
            f"the account may not {', '.join(missing)} in the namespace {build.namespace}: apply "
            "deploy/kubernetes/setups.yaml, or set sandbox.setups in the chart"
        )
    return [Finding("set-ups", not missing, text), await _registry(settings, build.registry)]


async def _registry(settings: Settings, registry: str) -> Finding:
    """Whether this process reaches the registry: the set-ups' copies of images pass through it.

    https://distribution.github.io/distribution/spec/api/#api-version-check
    """
    host = registry.partition("/")[0]
    url = f"https://{'registry-1.docker.io' if host == DOCKER_HUB else host}/v2/"
    trusted = str(settings.setup_ca_file or "") or None
    try:
        tls = ssl.create_default_context(cafile=trusted)
        async with httpx.AsyncClient(verify=tls, timeout=15, trust_env=False) as client:
            status = (await client.get(url)).status_code
    except (OSError, httpx.HTTPError) as problem:
        return Finding("registry", False, f"{url} cannot be reached: {problem!r}")
    known = status in (200, 401)
    return Finding("registry", known, f"{registry} answers" if known else f"{url} answers {status}")


async def _model(settings: Settings) -> list[Finding]:
    served = [name for name in profiles_in_use(settings) if name != "offline"]
    if not served:
        text = "offline repair search; set PATCHWRIGHT_MODEL_URL to use a model"
        return [Finding("model", True, text)]
    if len(served) == 1:
        return await _profile(settings.with_model(served[0]), "model")
    found, failed = [], []
    for name in served:
        here = await _profile(settings.with_model(name), f"model {name}:")
        found += here
        failed += [] if all(f.ok for f in here) else [name]
    fitting = [name for name in served if name not in failed]
    text = f"{', '.join(fitting) or 'no profile'} may work"
    if failed:
        text = f"{', '.join(failed)} failed, see above; {text}"
    return [*found, Finding("models", not failed, text)]


def profiles_in_use(settings: Settings) -> tuple[str, ...]:
    """The profiles that runs may use, and others that have servers of their own."""
    return tuple(dict.fromkeys((*settings.offered_models, *settings.model_servers)))


async def _profile(settings: Settings, prefix: str) -> list[Finding]:
    """What one profile's servers are like."""
    try:
        findings = await check_endpoint(endpoint(settings))
    except SettingsError as problem:
        return [Finding(prefix.rstrip(":"), False, str(problem))]
    return [Finding(f"{prefix} {f.name}", f.ok, f.text) for f in findings]


async def _github(settings: Settings) -> list[Finding]:
    try:
        key = settings.secret("github_private_key")
        secret = settings.secret("github_webhook_secret")
    except SettingsError as problem:
        return [Finding("github", False, str(problem))]
    if not settings.github_app_id or not key:
        text = "no App yet (only the service needs one): run `patchwright setup-app`"
        return [Finding("github", False, text)]
    if not secret:
        text = "set PATCHWRIGHT_GITHUB_WEBHOOK_SECRET_FILE"
        return [Finding("github", False, text)]
    return await asyncio.to_thread(_ask_github, settings, key)


async def _operator_files(settings: Settings) -> list[Finding]:
    """The files about alerts, notifications and tools, where there are some, with their secrets."""
    found = []
    for name, path, check in (
        ("alerts", settings.alerts_file, _check_sources),
        ("notifications", settings.notifications_file, _check_channels),
        ("tools", settings.tools_file, _check_tools),
    ):
        if path is not None:
            try:
                found.append(Finding(name, True, check(path)))
            except (SettingsError, ValueError) as problem:
                found.append(Finding(name, False, str(problem)))
    return found


def _check_sources(path: Path) -> str:
    file = alerts_config.load(path)
    for source in file.source:
        _ = source.secret, source.api_token
    return f"{len(file.source)} sources, {len(file.route)} routes"


def _check_channels(path: Path) -> str:
    file = notifications_config.load(path)
    for channel in file.channel:
        _ = channel.secret, channel.kind == "email" or channel.address
    return f"{len(file.channel)} channels; `patchwright notify` sends a test to each"


def _check_tools(path: Path) -> str:
    file = tools_config.load(path)
    for server in file.server:
        _ = server.secrets
    if file.server:
        tools_config.check_extra()
    return f"{len(file.server)} servers; `patchwright doctor --tools` asks each for its tools"


def _ask_github(settings: Settings, key: str) -> list[Finding]:
    try:
        # With the connections that pin the version of the API.
        github = integration(
            GithubApp(
                app_id=str(settings.github_app_id),
                private_key=key,
                api_url=settings.github_api_url,
                ca_file=str(settings.github_ca_file or ""),
                timeout_s=15,
            )
        )
        app = github.get_app()
    except GithubException as problem:
        if problem.status in (401, 403, 404):
            return [Finding("github", False, "GitHub refuses the App's id or private key")]
        return [Finding("github", False, f"GitHub answered {problem.status}; try again later")]
    except (OSError, httpx.HTTPError, ValueError, AssertionError) as problem:
        kind = type(problem).__name__
        return [Finding("github", False, f"{settings.github_api_url} does not respond ({kind})")]
    found = Finding("github", True, f"App {app.slug} at {settings.github_api_url}")
    reruns = Finding("failed CI jobs", True, _told_reruns(app.permissions, app.events))
    return [found, reruns, *_signatures(settings, github)]


def _told_reruns(permissions: Mapping[str, str], events: Sequence[str]) -> str:
    """Whether failed CI jobs can be run again; nothing else needs that."""
    lacking = [] if permissions.get("actions") == "write" else ["the permission Actions: write"]
    lacking += [] if "workflow_run" in events else ["the event Workflow run"]
    if not lacking:
        return "may be run again where they failed by chance"
    return (
        f"are not run again, but fixed as others: give the App {' and '.join(lacking)} on its page "
        "at GitHub to have that"
    )


def _signatures(settings: Settings, github: GithubIntegration) -> list[Finding]:
    """Whether commits can be signed where repositories want that."""
    signing = signing_of(settings)
    branches, incomplete = told_branches(github)
    ok, text = told_signatures(branches, signing, incomplete=incomplete)
    found = [Finding("signatures", ok, text)]
    if signing.key is not None:
        wrong = wrong_with_key(signing.key.path)
        found.append(Finding("signing key", not wrong, wrong or str(signing.key.path)))
    return found


async def print_attacks(settings: Settings, out: Console) -> bool:
    """Print one line per attack: its name and the outcome. True if all were contained."""
    held = True
    async for name, what in run_attacks(settings):
        text = f"NOT CONTAINED: {what}" if what else "contained"
        out.print(f"{name}: {text}", markup=False, highlight=False, soft_wrap=True)
        held = held and not what
    return held


async def run_attacks(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """Each attack's name, and what happened: empty when it was contained.

    Raises `EngineUnavailable`, `ImageMissing` or `SettingsError` before the first attack.
    """
    engine: DockerEngine | KubernetesEngine
    if settings.sandbox_engine == "kubernetes":
        engine, image = kubernetes_engine(settings), cluster_image(settings)
    else:
        engine, image = DockerEngine(settings.docker_url), settings.sandbox_image or BASE_IMAGE
    spec = SandboxSpec(
        image=image,
        limits=settings.limits,
        run_id=f"doctor-{secrets.token_hex(4)}",
        purpose="attack",
        runtime=settings.sandbox_runtime,
        installation=settings.installation,
    )

    async def open_tree(tree: Path, limits: Limits) -> Sandbox:
        return await engine.open(replace(spec, limits=limits), tree)

    try:
        await engine.check()
        if isinstance(engine, DockerEngine) and not await engine.has_image(image):
            raise ImageMissing(f"{image} is missing: run `patchwright images build`")
        # A cluster keeps no prepared images; its nodes pull the images that repositories name.
        more: tuple[Attack, ...] = ()
        if isinstance(engine, DockerEngine):
            more = (*image_attacks(engine, spec), *setup_attacks(engine, spec))
        for attack in (*ATTACKS, *more, *HOST_ATTACKS):
            yield attack.name, await outcome(attack, open_tree)
    finally:
        await engine.close()
