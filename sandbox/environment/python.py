"""Python projects: which packages to install, by the manifests of every usual tool."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from sandbox.environment.records import VENV, Step, Texts, apt

LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")
MANIFESTS = ("pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "Pipfile", *LOCKS)

_FOR_TESTS = ("test", "tests", "testing", "dev", "devel", "develop", "development", "ci", "all")
_COMPILES = re.compile(
    r"ext_modules|Extension\(|cythonize|meson|maturin|scikit.build|setuptools.rust"
)
_PIP = "pip install --disable-pip-version-check -q"
_TOOL = "/tmp/patchwright-tool"  # noqa: S108 - in the sandbox, gone after set-up


def is_requirements(name: str) -> bool:
    """Whether a path below the project's folder is a list of requirements for use or tests."""
    if not name.endswith(".txt") or name.count("/") > 1:
        return False
    path = PurePosixPath(name)
    if name.count("/") == 1 and path.parent.name != "requirements":
        return False
    words = re.split(r"[-_.]", path.stem.lower())
    if path.parent.name == "requirements":
        return words[0] in (*_FOR_TESTS, "base", "main", "requirements")
    known = {"requirements", "requirement", *_FOR_TESTS}
    return "requirements" in words and set(words) <= known


def steps(names: Sequence[str], texts: Texts, folder: str) -> tuple[Step, ...]:
    """The steps for a project whose files are `names`; none when there is nothing to install.

    `names` are paths below the project's folder; `texts` holds the manifests by those names.
    """
    install = _install(set(names), texts)
    if not install:
        return ()
    headers = [apt(("python3-dev",))] if _COMPILES.search("\n".join(texts.values())) else []
    made = [Step(f"[ -x {VENV}/bin/python3 ] || python3 -m venv {VENV}")]
    runner = f"python3 -c 'import pytest' 2>/dev/null || {_PIP} pytest coverage"
    wanted = [Step(command, folder=folder) for command in (*install, runner)]
    return (*headers, *made, *wanted)


def _install(names: set[str], texts: Texts) -> list[str]:
    project = _toml(texts.get("pyproject.toml", ""))
    if "uv.lock" in names:
        sync = "uv sync --frozen --all-extras --all-groups --active"
        settings = f"UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV={VENV}"
        return [_with_tool("uv", f"{settings} {sync}")]
    if "poetry.lock" in names:
        sync = "poetry install --no-interaction --all-extras"
        return [_with_tool("poetry", f"VIRTUAL_ENV={VENV} {sync}")]
    if "pdm.lock" in names:
        sync = f"pdm use -f {VENV} && pdm sync -G :all --no-self && {_PIP} -e ."
        return [_with_tool("pdm", f"export PDM_IGNORE_SAVED_PYTHON=1; {sync}")]
    lists = sorted(name for name in names if is_requirements(name))
    commands = [f"{_PIP} {' '.join(f'-r {shlex.quote(name)}' for name in lists)}"] if lists else []
    if _is_package(names, texts, project):
        extras = _chosen(_table(project, "project", "optional-dependencies"))
        extras = extras or _chosen(_setup_cfg_extras(texts.get("setup.cfg", "")))
        suffix = f"[{','.join(extras)}]" if extras else ""
        commands.append(f"{_PIP} -e {shlex.quote('.' + suffix)}")
    loose = _loose(project, _is_package(names, texts, project))
    loose += _tox(texts.get("tox.ini", "")) if not lists else []
    if loose:
        commands.append(f"{_PIP} {shlex.join(dict.fromkeys(loose))}")
    return commands


def _with_tool(tool: str, command: str) -> str:
    """A tool that is needed for set-up only has an environment of its own, left out later."""
    make = f"python3 -m venv {_TOOL} && {_TOOL}/bin/{_PIP} {tool}"
    return f"{make} && PATH={_TOOL}/bin:$PATH && {command}"


def _is_package(names: set[str], texts: Texts, project: dict[str, Any]) -> bool:
    """Whether there is something to install; settings of tools alone are no package."""
    if "build-system" in project or "setup.py" in names:
        return True
    if _table(project, "tool", "poetry"):
        return True
    return "[metadata]" in texts.get("setup.cfg", "") or "[options]" in texts.get("setup.cfg", "")


def _loose(project: dict[str, Any], is_package: bool) -> list[str]:
    """Requirements that no installation of the package brings: groups, bare dependencies."""
    groups = _table(project, "dependency-groups")
    found = [r for name in _chosen(groups) for r in _group(groups, name, ())]
    if not is_package:
        found += _strings(_table(project, "project").get("dependencies"))
        extras = _table(project, "project", "optional-dependencies")
        found += [r for name in _chosen(extras) for r in _strings(extras[name])]
    return found


def _group(groups: dict[str, Any], name: str, seen: tuple[str, ...]) -> list[str]:
    """One group of PEP 735 with the groups that it includes."""
    entries = groups.get(name)
    if name in seen or not isinstance(entries, list):
        return []
    found = _strings(entries)
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("include-group"), str):
            found += _group(groups, entry["include-group"], (*seen, name))
    return found


def _tox(text: str) -> list[str]:
    """The plain requirements of `[testenv]`; lines with conditions or references are left out."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return []
    if not parser.has_option("testenv", "deps"):
        return []
    lines = (line.strip() for line in parser.get("testenv", "deps").splitlines())
    return [line for line in lines if re.match(r"[A-Za-z0-9]", line) and "{" not in line]


def _setup_cfg_extras(text: str) -> dict[str, Any]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    section = "options.extras_require"
    return dict(parser.items(section)) if parser.has_section(section) else {}


def _chosen(groups: dict[str, Any]) -> list[str]:
    """The names of extras or groups that tests may need."""
    return [name for name in groups if name.lower() in _FOR_TESTS]


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _table(value: Any, *names: str) -> dict[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _strings(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []
