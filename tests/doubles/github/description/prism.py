"""Prism in front of the stand-in GitHub: a second, independent reading of GitHub's description.

`@stoplight/prism-cli` from npm, pinned, in the cache beside the description. It gets the paths that
the stand-in knows, with all that they refer to: with the whole description it takes minutes to
start.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.doubles import npm
from tests.doubles.github.api import OPERATIONS
from tests.doubles.github.description.validation import load_description
from tests.doubles.github.state import Json
from tests.doubles.sglang.serving import free_port

PRISM = "@stoplight/prism-cli@5.14.2"
START_S = 120.0
_NAMED = "/repos/{owner}/{repo}"
_BY_ID = "/repositories/{id}"
_NAME_PARAMETERS = ("#/components/parameters/owner", "#/components/parameters/repo")
_RECEIVED = re.compile(r"\[HTTP SERVER\] (\w+) (\S+) .*Request received")
_COMPLAINT = re.compile(r"((?:Violation: |Request terminated with error).*)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Prism:
    """A running proxy, and what it has said."""

    url: str
    log: Path

    def calls(self) -> list[str]:
        """What passed, as `METHOD /path`."""
        return [f"{m[1].upper()} {m[2]}" for m in _RECEIVED.finditer(self._text())]

    def violations(self) -> list[tuple[str, str]]:
        """Its complaints about requests and answers: the call, and what is wrong with it."""
        call, found = "", []
        for line in self._text().splitlines():
            if received := _RECEIVED.search(line):
                call = f"{received[1].upper()} {received[2]}"
            elif complaint := _COMPLAINT.search(line):
                found.append((call, complaint[1]))
        return found

    def _text(self) -> str:
        return _COLOURS.sub("", self.log.read_text())


@contextmanager
def prism_before(upstream: str, folder: Path) -> Iterator[Prism]:
    """Prism between its caller and the REST API at `upstream`, which stands at its root."""
    program = _installed()
    description, log, port = folder / "description.json", folder / "prism.log", free_port()
    description.write_text(json.dumps(_part_of(load_description())))
    command = [str(program), "proxy", "--port", str(port), str(description), upstream]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + START_S
        while "Prism is listening" not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"prism does not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield Prism(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait()


def _installed() -> Path:
    home = npm.cache_root() / "prism"
    program, ready = home / "node_modules" / ".bin" / "prism", home / ".ready"
    if not ready.exists() or ready.read_text() != PRISM:
        home.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(home), "--silent", "--no-audit", "--no-fund"]
        subprocess.run([*command, "--ignore-scripts", PRISM], check=True, timeout=900)
        ready.write_text(PRISM)
    return program


def _part_of(whole: Json) -> Json:
    """The description of the operations that the stand-in knows."""
    paths: Json = {}
    for operation in OPERATIONS:
        described = whole["paths"].get(operation.template, {})
        method = operation.method.lower()
        if method in described:
            part = paths.setdefault(operation.template, {})
            part[method] = _as_github_means(described[method])
            if "parameters" in described:
                part["parameters"] = described["parameters"]
            if operation.template.startswith(_NAMED):
                at = _BY_ID + operation.template.removeprefix(_NAMED)
                paths.setdefault(at, {})[method] = _by_id(part[method])
    components: Json = {}
    todo: list[Any] = [paths]
    while todo:
        for reference in _references(todo.pop()):
            kind, name = reference.removeprefix("#/components/").split("/")
            kept = components.setdefault(kind, {})
            if name not in kept:
                kept[name] = _as_github_means(whole["components"][kind][name])
                todo.append(kept[name])
    kept_as_they_are = {key: whole[key] for key in ("openapi", "info")}
    return kept_as_they_are | {"paths": paths, "components": components}


def _by_id(operation: Json) -> Json:
    """The operation on a repository that is named by its id.

    GitHub leads from a renamed repository's old name to such a path, and describes it no further.
    """
    others = [p for p in operation.get("parameters", ()) if p.get("$ref") not in _NAME_PARAMETERS]
    number = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
    return operation | {"parameters": [number, *others]}


def _as_github_means(node: Any) -> Any:
    """GitHub sends null where an enumeration is nullable, and more than one of `oneOf` may fit."""
    if isinstance(node, list):
        return [_as_github_means(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _as_github_means(value) for key, value in node.items() if key != "oneOf"}
    if "oneOf" in node:
        made["anyOf"] = _as_github_means(node["oneOf"])
    if made.get("nullable") is True and isinstance(made.get("enum"), list):
        made["enum"] = [*made["enum"], None]
    return made


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
