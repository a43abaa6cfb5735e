"""Which cluster, and who we are to it, by the official client's own reading of both.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ and
https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from sandbox.errors import EngineUnavailable

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its service account."""

RENEW_S = 60.0
"""How long credentials are taken for good before their file or program is asked again."""

_UNUSABLE = (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True, slots=True)
class Access:
    """One cluster. It holds no secret: those are read when a connection is made."""

    config: Path | None = None
    """A kubeconfig; None: the cluster whose pod this process runs in."""
    context: str = ""
    """A context of the kubeconfig; empty: its current one."""
    namespace: str = "default"
    account: Path = ACCOUNT
    """Where the service account is, without a kubeconfig."""


def require_client() -> None:
    """Raises `EngineUnavailable` when the official client is not installed."""
    found = find_spec("kubernetes")
    # A mere folder of that name is a package too, without an origin.
    if found is None or found.origin is None:
        raise EngineUnavailable(
            "Sandboxes on Kubernetes need Patchwright's extra `kubernetes`, which is not "
            "installed: pip install 'patchwright[kubernetes]'."
        )


def cluster_access(
    config: Path | None = None,
    context: str = "",
    environment: Mapping[str, str] = os.environ,
    account: Path = ACCOUNT,
) -> Access:
    """The cluster of a kubeconfig, else the one that this process runs in.

    Raises `EngineUnavailable` with what to do.
    """
    require_client()
    if config is not None:
        chosen = _kubeconfig(config, context).current_context["context"]
        return Access(config, context, str(chosen.get("namespace") or "default"))
    if not environment.get("KUBERNETES_SERVICE_HOST") or not account.is_dir():
        raise EngineUnavailable(
            "Sandboxes should be pods, but this process does not run in a cluster: name a "
            "kubeconfig in PATCHWRIGHT_KUBERNETES_CONFIG."
        )
    return Access(namespace=_text(account / "namespace").strip(), account=account)


async def client_configuration(access: Access) -> Any:
    """The official client's configuration, whose credentials renew themselves.

    A kubeconfig's program (`aws eks get-token`, `gke-gcloud-auth-plugin`, `kubelogin`) is run; it
    is the operator's, like the file. Raises `EngineUnavailable` with what to do.
    """
    from kubernetes.aio.client import Configuration
    from kubernetes.aio.config.config_exception import ConfigException
    from kubernetes.aio.config.incluster_config import InClusterConfigLoader

    # Each shell of a sandbox holds one connection: as many as there are.
    made = Configuration(connection_pool_maxsize=0)
    if access.config is not None:
        await _load(access, made)
        if made.proxy:
            # The official client gives it to requests only, not to the streams of `exec`.
            made.client_session_kwargs = {"proxy": made.proxy}
        made.refresh_api_key_hook = _renew_now_and_then(access)
        return made
    # Within the cluster there is no proxy in between, whatever the environment names for elsewhere.
    made.client_session_kwargs = {"trust_env": False}
    try:
        InClusterConfigLoader(
            str(access.account / "token"), str(access.account / "ca.crt")
        ).load_and_set(made)
    except (ConfigException, OSError) as error:
        raise EngineUnavailable(f"The pod's service account cannot be used: {error}") from None
    return made


async def renew(access: Access, configuration: Any) -> None:
    """Ask the kubeconfig's token file or program again. Raises `EngineUnavailable`."""
    from kubernetes.aio.client import Configuration

    if access.config is not None:
        fresh = Configuration()
        await _load(access, fresh)
        configuration.api_key = fresh.api_key


def _renew_now_and_then(access: Access) -> Callable[[Any], Awaitable[None]]:
    """What the client calls before each request."""
    due = time.monotonic() + RENEW_S

    async def hook(configuration: Any) -> None:
        nonlocal due
        if time.monotonic() >= due:
            # First, so that other requests go on with what there is meanwhile.
            due = time.monotonic() + RENEW_S
            await renew(access, configuration)

    return hook


async def _load(access: Access, configuration: Any) -> None:
    from kubernetes.aio.config.config_exception import ConfigException

    path = access.config
    assert path is not None
    loader = _kubeconfig(path, access.context)
    try:
        await loader.load_and_set(configuration)
    except (ConfigException, OSError, *_UNUSABLE) as error:
        raise EngineUnavailable(f"{path} is not a usable kubeconfig: {error}") from None
    # A file ends with a line's end, which no header may have.
    configuration.api_key = {name: key.strip() for name, key in configuration.api_key.items()}
    if not configuration.verify_ssl:
        raise EngineUnavailable(f"{path}: insecure-skip-tls-verify is not supported.")
    if configuration.tls_server_name:
        # The official client does not use it for the streams of `exec`.
        raise EngineUnavailable(
            f"{path}: tls-server-name is not supported. The API server's certificate must be "
            "valid for the address in the kubeconfig."
        )
    program = _program(path, access.context)
    if program and not configuration.api_key and not configuration.cert_file:
        raise EngineUnavailable(
            f"{path}: `{program}` gave no credentials. Run it by hand as this user to see why."
        )


def _kubeconfig(path: Path, context: str) -> Any:
    from kubernetes.aio.config.config_exception import ConfigException
    from kubernetes.aio.config.kube_config import KubeConfigLoader

    try:
        return KubeConfigLoader(
            yaml.safe_load(_text(path)), context or None, config_base_path=str(path.parent)
        )
    except (ConfigException, *_UNUSABLE) as error:
        raise EngineUnavailable(f"{path} is not a usable kubeconfig: {error}") from None


def _program(path: Path, context: str) -> str:
    """The program that gives the user's credentials; empty: there is none."""
    config = yaml.safe_load(_text(path))
    name = context or config["current-context"]
    users = {entry["name"]: entry["user"] for entry in config.get("users") or ()}
    chosen = next(c["context"] for c in config["contexts"] if c["name"] == name)
    user = users.get(chosen.get("user")) or {}
    return str((user.get("exec") or {}).get("command") or "")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise EngineUnavailable(f"{path} cannot be read: {why}") from None
