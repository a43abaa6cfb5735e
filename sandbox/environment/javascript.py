"""JavaScript and TypeScript projects: npm, pnpm, yarn, Bun, Deno."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any

from sandbox.environment.npm import FOUND, NODE_AND_NPM, QUIET, TOOLS
from sandbox.environment.records import LOCKED, PREFIX, Resolution, Step, Texts

_BUN_LOCKS = ("bun.lock", "bun.lockb")
_TEXT_LOCKS = (
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
)
LOCKS = tuple(dict.fromkeys((*_TEXT_LOCKS, *_BUN_LOCKS)))
_DENO = ("deno.json", "deno.jsonc")
MANIFESTS = (
    *("package.json", ".npmrc", ".yarnrc.yml", "pnpm-workspace.yaml"),
    *(*_DENO, *_TEXT_LOCKS),
)

_PACKAGES = re.compile(r"^packages\s*:", re.M)
_VERSION = re.compile(r"^(npm|pnpm|yarn|bun)@(\d+\.\d+\.\d+)")
_REGISTRY = "$(npm config get registry | sed 's,/*$,,')"
"""npm's own: Yarn goes to a host of its own where nothing is configured."""
_HOSTS_OF_LOCK = (
    r"s,^(  resolved \")https?://registry\.(yarnpkg\.com|npmjs\.org)/,\1" + f"{_REGISTRY}/,"
)
"""The public registry's hosts in a lock of Yarn 1, which it would ask whatever is configured; npm
replaces them in its own locks (`replace-registry-host`). What is fetched has the lock's hash."""
_FROM_REGISTRY = re.compile(r"(?!.*[:/])|~?\.{0,2}/|npm:|workspace:|file:|link:|portal:|catalog:")
_NO_BROWSERS = (
    "export PUPPETEER_SKIP_DOWNLOAD=true PUPPETEER_SKIP_CHROMIUM_DOWNLOAD=true "
    "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 CYPRESS_INSTALL_BINARY=0; "
)
"""Browsers are on no registry: packages that fetch one when they are installed would fail all.

pptr.dev/guides/configuration, playwright.dev/docs/browsers,
docs.cypress.io/app/references/advanced-installation.
"""
_FETCHES_BROWSERS = re.compile("puppeteer|playwright|cypress")
_KINDS = ("dependencies", "devDependencies", "optionalDependencies")


def steps(
    names: Sequence[str], texts: Texts, folder: str, resolution: Resolution = LOCKED
) -> tuple[Step, ...]:
    """The steps for a project with a package.json, or a deno.json; none without one."""
    deno = _deno(names, texts, folder)
    if "package.json" not in names:
        return (*NODE_AND_NPM, *deno) if deno else ()
    manifest = _object(texts.get("package.json", ""))
    there = set(names) if resolution.locked else set(names) - set(LOCKS)
    tools, install = _install(there, texts if resolution.locked else {}, manifest)
    if resolution.one_by_one and _has_dependencies(manifest):
        elsewhere = _from_elsewhere(manifest)
        command = f"npm install --no-package-lock {QUIET}"
        # Peers that do not fit, or that npm itself fails on: https://github.com/npm/cli/issues/9787
        command = f"{{ {command} || {command} --legacy-peer-deps; }}"
        tools, install = [], [_without(elsewhere, command)]
    if not install and not _has_dependencies(manifest):
        return (*NODE_AND_NPM, *deno)
    dated = f" --before={resolution.as_of}" if resolution.as_of else ""
    commands = install or [f"npm install --no-package-lock {QUIET}{dated}"]
    return (
        *NODE_AND_NPM,
        FASTER_NPM,
        *map(_tool, tools),
        *(Step(f"{_NO_BROWSERS}{c}", folder=folder, plain=_plain(c, texts)) for c in commands),
        *deno,
    )


def _plain(command: str, texts: Texts) -> str:
    """An install as a person would give it."""
    fetches = any(_FETCHES_BROWSERS.search(text) for text in texts.values())
    return f"{_NO_BROWSERS if fetches else ''}{command.replace(f' {QUIET}', '')}"


