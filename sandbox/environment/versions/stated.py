"""The versions of toolchains that a project's files state. Files are read as data, never run.

Sources: the documentation of each file's tool: PEP 621 (`requires-python`), uv, Poetry, Pipenv,
tox, nox, pyenv (`.python-version`), npm (`engines`, `packageManager`), nvm, Volta, asdf
(`.tool-versions`), mise, the Go modules reference (`go`, `toolchain`), rustup and Cargo
(`rust-version`, editions), Maven's compiler plugin, Gradle's toolchains, Bundler, .NET's
`global.json`, Composer, GitHub Actions' setup actions.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import tomllib
from collections.abc import Callable, Iterable
from typing import Any

from sandbox.environment.records import Texts
from sandbox.environment.versions.records import StatedVersion, Tool, version_of

WORKFLOWS = ".github/workflows/"
FILES = (
    ".python-version",
    "runtime.txt",
    ".nvmrc",
    ".node-version",
    ".tool-versions",
    "mise.toml",
    ".mise.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    ".ruby-version",
    "global.json",
    "composer.json",
)
"""Files that state versions and say nothing else of an environment."""

_MOST_STATED = 60


def is_workflow(path: str) -> bool:
    """Whether a path is one of GitHub's workflow files."""
    rest = path.removeprefix(WORKFLOWS)
    return path.startswith(WORKFLOWS) and "/" not in rest and rest.endswith((".yml", ".yaml"))


def stated_versions(texts: Texts) -> tuple[StatedVersion, ...]:
    """Everything that the files of one project (names below its folder) state, binding first.

    Workflows are looked for under the repository's own path, `.github/workflows/`.
    """
    found: list[StatedVersion] = []
    for name, text in texts.items():
        reader = _workflow if is_workflow(name) else _READERS.get(name)
        if reader is not None:
            found += reader(name, text)
    unique = dict.fromkeys(one for one in found if re.search(r"\d", one.wanted))
    return tuple(sorted(unique, key=lambda one: not one.binding))[:_MOST_STATED]


def _pyproject(name: str, text: str) -> list[StatedVersion]:
    parsed = _toml(text)
    poetry = _table(parsed, "tool", "poetry", "dependencies").get("python")
    ranges = [_table(parsed, "project").get("requires-python"), poetry]
    return [_binding("python", r, name) for r in ranges if isinstance(r, str)]


def _uv_lock(name: str, text: str) -> list[StatedVersion]:
    found = re.search(r'^requires-python\s*=\s*"([^"]{1,100})"', text, re.M)
    return [_binding("python", found[1], name)] if found else []


def _setup_cfg(name: str, text: str) -> list[StatedVersion]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return []
    wanted = parser.get("options", "python_requires", fallback="")
    return [_binding("python", wanted, name)] if wanted else []


def _setup_py(name: str, text: str) -> list[StatedVersion]:
    found = re.search(r"python_requires\s*=\s*[\"']([^\"']{1,100})[\"']", text)
    return [_binding("python", found[1], name)] if found else []


def _pipfile(name: str, text: str) -> list[StatedVersion]:
    requires = _table(_toml(text), "requires")
    wanted = requires.get("python_full_version") or requires.get("python_version")
    return [_usual("python", wanted, name)] if isinstance(wanted, str) else []


def _conda(name: str, text: str) -> list[StatedVersion]:
    found = re.search(
        r"^[^\S\n]*-\s*[\"']?python\s*([<>=!~][^\"'\n#]{1,40}|\s\d[^\"'\n#]{0,40})", text, re.M
    )
    return [_usual("python", re.sub(r"^=(?!=)", "", found[1].strip()), name)] if found else []


def _tox(name: str, text: str) -> list[StatedVersion]:
    """`py39` and `py3{10,11}` of an envlist."""
    listed = re.search(r"^[^\S\n]*env_?list\s*=((?:.*\n)(?:[ \t]+.*\n)*)", text + "\n", re.M | re.I)
    words = listed[1] if listed else ""
    minors = [m for group in re.findall(r"py3\{([\d,\s]+)\}", words) for m in group.split(",")]
    minors += [m for group in re.findall(r"py\{([\d,\s\w.]+)\}", words) for m in _threes(group)]
    minors += re.findall(r"\bpy3\.?(\d{1,2})\b", words)
    return _alternatives("python", [f"3.{m.strip()}" for m in minors], name)


def _threes(group: str) -> list[str]:
    return re.findall(r"\b3\.?(\d{1,2})\b", group)


