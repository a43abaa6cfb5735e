"""`devcontainer.json` (https://containers.dev): image or Dockerfile, commands, variables.

Features, mounts, Compose files and forwarded ports are passed over: they need a network at build
time that is not on any allow-list, or the host.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from dataclasses import dataclass
from typing import Any

PATHS = (".devcontainer/devcontainer.json", ".devcontainer.json")

_COMMANDS = ("onCreateCommand", "updateContentCommand", "postCreateCommand")
# Strings, so that comment signs in them stay; then comments; then commas before a bracket.
_JSONC = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.S)
_VARIABLE = re.compile(r"\$\{(localWorkspaceFolder|containerWorkspaceFolder)\}")
_LOCAL = re.compile(r"\$\{(localEnv|containerEnv):?([^}:]*)[^}]*\}")


class NotUsable(Exception):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class DevContainer:
    """What the file asks for."""

    image: str
    dockerfile: str
    """Path below the repository's root; empty: an image is named."""
    target: str
    commands: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]


def parse(text: str, path: str) -> DevContainer:
    """Read the file at `path`. Raises `NotUsable`."""
    try:
        # A comma that a comment separates from its bracket shows only after the first pass.
        config = json.loads(_strip(_strip(text)))
    except (ValueError, RecursionError) as error:
        raise NotUsable(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise NotUsable(f"{path} is not a JSON object")
    if "dockerComposeFile" in config:
        raise NotUsable(f"{path} uses Docker Compose")
    build = config.get("build")
    build = build if isinstance(build, dict) else {}
    dockerfile = _text(build.get("dockerfile")) or _text(config.get("dockerFile"))
    image = _text(config.get("image"))
    if not (dockerfile or image):
        raise NotUsable(f"{path} names neither an image nor a Dockerfile")
    variables = {**_strings(config.get("containerEnv")), **_strings(config.get("remoteEnv"))}
    return DevContainer(
        image="" if dockerfile else image,
        dockerfile=_join_inside(posixpath.dirname(path), dockerfile) if dockerfile else "",
        target=_text(build.get("target")),
        commands=tuple(
            _expand_text(c) for name in _COMMANDS for c in _shell_commands(config.get(name))
        ),
        variables=tuple(
            (k, _expand_text(_LOCAL.sub(_expand_variable, v))) for k, v in variables.items()
        ),
    )


def _strip(text: str) -> str:
    return _JSONC.sub(lambda found: found[1] or "", text)


def _shell_commands(value: Any, deep: bool = False) -> list[str]:
    """A command is a string for a shell, a list of words, or an object of several of these."""
    if isinstance(value, str) and value.strip():
        return [value]
    if isinstance(value, list) and value:
        return [shlex.join(str(word) for word in value)]
    if isinstance(value, dict) and not deep:
        return [call for each in value.values() for call in _shell_commands(each, deep=True)]
    return []


def _expand_text(text: str) -> str:
    return _VARIABLE.sub("/workspace", text)


def _expand_variable(found: re.Match[str]) -> str:
    # Nothing of this machine's environment; what the container has is known when it runs.
    return f"${found[2]}" if found[1] == "containerEnv" else ""


def _join_inside(folder: str, name: str) -> str:
    path = posixpath.normpath(posixpath.join(folder, name))
    if path.startswith(("../", "/")):
        raise NotUsable(f"the Dockerfile {name} is outside the repository")
    return path


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _strings(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, str)}
