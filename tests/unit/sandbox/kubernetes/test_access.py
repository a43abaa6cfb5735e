"""Which cluster is meant, and what is said when that cannot be read."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

import sandbox.kubernetes.access as access_module
from sandbox.errors import EngineUnavailable
from sandbox.kubernetes.access import (
    Access,
    client_configuration,
    cluster_access,
    renew,
)

KEY = base64.b64encode(b"KEY").decode()


def config(user: dict[str, Any], **cluster: Any) -> str:
    return yaml.safe_dump({
        "current-context": "b",
        "contexts": [
            {"name": "a", "context": {"cluster": "x", "user": "x", "namespace": "others"}},
            {"name": "b", "context": {"cluster": "c", "user": "u", "namespace": "boxes"}},
        ],
        "clusters": [
            {"name": "x", "cluster": {"server": "https://x.test"}},
            {"name": "c", "cluster": {"server": "https://c.test:6443/", **cluster}},
        ],
        "users": [{"name": "u", "user": user}, {"name": "x", "user": {"token": "of-x"}}],
    })  # fmt: skip


async def test_a_context_of_the_kubeconfig_is_the_cluster(tmp_path: Path) -> None:
    path = tmp_path / "config"
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("one\n")
    path.write_text(
        config(
            {"tokenFile": "token", "client-key-data": KEY},
            **{"certificate-authority": "ca.pem", "proxy-url": "http://proxy.test:3128"},
        )
    )
    access = cluster_access(path)
    made = await client_configuration(access)
    assert (made.host, access.namespace) == ("https://c.test:6443", "boxes")
    assert made.ssl_ca_cert == str(tmp_path / "ca.pem")
    assert Path(made.key_file).read_text() == "KEY"
    assert made.client_session_kwargs == {"proxy": "http://proxy.test:3128"}
    assert (await made.auth_settings())["BearerToken"]["value"] == "Bearer one"
    (tmp_path / "token").write_text("two")
    await renew(access, made)
    assert (await made.auth_settings())["BearerToken"]["value"] == "Bearer two"
    other = cluster_access(path, "a")
    assert other.namespace == "others"
    assert (await client_configuration(other)).host == "https://x.test"


async def test_a_token_file_is_read_again_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "RENEW_S", 0.0)
    path = tmp_path / "config"
    path.write_text(config({"tokenFile": "token"}))
    (tmp_path / "token").write_text("one")
    made = await client_configuration(cluster_access(path))
    (tmp_path / "token").write_text("two")
    assert (await made.auth_settings())["BearerToken"]["value"] == "Bearer two"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (config({"exec": {"command": "false", "apiVersion": "v1"}}), "`false` gave no credentials"),
        (config({"token": "x"}, **{"insecure-skip-tls-verify": True}), "not supported"),
        (config({"token": "x"}, **{"tls-server-name": "other"}), "tls-server-name"),
        (config({"client-key": "none.pem"}), "not a usable kubeconfig.*none.pem"),
        ("current-context: z\ncontexts: []\n", "not a usable kubeconfig"),
        ("{", "not a usable kubeconfig"),
        ("- a", "not a usable kubeconfig"),
        ("", "not a usable kubeconfig"),
    ],
)
async def test_an_unusable_kubeconfig_is_reported(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(EngineUnavailable, match=why):
        await client_configuration(cluster_access(path))


def test_a_context_that_is_not_there_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(config({"token": "x"}))
    with pytest.raises(EngineUnavailable, match="no-such"):
        cluster_access(path, "no-such")


async def test_a_pod_finds_its_own_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("namespace", "mine\n"), ("ca.crt", "CA"), ("token", "t")):
        (tmp_path / name).write_text(text)
    here = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    for name, text in here.items():
        monkeypatch.setenv(name, text)
    access = cluster_access(None, "", here, tmp_path)
    assert access == Access(namespace="mine", account=tmp_path)
    made = await client_configuration(access)
    assert (made.host, made.ssl_ca_cert) == ("https://[fd00::1]:6443", str(tmp_path / "ca.crt"))
    assert (await made.auth_settings())["BearerToken"]["value"] == "bearer t"
    with pytest.raises(EngineUnavailable, match="PATCHWRIGHT_KUBERNETES_CONFIG"):
        cluster_access(None, "", {}, tmp_path)
    (tmp_path / "token").unlink()
    with pytest.raises(EngineUnavailable, match="service account"):
        await client_configuration(access)


def test_without_the_official_client_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "find_spec", lambda _: None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'patchwright\[kubernetes\]'"):
        cluster_access(tmp_path / "config")
