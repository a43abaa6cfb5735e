"""What a set-up is given, and what comes of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.egress.rules import EgressRules
from sandbox.environment.choose import create_venv
from sandbox.environment.javascript import FASTER_NPM
from sandbox.environment.npm import REGISTRYS_NPM
from sandbox.environment.python import MAKE_VENV, UV, WITH_UV
from sandbox.environment.records import APT, Environment
from sandbox.errors import SandboxError
from sandbox.images.base_image import BASE_IMAGE

PUBLIC_IMAGES = ("docker.io", "ghcr.io", "quay.io", "mcr.microsoft.com", "public.ecr.aws")


_LAST_LINES = 15


Progress = Callable[[str], None]


_NETWORK_FAULT = re.compile(
    r"ECONNRESET|ETIMEDOUT|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|socket hang up"
    r"|connection (?:was )?(?:reset|aborted|closed|refused|timed out)|ConnectionResetError"
    r"|ReadTimeout|ConnectTimeout|RemoteDisconnected|IncompleteRead|ProtocolError"
    r"|(?:read|operation|request|connection) timed out|unexpected EOF|unexpected end of file"
    r"|temporary failure in name resolution|could not resolve host|network is unreachable"
    r"|TLS handshake timeout|SSLEOFError"
    r"|\b(?:HTTP(?: error)?|status(?: code)?|error:?)[ :/]*(?:1\.1 )?5(?:00|02|03|04)\b"
    r"|(?:502 Bad Gateway|503 Service Unavailable|504 Gateway Time-?out)",
    re.IGNORECASE,
)
"""How installers (pip, uv, npm, apt, go, cargo, curl) say that the network failed them."""


class SetupFailed(SandboxError):
    """A command of a set-up failed; the message names it, with its last lines."""

    def __init__(
        self, environment: Environment, command: str, why: str, log: str, refused: Sequence[str]
    ) -> None:
        self.environment = environment
        self.command = command
        self.why = why
        self.log = log
        """Everything that the set-up printed, its middle left out when it is very long."""
        self.refused = tuple(refused)
        """What the proxy did not let through, and why."""
        last = "\n".join(log.rstrip().splitlines()[-_LAST_LINES:])
        message = f"Set-up by {environment.source} failed at `{command}` ({why})"
        message += f":\n{last}" if last else "."
        if refused:
            message += (
                "\nThe set-up's proxy refused: " + "; ".join(refused) + ". Hosts are permitted "
                "by `network.hosts` in .github/patchwright.yml and by the operator's settings."
            )
        super().__init__(message)

    @property
    def is_network_fault(self) -> bool:
        """Whether another try may succeed: a reset, a time-out, a server's 5xx.

        What the proxy refuses by its rules is none: it will be refused again.
        """
        end = "\n".join(self.log.splitlines()[-200:])
        return not self.refused and _NETWORK_FAULT.search(end) is not None


@dataclass(frozen=True, slots=True)
class SetupPolicy:
    """What a set-up may do and use."""

    rules: EgressRules = field(default_factory=EgressRules)
    network: bool = True
    ca_file: Path | None = None
    """Certificates (PEM) that the set-up's tools and the proxy trust instead of their own."""
    timeout_s: float = 1800.0
    disk_bytes: int = 10 * 1024**3
    """Most that the set-up may write. Watched: what is written between two looks comes on top."""
    files: int = 1_000_000
    """Most files and folders that it may write, likewise."""
    image_registries: tuple[str, ...] = PUBLIC_IMAGES
    held_images: tuple[str, ...] = ()
    """Images that repositories may name without a registry being asked, if the engine has them."""
    relay_image: str = BASE_IMAGE
    network_waits_s: tuple[float, ...] = (5.0, 20.0)
    """Pauses before a set-up that the network failed is tried again."""


@dataclass(frozen=True, slots=True)
class PreparedEnvironment:
    """The image that sandboxes of a repository start from."""

    image: str
    environment: Environment
    cached: bool
    """Whether it was there already."""
    duration_s: float
    failed: tuple[SetupFailed, ...] = ()
    """Candidates that were tried before."""
    degraded: str = ""
    """Why it is less than the repository needs, in sentences; empty: it is not."""


_ONLY_SOONER = (UV, REGISTRYS_NPM, FASTER_NPM)
_MOST_COMMAND = 900
"""Characters; the file takes 1,000, the folder's name among them."""


def proposal(environment: Environment) -> str:
    """The recipe as text for `.github/patchwright.yml`; empty when there is nothing to say."""
    # Another base image cannot be asked for there: the lines alone would not give this environment.
    if environment.is_bare or environment.explicit or environment.base:
        return ""
    lines = [f"image: {environment.image}"] if environment.image else []
    # Where the settings say nothing of an image, commands find a virtual environment made. What
    # only makes the same sooner is nobody's concern.
    made = () if environment.image else (create_venv(), MAKE_VENV.command)
    steps = [s for s in environment.steps if s not in _ONLY_SOONER and s.command not in made]
    own_image = bool(environment.image)  # Of another distribution, perhaps.
    commands = _joined([(s.folder, (not own_image and s.plain) or s.command) for s in steps])
    commands = list(dict.fromkeys(commands))
    if any("\n" in command or len(command) > _MOST_COMMAND for _, command in commands):
        return ""  # The file takes short commands of one line.
    if commands:
        lines.append("setup:")
        for folder, command in commands:
            prefix = "" if folder == "." else f"cd {shlex.quote(folder)} && "
            lines.append("  - " + _yaml_text(prefix + command))
    return "\n".join(lines) + "\n"


def _joined(commands: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Packages of the distribution that are installed one after another are so at once, uv once."""
    found: list[tuple[str, str]] = []
    for folder, each in commands:
        again = any(earlier.startswith(WITH_UV) for _, earlier in found)
        command = each.removeprefix(WITH_UV) if again else each
        if command.startswith(APT) and found and found[-1][1].startswith(APT):
            found[-1] = (found[-1][0], found[-1][1] + command.removeprefix(APT))
        else:
            found.append((folder, command))
    return found


def _yaml_text(text: str) -> str:
    """A one-line string in YAML's single quotes."""
    return "'" + text.replace("'", "''") + "'"