def _install(
    names: set[str], texts: Texts, manifest: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """Packages of the tools that the install takes, and its commands."""
    named = _VERSION.match(str(manifest.get("packageManager", "")))
    tool, version = (named[1], named[2]) if named else ("", "")
    if "pnpm-lock.yaml" in names or tool == "pnpm":
        # The lock's own version is kept only by the majors that write it.
        lock = texts.get("pnpm-lock.yaml", "")
        # Only pnpm 10 takes a pnpm-workspace.yaml that holds settings and names no packages.
        settings = texts.get("pnpm-workspace.yaml", "")
        newest = "10" if settings and not _PACKAGES.search(settings) else "9"
        version = version or ("8" if "lockfileVersion: '6" in lock else newest)
        frozen = " --frozen-lockfile" if "pnpm-lock.yaml" in names else ""
        command = f"pnpm install{frozen} --store-dir /tmp/pnpm --package-import-method copy"
        return [f"pnpm@{version}"], [command]
    if "yarn.lock" in names or tool == "yarn":
        if "__metadata:" in texts.get("yarn.lock", "") or version.split(".")[0] > "1":
            berry = f"@yarnpkg/cli-dist@{version or '4'}"
            frozen = " --immutable" if "yarn.lock" in names else ""
            own = "npmRegistryServer" in texts.get(".yarnrc.yml", "")
            registry = "" if own else f'YARN_NPM_REGISTRY_SERVER="{_REGISTRY}" '
            settings = (
                f"{registry}YARN_NODE_LINKER=node-modules YARN_ENABLE_GLOBAL_CACHE=true "
                "YARN_GLOBAL_FOLDER=/tmp/yarn YARN_ENABLE_TELEMETRY=0 YARN_IGNORE_PATH=1"
            )
            return [berry], [f"{settings} yarn install{frozen}"]
        frozen = " --frozen-lockfile" if "yarn.lock" in names else ""
        # Its cache holds all packages unpacked: more than fits into memory, as /tmp is.
        cache = f"{PREFIX}/yarn-cache"
        call = (
            f'{{ YARN_REGISTRY="{_REGISTRY}" yarn install{frozen} --non-interactive '
            f"--cache-folder {cache}; status=$?; rm -rf {cache}; [ $status = 0 ]; }}"
        )
        if frozen:
            call = _changed("yarn.lock", f'sed -i -E "{_HOSTS_OF_LOCK}" yarn.lock', call)
        return [f"yarn@{version or '1'}"], [call]
    if names & set(_BUN_LOCKS) or tool == "bun":
        frozen = " --frozen-lockfile" if names & set(_BUN_LOCKS) else ""
        return [f"bun@{version or '1'}"], [f"bun install{frozen} --cache-dir /tmp/bun"]
    bun = ["bun@1"] if _BUN_CALL.search(json.dumps(manifest.get("scripts", ""))) else []
    if names & {"package-lock.json", "npm-shrinkwrap.json"}:
        return bun, [f"npm ci {QUIET}"]
    return bun, [f"npm install --no-package-lock {QUIET}"] if bun else []


_BUN_CALL = re.compile(r"(?<![\w./-])bunx? ")


def _deno(names: Sequence[str], texts: Texts, folder: str) -> tuple[Step, ...]:
    """Deno from the npm registry, and what its settings import into its cache."""
    settings = next((name for name in _DENO if name in names), None)
    if settings is None:
        return ()
    imports = re.search(r"\"(?:imports|importMap)\"\s*:", texts.get(settings, "")) is not None
    fetch = (Step("deno install", folder=folder),) if imports else ()
    return (_tool("deno@2"), *fetch)


# Where an image or a distribution had an older npm; see `sandbox.environment.npm` for why.
FASTER_NPM = Step(
    f"{FOUND}case $(npm --version) in [1-9].*) node -e '"
    'const [a, b] = process.versions.node.split(".").map(Number);'
    "process.exit(a > 20 || (a == 20 && b > 4) || (a == 18 && b > 16) ? 0 : 1)' && "
    f"npm install -g --prefix {TOOLS} {QUIET} --ignore-scripts npm@10 || true;; esac",
    shared=True,
)


def node_from_npm(version: str) -> Step:
    """Node of this major version, which the npm registry has as a package, and an npm for it.

    Debian's own npm runs only with Debian's Node.
    """
    # Apart, as a newer npm does not let itself be installed by an older Node.
    install = f"npm install -g --prefix {TOOLS} {QUIET} --ignore-scripts"
    npm = "npm@11" if int(version.split(".")[0]) >= 22 else "npm@10"
    command = (
        f"{FOUND}arch=$(uname -m | sed -e s/x86_64/x64/ -e s/aarch64/arm64/) && "
        f"{install} node-linux-$arch@{version} && hash -r && {install} {npm}"
    )
    # Debian's npm is replaced first, as it would not run with this Node.
    plain = (
        f"npm install -g npm@10 && hash -r && npm install -g node@{version} && npm install -g {npm}"
    )
    return Step(command, shared=True, plain=plain)


def _changed(file: str, change: str, command: str) -> str:
    """A command that sees a changed file, which is as before when it has ended."""
    return (
        f"cp {file} /tmp/{file} && {change} && "
        f"{{ {command}; status=$?; mv /tmp/{file} {file}; [ $status = 0 ]; }}"
    )


def _from_elsewhere(manifest: dict[str, Any]) -> tuple[str, ...]:
    """The dependencies that no registry has: those of git and of addresses.

    https://docs.npmjs.com/cli/configuring-npm/package-json#dependencies
    """
    return tuple(
        name
        for kind in _KINDS
        for name, wanted in _table(manifest.get(kind)).items()
        if isinstance(wanted, str) and not _FROM_REGISTRY.match(wanted)
    )


_LEAVE_OUT = """\
const fs = require("fs"), { spawnSync } = require("child_process");
const all = JSON.parse(fs.readFileSync("package.json"));
for (const kind of KINDS) for (const [name, wanted] of Object.entries(all[kind] || {})) {
  let gone = NAMES.includes(name);
  if (!gone && !/[:\\/]/.test(wanted)) {
    const asked = spawnSync("npm", ["view", "--", `${name}@${wanted}`, "version"]);
    gone = asked.status ? /E404|ETARGET/.test(asked.stderr) : !String(asked.stdout).trim();
  }
  if (gone) { console.log(`left out: ${name} ${wanted}`); delete all[kind][name]; }
}
fs.writeFileSync("package.json", JSON.stringify(all));"""


def _without(names: Sequence[str], command: str) -> str:
    """A command that does not see some dependencies of the package.json, nor those that the
    registry does not have: one that was withdrawn keeps npm from installing any other.
    """
    script = _LEAVE_OUT.replace("KINDS", json.dumps(_KINDS)).replace("NAMES", json.dumps(names))
    return _changed("package.json", f"node -e {shlex.quote(script)}", command)


def _tool(package: str) -> Step:
    """A package manager, or a runtime that is a package."""
    command = f"{FOUND}npm install -g --prefix {TOOLS} {QUIET} {package}"
    return Step(command, shared=True, plain=f"npm install -g {package}")


def _has_dependencies(manifest: dict[str, Any]) -> bool:
    return any(manifest.get(key) for key in (*_KINDS, "workspaces"))


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
