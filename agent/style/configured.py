"""The style tools that a repository's own files set up: which to read, and what they say."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from agent.model import Record
from agent.style.named_commands import is_style_name, may_run_style, tools_in_script
from agent.style.tools import TOOLS
from agent.text.toml import toml_table

READ = (
    *("pyproject.toml", "setup.cfg", "tox.ini", "package.json", "Makefile", "makefile"),
    *("GNUmakefile", "justfile", ".pre-commit-config.yaml", ".pre-commit-config.yml"),
)
"""Files whose text says which tools there are."""
_MODULES = ("js", "mjs", "cjs", "ts", "mts", "cts")
_FORMATS = ("", ".js", ".cjs", ".json", ".yml", ".yaml")
PRESENT: Mapping[str, str] = {
    **dict.fromkeys(("ruff.toml", ".ruff.toml"), "ruff check"),
    ".isort.cfg": "isort",
    ".flake8": "flake8",
    **dict.fromkeys((f"eslint.config.{end}" for end in _MODULES), "eslint"),
    **dict.fromkeys((f".eslintrc{end}" for end in _FORMATS), "eslint"),
    **dict.fromkeys((f".prettierrc{end}" for end in (*_FORMATS, ".toml", ".mjs")), "prettier"),
    **dict.fromkeys((f"prettier.config.{end}" for end in _MODULES), "prettier"),
    **dict.fromkeys(("biome.json", "biome.jsonc"), "biome"),
    "go.mod": "gofmt",
    **dict.fromkeys((".golangci.yml", ".golangci.yaml", ".golangci.toml"), "golangci-lint"),
    **dict.fromkeys(("rustfmt.toml", ".rustfmt.toml"), "cargo fmt"),
    **dict.fromkeys(("clippy.toml", ".clippy.toml"), "cargo clippy"),
    ".rubocop.yml": "rubocop",
}
"""Files that are enough by being there."""
CONFIGURATION = frozenset({*READ, *PRESENT, ".editorconfig", ".pylintrc", "pylintrc"})
"""Files that decide what a tool complains of."""
_HOOKS: Mapping[str, str] = {
    "ruff": "ruff check",
    "ruff-check": "ruff check",
    **{
        name: name
        for name in (
            *("ruff format", "black", "isort", "flake8", "pylint", "eslint", "prettier", "biome"),
            *("standard", "gofmt", "golangci-lint", "rubocop"),
        )
    },
    "ruff-format": "ruff format",
    "black-jupyter": "black",
    "go-fmt": "gofmt",
    "fmt": "cargo fmt",
    "clippy": "cargo clippy",
    "biome-check": "biome",
}
"""Ids of pre-commit hooks that stand for a tool."""
_TABLES = {"ruff": "ruff check", "black": "black", "isort": "isort", "pylint": "pylint"}
_HOOK_KEY = re.compile(
    r"[ \t]*(?:-[ \t]+)?(?:\{[ \t]*)?(?P<key>id|entry):[ \t]*(?P<value>[^#,}\n]{1,300})"
)
_RULE = re.compile(r"@?(?P<names>[\w.-][\w.=*+ \"'-]{0,100}?)[ \t]*:(?![=:])(?P<needs>[^#=]*)")
"""`lint: deps` of make, `lint *files: deps` of just."""
_MOST_TEXT = 400_000


class Configured(Record):
    """A tool that a file sets up."""

    tool: str
    """Name of a tool; for a script or target that runs no known one, empty."""
    source: str
    folder: str
    """Where the file is; it counts for what is below."""
    command: str = ""
    """The script or target to run as it is, where it runs no known tool."""
    by_hooks: bool = False
    """Whether pre-commit runs it."""


def files_to_read(changed: Sequence[str], present: Collection[str]) -> tuple[str, ...]:
    """The files whose texts decide about these changed files: in their folders and all above."""
    wanted = (f"{_join(folder, name)}" for folder in folders_of(changed) for name in READ)
    return tuple(dict.fromkeys(path for path in wanted if path in present))


def is_anything_set_up(changed: Sequence[str], present: Collection[str]) -> bool:
    """Whether a file could set up any tool for these changed files."""
    wanted = (_join(folder, name) for folder in folders_of(changed) for name in (*READ, *PRESENT))
    return any(path in present for path in wanted)


def folders_of(paths: Sequence[str]) -> tuple[str, ...]:
    """The folders that hold these files, and all above, the deepest first; `.` is the last."""
    found = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    return tuple(sorted(found, key=lambda folder: (folder == ".", -folder.count("/"), folder)))


def configured(
    changed: Sequence[str], present: Collection[str], texts: Mapping[str, str]
) -> tuple[Configured, ...]:
    """The tools that files set up for these changed files, those nearest to them first."""
    found: list[Configured] = []
    for folder in folders_of(changed):
        for name in READ:
            path = _join(folder, name)
            if path in texts:
                found += _of_file(name, path, folder, texts[path][:_MOST_TEXT])
        found += [
            Configured(tool=tool, source=_join(folder, name), folder=folder)
            for name, tool in PRESENT.items()
            if _join(folder, name) in present
        ]
    return tuple(found)


def scripts_of(texts: Mapping[str, str], folder: str, by: str) -> dict[str, str]:
    """The scripts of a folder's package.json, or the targets of its Makefile, by name."""
    if by in ("npm", "pnpm", "yarn", "bun"):
        return _scripts(_json(texts.get(_join(folder, "package.json"), "")))
    names = {"make": ("Makefile", "makefile", "GNUmakefile"), "just": ("justfile",)}.get(by, ())
    text = next((texts[p] for name in names if (p := _join(folder, name)) in texts), "")
    return _targets(text)


