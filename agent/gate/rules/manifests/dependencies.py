"""Whether a patch changes what a project depends on, where that comes from, how it is built or run.

No run of the gate can speak for such a change: the sandboxes hold what the base asked for, have no
network, and build nothing. So it is for a person to decide, whatever the issue says.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from agent.gate.patch.changed_file import ChangedFile, parsed
from agent.text.toml import toml_table

_LISTS = re.compile(
    r"(?:requirements|constraints)[^/]*\.(?:txt|in)|(?:dev|test)[-_]requirements\.txt|Pipfile|Gemfile"
    r"|.*\.gemspec|Podfile|Cartfile|Package\.swift|environment\.ya?ml|conanfile\.\w+|vcpkg\.json"
    r"|composer\.json|mix\.exs|go\.mod|deno\.jsonc?|import_map\.json|Directory\.\w+\.props|.*\.csproj"
    r"|package\.xml|setup\.js|build\.rs|binding\.gyp|CMakeLists\.txt|meson\.build"
    r"|(?:[\w.-]+\.)?(?:Dockerfile|Containerfile)(?:\.[\w.-]+)?|(?:docker-)?compose[\w.-]*\.ya?ml"
    r"|Procfile|Vagrantfile|(?:GNU)?Makefile|\.?justfile|Taskfile\.ya?ml|Rakefile|.*\.(?:tf|service)"
    r"|serverless\.ya?ml|(?:fly|netlify|wrangler)\.toml|vercel\.json|render\.yaml|Chart\.yaml"
    r"|[tj]sconfig[\w.-]*\.json|(?!(?:app|eslint|prettier)\.)[\w-]+\.config\.[cm]?[jt]s|(?:gulp|grunt)file\.\w+",
    re.IGNORECASE,
)
"""Files that are about nothing else, or of which no part can be told from the rest."""
_BUILDS = re.compile(
    r"pom\.xml|.*\.gradle(?:\.kts)?|libs\.versions\.toml|gradle\.properties|build\.sbt"
)
_NEEDS = re.compile(
    r"depend|plugin|repositor|artifact|groupId|<version|url|path|implementation|\bapi\b|compile"
    r"|runtime|processor|classpath|apply|import|exec|task|source|resource|module",
    re.IGNORECASE,
)
"""In build files: lines about what is needed, where it is, or what is run."""
_COMMENT = re.compile(r"\s*(?:#|//|$)")
_VENDORED = frozenset({"vendor", "_vendor", "third_party", "node_modules", "bower_components"})
_OF_NODE = (
    *("dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "bin"),
    *(
        "bundledDependencies",
        "bundleDependencies",
        "overrides",
        "resolutions",
        "pnpm",
        "workspaces",
    ),
    *(
        "main",
        "module",
        "browser",
        "exports",
        "imports",
        "gypfile",
        "packageManager",
        "publishConfig",
    ),
)
_OF_SETUP = (
    *("install_requires", "extras_require", "setup_requires", "tests_require", "dependency_links"),
    *(
        "cmdclass",
        "entry_points",
        "ext_modules",
        "package_dir",
        "packages",
        "py_modules",
        "scripts",
    ),
    "distclass",
)
_OF_CARGO = re.compile(r"(?:dev-|build-)?dependencies|patch|replace|target|source|registries")


def dependency_changes(files: Sequence[ChangedFile]) -> tuple[str, ...]:
    """What a patch changes of dependencies and of the build; empty if it is nothing."""
    return tuple(
        f"{file.path}: {what} changed, which no run here has tried."
        for file in files
        for what in _changed(file)
    )


def _changed(file: ChangedFile) -> Iterator[str]:
    pure = PurePosixPath(file.path)
    if _VENDORED & set(pure.parts[:-1]):
        yield "code of others that is kept in the repository was"
    elif pure.name in _READERS and not file.is_test:
        before, after = (_read(_READERS[pure.name], text) for text in (file.base, file.patched))
        names = [key for key in before | after if before.get(key) != after.get(key)]
        if names:
            yield f"{', '.join(f'`{name}`' for name in names[:4])} {'were' if names[1:] else 'was'}"
        return
    telling = _telling(file)
    listed = _LISTS.fullmatch(pure.name) and telling
    if listed or (_BUILDS.fullmatch(pure.name) and any(map(_NEEDS.search, telling))):
        yield "what the project needs, or how it is built or run, was"


def _telling(file: ChangedFile) -> list[str]:
    lines = [line for _, line in (*file.added, *file.removed)]
    return [line for line in lines if not _COMMENT.match(line)]


def _read(reader: Callable[[str], Mapping[str, Any]], text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        return {name: value for name, value in reader(text).items() if value is not None}
    except (ValueError, RecursionError, configparser.Error):
        return {"the file, which cannot be read,": text}


def _pyproject(text: str) -> dict[str, Any]:
    data = toml_table(text)
    project, tool = _table(data.get("project")), _table(data.get("tool"))
    poetry = _table(tool.get("poetry"))
    found = {
        "build-system": data.get("build-system"),
        "dependency-groups": data.get("dependency-groups"),
        **{
            f"project.{name}": project.get(name)
            for name in ("dependencies", "optional-dependencies", "entry-points", "scripts")
        },
        **{
            f"tool.poetry.{name}": poetry.get(name)
            for name in ("dependencies", "dev-dependencies", "group", "source", "scripts", "build")
        },
    }
    for name in (
        "setuptools",
        "hatch",
        "flit",
        "pdm",
        "uv",
        "maturin",
        "cibuildwheel",
        "rye",
        "pixi",
    ):
        found[f"tool.{name}"] = tool.get(name)
    return found


def _setup_cfg(text: str) -> dict[str, Any]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections() if name.startswith("options")}


def _setup_py(text: str) -> dict[str, Any]:
    tree = parsed(text)
    if tree is None:
        raise ValueError("no Python")
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    return {
        k.arg: ast.unparse(k.value)
        for call in calls
        if ast.unparse(call.func).rpartition(".")[2] == "setup"
        for k in call.keywords
        if k.arg in _OF_SETUP
    }


def _package_json(text: str) -> dict[str, Any]:
    data = _table(json.loads(text))
    return {name: data.get(name) for name in _OF_NODE}


def _cargo(text: str) -> dict[str, Any]:
    data = toml_table(text)
    package, workspace = _table(data.get("package")), _table(data.get("workspace"))
    return {
        **{name: value for name, value in data.items() if _OF_CARGO.fullmatch(name)},
        "package.build": package.get("build"),
        "package.links": package.get("links"),
        "lib": data.get("lib"),
        "workspace.dependencies": workspace.get("dependencies"),
    }


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


_READERS: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    "pyproject.toml": _pyproject,
    "setup.cfg": _setup_cfg,
    "setup.py": _setup_py,
    "package.json": _package_json,
    "Cargo.toml": _cargo,
}