def _nox(name: str, text: str) -> list[StatedVersion]:
    """The interpreters that a noxfile's sessions name."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    words = [
        node.value
        for call in ast.walk(tree)
        if isinstance(call, ast.keyword) and call.arg in ("python", "py")
        for node in ast.walk(call.value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return _alternatives("python", [w for w in words if re.fullmatch(r"3\.\d{1,2}", w)], name)


def _python_version(name: str, text: str) -> list[StatedVersion]:
    lines = [line.strip() for line in text.splitlines()]
    wanted = [w.removeprefix("python-") for w in lines]
    return _alternatives("python", [w for w in wanted if re.match(r"\d", w)][:5], name)


def _package_json(name: str, text: str) -> list[StatedVersion]:
    manifest = _json(text)
    engines = _table(manifest, "engines")
    found = [
        _binding(tool, engines[tool], name)
        for tool in _ENGINES
        if isinstance(engines.get(tool), str)
    ]
    volta = _table(manifest, "volta").get("node")
    if isinstance(volta, str):
        found.append(_usual("node", volta, name))
    manager = re.match(r"(npm|pnpm|yarn)@(\d[\d.]*)", str(manifest.get("packageManager", "")))
    if manager:
        found += [_usual(tool, manager[2], name) for tool in _ENGINES if tool == manager[1]]
    return found


def _node_version(name: str, text: str) -> list[StatedVersion]:
    word = text.strip().splitlines()[0].strip() if text.strip() else ""
    return [_usual("node", word.removeprefix("v"), name)] if re.match(r"v?\d", word) else []


def _tool_versions(name: str, text: str) -> list[StatedVersion]:
    """asdf's lines: a tool and its versions."""
    lines = (line.split("#")[0].split() for line in text.splitlines())
    return [
        _usual(_TOOLS[words[0]], re.sub(r"^[a-z-]+(?=\d)", "", words[1]), name)
        for words in lines
        if len(words) > 1 and words[0] in _TOOLS
    ]


def _mise(name: str, text: str) -> list[StatedVersion]:
    found = []
    for key, value in _table(_toml(text), "tools").items():
        wanted = value.get("version") if isinstance(value, dict) else value
        wanted = wanted[0] if isinstance(wanted, list) and wanted else wanted
        if key in _TOOLS and isinstance(wanted, str):
            found.append(_usual(_TOOLS[key], wanted, name))
    return found


def _go_mod(name: str, text: str) -> list[StatedVersion]:
    found = [
        _binding("go", f">={version}", name)
        for version in re.findall(r"^go\s+(\d[\d.]*)", text, re.M)[:1]
    ]
    wanted = re.search(r"^toolchain\s+go(\d[\d.]*)", text, re.M)
    return [*found, *([_usual("go", f">={wanted[1]}", name)] if wanted else [])]


_EDITIONS = {"2018": "1.31", "2021": "1.56", "2024": "1.85"}


def _cargo(name: str, text: str) -> list[StatedVersion]:
    parsed = _toml(text)
    found = []
    for table in (_table(parsed, "package"), _table(parsed, "workspace", "package")):
        if isinstance(table.get("rust-version"), str):
            found.append(_binding("rust", f">={table['rust-version']}", name))
        if edition := _EDITIONS.get(str(table.get("edition", ""))):
            found.append(_binding("rust", f">={edition}", name))
    return found


def _rust_toolchain(name: str, text: str) -> list[StatedVersion]:
    channel = _table(_toml(text), "toolchain").get("channel") or text.strip()
    return [_usual("rust", channel, name)] if re.match(r"\d[\d.]*$", str(channel)) else []


def _pom(name: str, text: str) -> list[StatedVersion]:
    keys = r"maven\.compiler\.(?:release|target|source)|java\.version|release"
    words = re.findall(rf"<({keys})>\s*([\d.]+)\s*</\1>", text)
    return [_binding("java", f">={java_version(word)}", name) for _, word in words[:4]]


def _gradle(name: str, text: str) -> list[StatedVersion]:
    toolchain = re.findall(r"JavaLanguageVersion\.of\((\d+)\)", text)
    source = re.findall(r"JavaVersion\.VERSION_(\d+(?:_\d+)?)", text)
    source += re.findall(r"(?:sourceCompatibility|targetCompatibility)\s*=\s*['\"]?([\d.]+)", text)
    found = [_binding("java", word, name) for word in toolchain[:2]]
    minimum = [java_version(word.replace("_", ".")) for word in source[:4]]
    return found + [_binding("java", f">={word}", name) for word in minimum]


def java_version(word: str) -> str:
    """The feature release that a version means: "1.8" is 8."""
    return word.removeprefix("1.") if word.startswith("1.") else word.split(".")[0]


