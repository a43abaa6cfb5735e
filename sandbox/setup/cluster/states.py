"""How far a set-up's pod has come, from the cluster's description of it: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.errors import SandboxError
from sandbox.kubernetes.engine import FAULTS, NEVER


@dataclass(frozen=True, slots=True)
class Ended:
    """A container that has ended."""

    exit_code: int
    reason: str
    message: str
    """What it left in its termination log, or the end of what it printed."""


def is_running(pod: dict[str, Any], container: str) -> bool:
    """Whether a container runs."""
    return "running" in _state(pod, container)


def ended(pod: dict[str, Any], container: str) -> Ended | None:
    """How a container ended; None while it has not.

    Raises `SandboxError` when it will never start.
    """
    state = _state(pod, container)
    if found := state.get("terminated"):
        return Ended(
            int(found.get("exitCode") or 0),
            str(found.get("reason") or ""),
            str(found.get("message") or ""),
        )
    waiting = state.get("waiting") or {}
    if (reason := waiting.get("reason", "")) in NEVER | FAULTS:
        raise SandboxError(
            f"The set-up's container `{container}` does not start ({reason}): "
            f"{waiting.get('message', '')}"
        )
    return None


def pod_failure(pod: dict[str, Any]) -> str:
    """Why the pod as a whole was ended by the cluster; empty: it was not."""
    status = pod.get("status", {})
    if status.get("phase") != "Failed":
        return ""
    reason, message = status.get("reason", ""), status.get("message", "")
    return f"{reason}: {message}".strip(": ")


def finished_image(pod: dict[str, Any]) -> str:
    """The digest that a finished set-up pushed; empty: it is not known."""
    found = ended(pod, "push")
    digest = found.message.strip() if found and found.exit_code == 0 else ""
    is_digest = digest.startswith("sha256:") and len(digest) == 71
    return digest if is_digest and not set(digest[7:]) - set("0123456789abcdef") else ""


def _state(pod: dict[str, Any], container: str) -> dict[str, Any]:
    status = pod.get("status", {})
    every = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    found: dict[str, Any] = next(
        (c.get("state", {}) for c in every if c.get("name") == container), {}
    )
    return found
