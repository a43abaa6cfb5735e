"""The package registries that this machine's own clients use: the default allow-list of set-up.

Nothing is named here: pip, npm, Go and apt are asked what they are configured for, or what they
take when nothing is configured.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from urllib.parse import urlsplit

from sandbox.images.apt_sources import machine_sources

ASK_S = 20.0


def machine_hosts() -> tuple[str, ...]:
    """Host names, each with its port unless it is the usual one; sorted, each once."""
    urls = [*_pip(), *_npm(), *_go(), *(source.uri for source in machine_sources())]
    return hosts_of(urls)


def hosts_of(urls: Iterable[str]) -> tuple[str, ...]:
    """The hosts of addresses; what is no http(s) address is left out."""
    hosts = set()
    for url in urls:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            continue
        usual = parts.port in (None, 80, 443)
        hosts.add(parts.hostname if usual else f"{parts.hostname}:{parts.port}")
    return tuple(sorted(hosts))


def pip_urls(listed: str) -> list[str]:
    """The index addresses in what `pip config list` prints."""
    urls: list[str] = []
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        key = name.rsplit(".", 1)[-1].strip().replace("_", "-").lower()
        if key in ("index-url", "extra-index-url"):
            urls += value.strip().strip("'\"").replace("\\n", " ").split()
    return urls


def _pip() -> list[str]:
    urls = pip_urls(_output_of(sys.executable, "-I", "-m", "pip", "config", "list"))
    urls += [os.environ[n] for n in ("PIP_INDEX_URL", "UV_INDEX_URL") if n in os.environ]
    try:
        # Where pip goes by itself, and where that index keeps its files.
        from pip._internal.models.index import PyPI
    except ImportError:
        return urls
    return [*urls, f"https://{PyPI.netloc}", f"https://{PyPI.file_storage_domain}"]


def _npm() -> list[str]:
    return _output_of("npm", "config", "get", "registry").split()


def _go() -> list[str]:
    return _output_of("go", "env", "GOPROXY").replace("|", ",").split(",")


def _output_of(*command: str) -> str:
    """What a client prints; nothing when it is not there or fails.

    `patchwright fix` is called inside of hostile checkouts, and clients read and run what lies in
    the folder where they start: it is never that one.
    """
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=ASK_S, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
