"""Go, Rust, Java, Ruby, PHP, Elixir, C and C++: toolchain, and dependencies brought in for a run
without a network."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sandbox.environment.records import LOCKED, PREFIX, Resolution, Step, Texts, apt

GO = ("go.mod", "go.sum", "go.work")
RUST = ("Cargo.toml", "Cargo.lock")
JAVA = (
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "settings.gradle",
    "settings.gradle.kts",
    "gradle.properties",
)
RUBY = ("Gemfile", "Gemfile.lock")
PHP = ("composer.json",)
C = ("CMakeLists.txt", "Makefile", "GNUmakefile", "makefile", "configure.ac", "meson.build")
ELIXIR = ("mix.exs",)
MANIFESTS = (*GO, *RUST, *JAVA, *RUBY, *PHP, *ELIXIR, *C)

VARIABLES = (
    ("GOMODCACHE", f"{PREFIX}/go/mod"),
    ("GOPATH", f"{PREFIX}/go"),
    ("GOTOOLCHAIN", "local"),
    ("CARGO_HOME", f"{PREFIX}/cargo"),
    ("BUNDLE_PATH", f"{PREFIX}/bundle"),
    ("GRADLE_RO_DEP_CACHE", f"{PREFIX}/gradle"),
    ("DENO_DIR", f"{PREFIX}/deno"),
    ("MIX_HOME", f"{PREFIX}/mix"),
    ("HEX_HOME", f"{PREFIX}/hex"),
    ("MAVEN_OPTS", f"-Dmaven.repo.local={PREFIX}/maven"),
)
"""Where the tools look for what set-up brought. Set in the image, so also in the run."""

OFFLINE = (
    ("GOPROXY", "off"),
    ("CARGO_NET_OFFLINE", "true"),
    ("PIP_NO_INDEX", "1"),
    ("UV_OFFLINE", "1"),
    ("npm_config_offline", "true"),
)
"""Besides, for the run: tools say at once that there is no network instead of waiting for it."""

ONLINE = (
    ("GOPROXY", ""),
    ("CARGO_NET_OFFLINE", "false"),
    ("PIP_NO_INDEX", "0"),
    ("UV_OFFLINE", "0"),
    ("npm_config_offline", "false"),
)
"""Takes `OFFLINE` back, where a set-up begins with an image that was made for runs."""

_REQUIRED = re.compile(r"^[^\S\n]*require\b|^[^\S\n]*require\s*\(", re.M)


def steps(
    names: Sequence[str], texts: Texts, folder: str, resolution: Resolution = LOCKED
) -> tuple[Step, ...]:
    """The steps of every such language that the project's files show."""
    there = set(names) if resolution.locked else set(names) - {"Cargo.lock"}
    return (
        *_go(there, texts, folder),
        *_rust(there, texts, folder),
        *_java(there, folder),
        *_ruby(there, folder),
        *_php(there, folder),
        *_elixir(there, texts, folder),
        *_c(there),
    )


def _go(names: set[str], texts: Texts, folder: str) -> list[Step]:
    if not names & {"go.mod", "go.work"}:
        return []
    found = [apt(("golang-go",), unless="go")]
    if "go.work" in names or _REQUIRED.search(texts.get("go.mod", "")):
        found.append(Step("go mod download all", folder=folder))
    return found


def _rust(names: set[str], texts: Texts, folder: str) -> list[Step]:
    if "Cargo.toml" not in names:
        return []
    locked = " --locked" if "Cargo.lock" in names else ""
    fetch = Step(f"cargo fetch{locked}", folder=folder)
    needs = "dependencies]" in texts.get("Cargo.toml", "") or "[workspace" in texts["Cargo.toml"]
    return [apt(("cargo", "rustc"), unless="cargo"), *([fetch] if needs else [])]


def _java(names: set[str], folder: str) -> list[Step]:
    if "pom.xml" in names:
        tool = "./mvnw" if "mvnw" in names else "mvn"
        install = apt(("default-jdk-headless", "maven"), unless="mvn")
        # Going offline resolves the plugins too; compiling the tests finds what it leaves out.
        fetch = f"{tool} -B -q dependency:go-offline && {tool} -B -q test-compile"
        return [install, Step(fetch, folder=folder)]
    if names & {"build.gradle", "build.gradle.kts"}:
        tool = "./gradlew" if "gradlew" in names else "gradle"
        home = "/tmp/gradle"  # noqa: S108 - in the sandbox, gone after set-up
        command = (
            f"export GRADLE_USER_HOME={home}; {tool} --no-daemon -q testClasses && "
            f"mkdir -p {PREFIX}/gradle && cp -r {home}/caches/modules-2 {PREFIX}/gradle/"
        )
        packages = ("default-jdk-headless", *(() if "gradlew" in names else ("gradle",)))
        return [apt(packages, unless="javac"), Step(command, folder=folder)]
    return []


def _ruby(names: set[str], folder: str) -> list[Step]:
    if "Gemfile" not in names:
        return []
    install = apt(("ruby", "ruby-dev", "bundler", "libyaml-dev", "pkg-config"), unless="bundle")
    return [install, Step("bundle install --quiet", folder=folder)]


def _php(names: set[str], folder: str) -> list[Step]:
    if "composer.json" not in names:
        return []
    packages = ("php-cli", "php-mbstring", "php-xml", "php-curl", "composer", "unzip", "git")
    install = "COMPOSER_CACHE_DIR=/tmp/composer composer install --no-interaction --no-progress -q"
    return [apt(packages, unless="composer"), Step(install, folder=folder)]


_MIX_DEPENDENCY = re.compile(r"\{\s*:\w+\s*,")


def _elixir(names: set[str], texts: Texts, folder: str) -> list[Step]:
    if "mix.exs" not in names:
        return []
    found = [apt(("elixir",), unless="mix")]
    if _MIX_DEPENDENCY.search(texts.get("mix.exs", "")):
        fetch = "mix local.hex --force && mix local.rebar --force && mix deps.get"
        found.append(Step(f"export MIX_ENV=test; {fetch}", folder=folder))
    return found


def _c(names: set[str]) -> list[Step]:
    wanted = {
        "CMakeLists.txt": ("cmake", "make", "pkg-config"),
        "meson.build": ("meson", "ninja-build", "pkg-config"),
        "configure.ac": ("autoconf", "automake", "libtool", "make", "pkg-config"),
    }
    found = [
        apt(("build-essential", *packages), unless=packages[0])
        for name, packages in wanted.items()
        if name in names
    ]
    sources = any(name.endswith((".c", ".cc", ".cpp", ".cxx")) for name in names)
    if not found and sources and names & {"Makefile", "GNUmakefile", "makefile"}:
        found = [apt(("build-essential",), unless="make")]
    return found