def environments_of(texts: Mapping[str, str], folder: str) -> dict[str, str]:
    """The commands of tox's environments, by name."""
    parsed = _ini(texts.get(_join(folder, "tox.ini"), ""))
    return {
        section.removeprefix("testenv:"): values.get("commands", "")
        for section, values in parsed.items()
        if section.startswith("testenv:")
    }


def _of_file(name: str, path: str, folder: str, text: str) -> Iterator[Configured]:
    match name:
        case "pyproject.toml":
            yield from _of_pyproject(path, folder, text)
        case "setup.cfg" | "tox.ini":
            sections = _ini(text)
            if "flake8" in sections:
                yield Configured(tool="flake8", source=f"{path} [flake8]", folder=folder)
            if name == "setup.cfg" and "isort" in sections:
                yield Configured(tool="isort", source=f"{path} [isort]", folder=folder)
        case "package.json":
            yield from _of_package(path, folder, _json(text))
        case "Makefile" | "makefile" | "GNUmakefile" | "justfile":
            by = "just" if name == "justfile" else "make"
            yield from _of_scripts(path, folder, _targets(text), by)
        case _:
            yield from _of_hooks(path, folder, text)


def _of_pyproject(path: str, folder: str, text: str) -> Iterator[Configured]:
    try:
        tools = toml_table(text).get("tool")
    except ValueError:
        return
    if not isinstance(tools, dict):
        return
    for table, tool in _TABLES.items():
        if table in tools:
            yield Configured(tool=tool, source=f"{path} [tool.{table}]", folder=folder)
    ruff = tools.get("ruff")
    if isinstance(ruff, dict) and "format" in ruff:
        yield Configured(tool="ruff format", source=f"{path} [tool.ruff.format]", folder=folder)


def _of_package(path: str, folder: str, package: Mapping[str, Any]) -> Iterator[Configured]:
    for key, tool in (("eslintConfig", "eslint"), ("prettier", "prettier")):
        if key in package:
            yield Configured(tool=tool, source=f"{path} {key}", folder=folder)
    yield from _of_scripts(path, folder, _scripts(package), "npm run")


def _of_scripts(
    path: str, folder: str, scripts: Mapping[str, str], by: str
) -> Iterator[Configured]:
    for name, text in list(scripts.items())[:500]:
        if not may_run_style(name):
            continue
        source = f"{path} ({name})"
        tools = tools_in_script(text, scripts)
        for tool in tools:
            yield Configured(tool=tool, source=source, folder=folder)
        if not tools and text.strip() and is_style_name(name):
            yield Configured(tool="", source=source, folder=folder, command=f"{by} {name}")


def _of_hooks(path: str, folder: str, text: str) -> Iterator[Configured]:
    for identity, entry in _hooks(text):
        known = _HOOKS.get(identity)
        for tool in (known,) if known else tools_in_script(entry):
            if tool in TOOLS:
                source = f"{path} ({identity})"
                yield Configured(tool=tool, source=source, folder=folder, by_hooks=True)


def _hooks(text: str) -> Iterator[tuple[str, str]]:
    """The id and the command of each hook that pre-commit's file names.

    Read line by line: only scalars are looked for, and YAML of others can be slow to load.
    """
    identity = ""
    for line in text.split("\n"):
        found = _HOOK_KEY.match(line)
        if found is None:
            continue
        value = found["value"].strip().strip("'\"")
        if found["key"] == "entry":
            yield identity, value
            identity = ""
        else:
            if identity:
                yield identity, ""
            identity = value[:60]
    if identity:
        yield identity, ""


def _scripts(package: Mapping[str, Any]) -> dict[str, str]:
    scripts = package.get("scripts")
    if not isinstance(scripts, dict):
        return {}
    return {str(name): text for name, text in scripts.items() if isinstance(text, str)}


def _targets(text: str) -> dict[str, str]:
    """The recipes of a Makefile or justfile, by target; with those that a target needs."""
    found: dict[str, str] = {}
    names: list[str] = []
    for raw in text[:_MOST_TEXT].split("\n"):
        line = raw[:1000]
        rule = _RULE.match(line)
        if rule is not None:
            names = rule["names"].split()[:5]
            needs = "".join(f"make {need}\n" for need in rule["needs"].split()[:20])
            for name in names:
                found[name] = f"{found.get(name, '')}{needs}"
        elif names and line.startswith((" ", "\t")):
            for name in names:
                found[name] += f"{line.strip()}\n"
        elif line.strip():
            names = []
    return found


def _json(text: str) -> dict[str, Any]:
    try:
        loaded = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _ini(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except (configparser.Error, ValueError):
        return {}
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"
