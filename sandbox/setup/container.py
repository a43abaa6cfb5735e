"""What the containers of a set-up are made of: pure functions to the engine's terms.

A set-up has two containers without a network interface but loopback, which they share. In one a
relay listens and carries connections to the proxy of this process; the other runs the set-up.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.docker.prepared_volume import mounted
from sandbox.environment.records import PREFIX
from sandbox.protocol import Limits
from sandbox.shell.service_scripts import PREPARED_HOME
from sandbox.spec import INSTALLATION_LABEL, KEEPER_USER, PURPOSE_LABEL, RUN_LABEL

PROXY_PORT = 3128
CA_FILE = "/run/patchwright-ca.pem"
"""Certificates that set-up trusts, in its container."""

BEFORE = "/run/patchwright-before"
"""Where a set-up finds the volume of the image that it starts from."""

# What a package manager of a distribution needs to install for other users.
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID", "KILL")
_RELAY_MEMORY = 128 * 1024**2


@dataclass(frozen=True, slots=True)
class SetupSpec:
    """Which set-up to run, and for whom."""

    image: str
    limits: Limits
    run_id: str
    installation: str = ""
    """Whose the containers are; see `SandboxSpec`."""
    runtime: str = ""
    owner: str = ""
    """Whose the image is; empty: the installation's."""


def relay_options(spec: SetupSpec, image: str) -> dict[str, Any]:
    """Arguments for docker-py's `containers.create`: the relay, which runs nobody's code."""
    return {
        **_common(spec, "setup-relay"),
        "image": image,
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "read_only": True,
        "mem_limit": _RELAY_MEMORY,
        "memswap_limit": _RELAY_MEMORY,
        "pids_limit": 16,
        "ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 1024}],
    }


def setup_options(spec: SetupSpec, relay_id: str, volume: str, before: str) -> dict[str, Any]:
    """The set-up itself: its file system is written to, and is what gets kept.

    What it installs is in `volume`, which begins with what the image has at that place; if that
    has a volume of its own, `before`, its content is copied.
    """
    limits = spec.limits
    disk = min(limits.disk_bytes, limits.memory_bytes * 3 // 4)
    options = {
        **_common(spec, "setup"),
        "image": spec.image,
        # The engine gives a command run as root the capabilities of the first process' user.
        "user": "0:0",
        "network_mode": f"container:{relay_id}",
        "cap_drop": ["ALL"],
        "cap_add": list(_CAPABILITIES),
        "tmpfs": {
            "/tmp": f"rw,exec,nosuid,nodev,size={disk // 2},mode=1777",  # noqa: S108
            "/run": f"rw,nosuid,nodev,size={disk // 16},mode=0755",
        },
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,
        "nano_cpus": int(limits.cpus * 1e9),
        "pids_limit": limits.pids,
        "ulimits": [
            {"Name": "nofile", "Soft": 16384, "Hard": 16384},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
    }
    options["mounts"] = [mounted(volume, PREFIX, read_only=False, copy=not before)]
    if before:
        options["mounts"].append(mounted(before, BEFORE))
    if spec.runtime:
        options["runtime"] = spec.runtime
    return options


def counter_options(
    spec: SetupSpec, image: str, container: str, since: str, most: int
) -> dict[str, Any]:
    """Prints how many files of a set-up's container changed after a time, `most` at most.

    It runs nobody's code, and is shown the other's processes to reach its file system through
    them. They cannot trace it, having fewer capabilities; if they kill it, it fails.
    """
    places = f"/proc/1/root/ /proc/1/root{PREFIX}"
    find = f"find {places} -xdev -newerct {shlex.quote(since)} -printf . 2>/dev/null"
    return {
        **_counter(spec, image, f"{find} | head -c {most} | wc -c"),
        "cap_add": ["SYS_PTRACE", "DAC_READ_SEARCH"],
        "pid_mode": f"container:{container}",
    }


def volume_counter_options(spec: SetupSpec, image: str, volume: str) -> dict[str, Any]:
    """Prints how many bytes a volume takes. It runs nobody's code."""
    return {
        **_counter(spec, image, f"du -s -B 1 {PREFIX} | cut -f 1"),
        "cap_add": ["DAC_READ_SEARCH"],
        "mounts": [mounted(volume, PREFIX)],
    }


def _counter(spec: SetupSpec, image: str, command: str) -> dict[str, Any]:
    return {
        **relay_options(spec, image),
        "name": f"patchwright-setup-counter-{secrets.token_hex(6)}",
        "entrypoint": ["timeout", "60", "bash", "-c"],
        "command": [command],
        "user": "0:0",
        # Its output is read from its log.
        "log_config": {"Type": "json-file", "Config": {"max-size": "1m"}},
    }


def setup_environment(*, network: bool, trusts: bool, path: str) -> dict[str, str]:
    """The environment of a set-up's commands: the proxy, quiet tools, no caches that are kept."""
    proxy = f"http://127.0.0.1:{PROXY_PORT}"
    found = {
        "HOME": PREPARED_HOME,
        "PATH": path,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "CI": "true",
        "GIT_TERMINAL_PROMPT": "0",
        "DEBIAN_FRONTEND": "noninteractive",
        "XDG_CACHE_HOME": "/tmp/cache",  # noqa: S108 - in the sandbox
        # Kept for a single command: it lies in memory.
        "UV_NO_CACHE": "1",
        "UV_LINK_MODE": "copy",
        "PIP_NO_INPUT": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "npm_config_cache": "/tmp/npm",  # noqa: S108 - in the sandbox
        "npm_config_update_notifier": "false",
        # There is no history to take a version from.
        "SETUPTOOLS_SCM_PRETEND_VERSION": "99.0.0",
        "PBR_VERSION": "99.0.0",
        "POETRY_DYNAMIC_VERSIONING_BYPASS": "99.0.0",
    }
    if network:
        java = " ".join(
            f"-D{kind}.proxyHost=127.0.0.1 -D{kind}.proxyPort={PROXY_PORT}"
            for kind in ("http", "https")
        )
        found |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY"), proxy)
        found |= {"HTTPS_PROXY": proxy, "JAVA_TOOL_OPTIONS": java}
        found |= {"no_proxy": "localhost,127.0.0.1", "NO_PROXY": "localhost,127.0.0.1"}
    if trusts:
        found |= dict.fromkeys(_CA_VARIABLES, CA_FILE)
    return found


_CA_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "CARGO_HTTP_CAINFO",
    "BUNDLE_SSL_CA_CERT",
)


def as_list(environment: Mapping[str, str]) -> list[str]:
    """An environment in the engine's form."""
    return [f"{name}={value}" for name, value in environment.items()]


def _common(spec: SetupSpec, purpose: str) -> dict[str, Any]:
    return {
        "name": f"patchwright-{purpose}-{secrets.token_hex(6)}",
        "entrypoint": ["sleep"],
        "command": ["infinity"],
        "user": KEEPER_USER,
        "working_dir": "/",
        "labels": {
            RUN_LABEL: spec.run_id,
            PURPOSE_LABEL: purpose,
            INSTALLATION_LABEL: spec.installation,
        },
        "security_opt": ["no-new-privileges"],
        "ipc_mode": "private",
        "init": True,
        "log_config": {"Type": "none", "Config": {}},
    }
