"""Images without settings: the same layers, and of all that an image says only chosen variables.

An image's settings are instructions to the engine. `VOLUME` has it make writable folders on the
host's disk, which no limit of a container covers; `HEALTHCHECK` runs commands; labels speak to
other programs on the host. A container's options can override some of these and not others, and
labels and volumes not at all. So the engine is given another image: a description of ours that
names the layers it holds already. Nothing is copied.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound

from sandbox.errors import SandboxError

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OWN_LABELS = "patchwright."
"""Begins the labels that this program sets."""

_WITHOUT_EFFECT = {
    *("Entrypoint", "Cmd", "User", "WorkingDir", "Env", "Labels", "ArgsEscaped"),
    *("Hostname", "Domainname", "Image", "Tty", "OpenStdin", "StdinOnce"),
    *("AttachStdin", "AttachStdout", "AttachStderr"),
}
"""What every container of ours says itself, or what is looked at apart. Anything else counts."""
_WRITABLE = ("/workspace", "/tmp", "/home", "/run", "/dev", "/proc", "/sys")  # noqa: S108
_PLACE = re.compile(r"(?:/[A-Za-z0-9._+@-]+)+/?\Z")
_TOOL = re.compile(
    r"(?:JAVA|CARGO|RUSTUP|GEM|GRADLE|MAVEN|M2|ANT|SCALA|KOTLIN|ANDROID|CONDA|GHC|SWIFT|DART|FLUTTER"
    r"|ERLANG|ELIXIR|MIX|JULIA|R|PHP|DENO|BUN|POETRY|DOTNET|PYENV|RBENV|NVM|SDKMAN)"
    r"_(?:HOME|ROOT|DIR|PATH|INI_DIR)\Z|GOPATH\Z|GOROOT\Z|JULIA_DEPOT_PATH\Z"
)
_LOCALE = re.compile(r"(?:LANG|LC_ALL|LANGUAGE)=[A-Za-z0-9_.:@-]{1,40}\Z")


def variables(config: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that an image sets."""
    pairs = (str(entry).partition("=") for entry in config.get("Env") or ())
    return {name: value for name, _, value in pairs}


def checked_variables(config: Mapping[str, Any]) -> dict[str, str]:
    """Of a foreign image's variables: a checked PATH, where toolchains stand, and the locale.

    Everything else could change what programs do (`LD_PRELOAD`, `BASH_ENV`, `PYTHONSTARTUP`).
    """
    found = variables(config)
    kept = {
        name: value
        for name, value in found.items()
        if (_TOOL.match(name) and _is_place(value)) or _LOCALE.match(f"{name}={value}")
    }
    return {"PATH": checked_path(found.get("PATH", "")), **kept}


def checked_path(path: str) -> str:
    """The folders of a PATH that are absolute and that a sandbox's commands cannot write to."""
    folders = dict.fromkeys(folder.rstrip("/") for folder in path.split(":") if _is_place(folder))
    return ":".join([*folders, *(f for f in DEFAULT_PATH.split(":") if f not in folders)])


def _is_place(folder: str) -> bool:
    if not _PLACE.match(folder) or ".." in folder.split("/"):
        return False
    return not any(f"{folder}/".startswith(f"{writable}/") for writable in _WRITABLE)


def is_plain(config: Mapping[str, Any]) -> bool:
    """Whether an image's settings have no effect on a container of ours."""
    return not any(config.get(name) for name in config if name not in _WITHOUT_EFFECT) and not any(
        not str(label).startswith(OWN_LABELS) for label in config.get("Labels") or ()
    )


@dataclass(frozen=True, slots=True)
class Description:
    """An image's description, whose hash is its id."""

    text: bytes
    layers: int

    @property
    def id(self) -> str:
        """The image's id."""
        return f"sha256:{hashlib.sha256(self.text).hexdigest()}"

    def archive(self) -> bytes:
        """What an engine loads: the description, and layers by names alone."""
        name = f"{self.id.removeprefix('sha256:')}.json"
        layers = [f"{number}/layer.tar" for number in range(self.layers)]
        manifest = json.dumps([{"Config": name, "RepoTags": None, "Layers": layers}]).encode()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, data in ((name, self.text), ("manifest.json", manifest)):
                info = tarfile.TarInfo(path)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return packed.getvalue()


def description(attributes: Mapping[str, Any], environment: Mapping[str, str]) -> Description:
    """An image of the same layers (as the engine's `inspect` tells them) with these variables."""
    layers = list(attributes["RootFS"]["Layers"])
    created = str(attributes.get("Created") or "1970-01-01T00:00:00Z")
    whole = {
        "architecture": attributes["Architecture"],
        "os": attributes["Os"],
        "created": created,
        "config": {"Env": [f"{name}={value}" for name, value in environment.items()]},
        "rootfs": {"type": "layers", "diff_ids": layers},
        "history": [{"created": created, "created_by": "a layer of another image"}] * len(layers),
    }
    if variant := attributes.get("Variant"):
        whole["variant"] = variant
    return Description(json.dumps(whole, sort_keys=True).encode(), len(layers))


def load(client: docker.DockerClient, found: Description) -> str:
    """Load the image into the engine; returns its id. Raises `SandboxError`. Blocks."""
    try:
        client.images.get(found.id)
    except ImageNotFound:
        try:
            client.images.load(found.archive())
            client.images.get(found.id)
        except (APIError, ImageNotFound) as error:
            raise SandboxError(
                "The image has settings that a sandbox must not take over (a volume, a health "
                "check or the like), and this container engine cannot make an image of its layers "
                f"without them. Use an image without such settings. ({error})"
            ) from None
    return found.id