def _ruby_version(name: str, text: str) -> list[StatedVersion]:
    word = text.strip().removeprefix("ruby-")
    return [_usual("ruby", word, name)] if re.match(r"\d[\d.]*", word) else []


def _gemfile(name: str, text: str) -> list[StatedVersion]:
    found = re.search(r"^[^\S\n]*ruby\s+([\"'][^\n#]{1,60})", text, re.M)
    words = re.findall(r"[\"']([^\"']+)[\"']", found[1]) if found else []
    return [_binding("ruby", ",".join(words), name)] if words else []


def _global_json(name: str, text: str) -> list[StatedVersion]:
    wanted = version_of(str(_table(_json(text), "sdk").get("version", "")))
    return [_usual("dotnet", f">={wanted[0]}", name)] if wanted else []


def _composer(name: str, text: str) -> list[StatedVersion]:
    wanted = _table(_json(text), "require").get("php")
    return [_binding("php", wanted, name)] if isinstance(wanted, str) else []


def _workflow(name: str, text: str) -> list[StatedVersion]:
    """The versions that a workflow's setup actions are given, or its matrix has.

    Read by lines: a value, a list in brackets, or a list below. What is computed there is not read.
    """
    found: list[StatedVersion] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        key = re.match(r"\s*-?\s*[\"']?([\w-]+?)[\"']?:\s*(.*)$", line)
        tool = _OF_ACTIONS.get(key[1].lower().replace("_", "-")) if key else None
        if key is None or tool is None or "${{" in key[2]:
            continue
        below = []
        for more in lines[number + 1 : number + 40] if not key[2].split("#")[0].strip() else []:
            item = re.match(r"\s*-\s+(.+)$", more)
            if item is None:
                break
            below.append(item[1])
        words = re.findall(r"[\"']?(\d[\w.]*)[\"']?", " ".join([key[2].split("#")[0], *below]))
        found += _alternatives(tool, [w for w in words if re.fullmatch(r"\d[\d.x]*", w)], name)
    return found


_ENGINES: tuple[Tool, ...] = ("node", "npm", "pnpm", "yarn")
_TOOLS: dict[str, Tool] = {
    "python": "python",
    "nodejs": "node",
    "node": "node",
    "pnpm": "pnpm",
    "yarn": "yarn",
    "golang": "go",
    "go": "go",
    "rust": "rust",
    "java": "java",
    "ruby": "ruby",
    "dotnet": "dotnet",
    "php": "php",
}
_OF_ACTIONS: dict[str, Tool] = {
    "python-version": "python",
    "python": "python",
    "node-version": "node",
    "node": "node",
    "go-version": "go",
    "go": "go",
    "java-version": "java",
    "java": "java",
    "ruby-version": "ruby",
    "ruby": "ruby",
    "dotnet-version": "dotnet",
    "php-version": "php",
    "php": "php",
}
_READERS: dict[str, Callable[[str, str], list[StatedVersion]]] = {
    "pyproject.toml": _pyproject,
    "uv.lock": _uv_lock,
    "setup.cfg": _setup_cfg,
    "setup.py": _setup_py,
    "Pipfile": _pipfile,
    "environment.yml": _conda,
    "environment.yaml": _conda,
    "tox.ini": _tox,
    "noxfile.py": _nox,
    ".python-version": _python_version,
    "runtime.txt": _python_version,
    "package.json": _package_json,
    ".nvmrc": _node_version,
    ".node-version": _node_version,
    ".tool-versions": _tool_versions,
    "mise.toml": _mise,
    ".mise.toml": _mise,
    "go.mod": _go_mod,
    "go.work": _go_mod,
    "Cargo.toml": _cargo,
    "rust-toolchain": _rust_toolchain,
    "rust-toolchain.toml": _rust_toolchain,
    "pom.xml": _pom,
    "build.gradle": _gradle,
    "build.gradle.kts": _gradle,
    ".ruby-version": _ruby_version,
    "Gemfile": _gemfile,
    "global.json": _global_json,
    "composer.json": _composer,
}


def _binding(tool: Tool, wanted: str, file: str) -> StatedVersion:
    return StatedVersion(tool, wanted.strip()[:200], file, binding=True)


def _usual(tool: Tool, wanted: str, file: str) -> StatedVersion:
    return StatedVersion(tool, wanted.strip()[:200], file, binding=False)


def _alternatives(tool: Tool, words: Iterable[str], file: str) -> list[StatedVersion]:
    listed = list(dict.fromkeys(words))
    return [_usual(tool, " || ".join(listed), file)] if listed else []


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _table(value: Any, *names: str) -> dict[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
