"""What BuildKit is given: a Dockerfile of ours, and each command of the set-up as a script.

Nothing that a repository says stands in the Dockerfile but variables: names, and escaped values.
The tree and the folders that a run mounts anew are kept in mounts of the build, so that they are in
no layer of the image: https://docs.docker.com/reference/dockerfile/#run---mounttypecache
"""

from __future__ import annotations

import io
import json
import re
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.environment.compiled import OFFLINE, ONLINE
from sandbox.environment.records import Environment
from sandbox.protocol import WORKDIR
from sandbox.setup.container import CA_FILE, setup_environment
from sandbox.setup.prepare import ImageKey
from sandbox.setup.prepared_images import SCOPE_LABEL, SOURCE_LABEL
from sandbox.setup.records import SetupFailed, SetupPolicy
from sandbox.setup.scripts import BEGIN, FINISH, NEEDED
from sandbox.setup.variables import with_variables
from sandbox.spec import COMMAND_USER, PREPARED_LABEL

FILES = "/.patchwright-setup"
"""Where the scripts are during the build."""
BASE = "patchwright-base"
"""The name that the Dockerfile gives to its base, whichever image that is."""
TREE = "tree.tar"
_UID, _, _GID = COMMAND_USER.partition(":")
_OWN = {
    "needed": "installing what a sandbox needs",
    "begin": "unpacking the tree",
    "finish": "keeping the result",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_REFERENCE = re.compile(r"\$(?!\w|\{\w+\})")
_FAILED = re.compile(
    r'process "bash [^"]*?/(needed|begin|finish|step-\d+)" did not complete successfully: '
    r"(?:exit code: (\d+))?"
)
_PREFIX = re.compile(r"^#\d+ (?:\d+\.\d+ )?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BuildFiles:
    """Everything but the tree."""

    dockerfile: str
    scripts: Mapping[str, str]

    def write(self, path: Path, tree: Path | None, ca_pem: bytes) -> None:
        """The build's context as a tar file. Blocks."""
        with tarfile.open(path, "w") as archive:
            for name, text in {"Dockerfile": self.dockerfile, **self.scripts}.items():
                _add(archive, name, text.encode("utf-8", "surrogateescape"))
            _add(archive, "ca.pem", ca_pem)
            if tree is None:
                _add(archive, TREE, bytes(10240))
            else:
                archive.add(tree, TREE)


def build_files(
    environment: Environment,
    key: ImageKey,
    labels: Mapping[str, str],
    policy: SetupPolicy,
    *,
    trusts: bool,
) -> BuildFiles:
    """The build of an environment. `trusts`: whether there are certificates besides the image's.

    Raises `SetupFailed` for variables that cannot be set.
    """
    given = setup_environment(network=policy.network, trusts=trusts, path="")
    del given["PATH"]  # The image's own, or the environment's, is the Dockerfile's to set.
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in given.items())
    trust = f"cat {FILES}/ca.pem >{CA_FILE}\n" if trusts else ""
    scripts = {
        "needed": f"{exports}{trust}{NEEDED}",
        "begin": f"{exports}exec <{FILES}/{TREE}\n{BEGIN}",
        "finish": f"{exports}{FINISH}",
    }
    variables = [*(ONLINE if environment.parent else ()), *environment.variables]
    lines = [
        f"FROM {BASE}",
        "USER 0:0",
        *_environment_lines(environment, variables),
        _run("needed"),
        _run("begin"),
    ]
    for number, step in enumerate(environment.steps):
        name = f"step-{number}"
        scripts[name] = (
            f"{exports}exec </dev/null\ncd {WORKDIR}\n"
            f"cd {shlex.quote(step.folder)} && {{ {step.script}\n}}\n"
        )
        lines += [f"USER {'0:0' if step.root else COMMAND_USER}", _run(name)]
    told = {
        **labels,
        PREPARED_LABEL: key.recipe,
        SCOPE_LABEL: key.scope,
        SOURCE_LABEL: environment.source[:200],
    }
    lines += [
        "USER 0:0",
        _run("finish"),
        *(f"LABEL {name}={_quoted(_printable(value))}" for name, value in sorted(told.items())),
        # What is shared is a set-up's base, which has a network.
        *(f"ENV {n}={_quoted(v)}" for n, v in (() if environment.is_toolchain else OFFLINE)),
        f"USER {COMMAND_USER}",
    ]
    return BuildFiles("\n".join(lines) + "\n", scripts)


def failed_command(environment: Environment, log: str) -> tuple[str, str]:
    """Which command failed a build, and how, by BuildKit's last words; empty: none of them."""
    every = list(_FAILED.finditer(log))
    if not every:
        return "", ""
    name, code = every[-1][1], every[-1][2]
    why = f"exit {code}" if code else "killed"
    if name in _OWN:
        return _OWN[name], why
    number = int(name.removeprefix("step-"))
    if number >= len(environment.steps):
        return "", ""
    return environment.steps[number].command, why


def plain_log(log: str) -> str:
    """BuildKit's log as the commands printed it, without numbers and times before each line."""
    return _PREFIX.sub("", log)


def _run(name: str) -> str:
    owned = f"uid={_UID},gid={_GID}"
    mounts = (
        f"--mount=type=bind,target={FILES}",
        f"--mount=type=cache,id=workspace,target={WORKDIR},{owned}",
        "--mount=type=cache,id=run,target=/run,mode=0755",
        "--mount=type=cache,id=tmp,target=/tmp,mode=1777",
    )
    return f"RUN {' '.join(mounts)} {json.dumps(['bash', f'{FILES}/{name}'])}"


def _environment_lines(environment: Environment, variables: list[tuple[str, str]]) -> list[str]:
    known: dict[str, str] = {}
    lines = []
    for name, value in variables:
        try:
            if not _NAME.fullmatch(name):
                raise ValueError("the name is none that a variable can have")
            # What stands for the image's own values is left to the build; the rest bounds the text.
            known[name] = with_variables(value, known)
            lines.append(f"ENV {name}={_quoted(value, keep_references=True)}")
        except ValueError as error:
            raise SetupFailed(environment, f"ENV {name[:100]}", str(error), "", ()) from None
    return lines


def _quoted(text: str, *, keep_references: bool = False) -> str:
    """A value for the Dockerfile, in which nothing but references to variables has a meaning.

    Raises `ValueError` for text that no line can have.
    """
    if any(not char.isprintable() for char in text):
        raise ValueError("the value has characters that no line of a Dockerfile can have")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    pattern = _REFERENCE if keep_references else re.compile(r"\$")
    return '"' + pattern.sub(r"\\$", escaped) + '"'


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    archive.addfile(info, io.BytesIO(data))
