"""Where a cluster's API server listens, and who we are to it.

Said by a kubeconfig, or by the service account of the pod that this process runs in:

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ and
https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.errors import EngineUnavailable

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its service account."""


@dataclass(frozen=True, slots=True)
class Access:
    """One cluster, and how to show who we are. Its text shows no secret."""

    server: str
    """The API server's address, `https://…`."""
    namespace: str = "default"
    ca_pem: str = ""
    """Certificates that the server is known by; empty: the machine's own."""
    token_file: Path | None = None
    """Read at each request, for the cluster renews it."""
    token: str = field(default="", repr=False)
    certificate_pem: str = field(default="", repr=False)
    key_pem: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """What each request carries. Raises `EngineUnavailable` when the token cannot be read."""
        token = self.token
        if self.token_file is not None:
            token = _text(self.token_file).strip()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def tls(self) -> ssl.SSLContext | None:
        """How the connection is made; None for `http://`."""
        if not self.server.startswith("https://"):
            return None
        context = ssl.create_default_context(cadata=self.ca_pem or None)
        if self.certificate_pem:
            # Python's TLS takes a client's certificate from a file only.
            with tempfile.NamedTemporaryFile("w", prefix="patchwright-", suffix=".pem") as file:
                file.write(self.certificate_pem + "\n" + self.key_pem + "\n")
                file.flush()
                context.load_cert_chain(file.name)
        return context


def cluster_access(
    config: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    account: Path = ACCOUNT,
) -> Access:
    """The cluster of a kubeconfig, else the one that this process runs in.

    Raises `EngineUnavailable` with what to do.
    """
    if config is not None:
        return from_kubeconfig(_text(config), config)
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    if not host or not account.is_dir():
        raise EngineUnavailable(
            "Sandboxes should be pods, but this process does not run in a cluster: name a "
            "kubeconfig in PATCHWRIGHT_KUBERNETES_CONFIG."
        )
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    return Access(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=_text(account / "namespace").strip(),
        ca_pem=_text(account / "ca.crt"),
        token_file=account / "token",
    )


def from_kubeconfig(text: str, path: Path) -> Access:
    """The current context of a kubeconfig; files that it names are beside it."""
    try:
        config = yaml.safe_load(text)
        context = _entry_named(config, "contexts", "context", config["current-context"])
        cluster = _entry_named(config, "clusters", "cluster", context["cluster"])
        user = _entry_named(config, "users", "user", context["user"])
        if "exec" in user or "auth-provider" in user:
            raise EngineUnavailable(
                f"{path}: the user's credentials come from a program, which Patchwright does not "
                "run. Use a service account's token or a client certificate."
            )
        if cluster.get("insecure-skip-tls-verify"):
            raise EngineUnavailable(f"{path}: insecure-skip-tls-verify is not supported.")
        token_file = user.get("tokenFile")
        return Access(
            server=str(cluster["server"]).rstrip("/"),
            namespace=str(context.get("namespace") or "default"),
            ca_pem=_material(cluster, "certificate-authority", path),
            token_file=path.parent / token_file if token_file else None,
            token=str(user.get("token") or ""),
            certificate_pem=_material(user, "client-certificate", path),
            key_pem=_material(user, "client-key", path),
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise EngineUnavailable(f"{path} is not a usable kubeconfig: {error}") from None


def _entry_named(config: dict[str, Any], kind: str, key: str, name: str) -> dict[str, Any]:
    for entry in config[kind]:
        if entry["name"] == name:
            found: dict[str, Any] = entry[key]
            return found
    raise KeyError(f"{kind} has no {name}")


def _material(entry: dict[str, Any], name: str, path: Path) -> str:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data, validate=True).decode()
    return _text(path.parent / entry[name]) if entry.get(name) else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise EngineUnavailable(f"{path} cannot be read: {why}") from None
