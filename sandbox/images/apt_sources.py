"""The machine's own apt sources: which mirror and suite the offline base image comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError

_OPTIONS = re.compile(r"\[([^]]*)\]")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One archive of packages."""

    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: str = ""
    """The file that signs it; empty: apt's own keyrings."""


def parse_sources_list(text: str) -> list[AptSource]:
    """The `deb` lines of a one-line-style file (sources.list(5))."""
    sources = []
    for line in text.splitlines():
        found = _OPTIONS.search(line.partition("#")[0])
        options = dict(
            pair.split("=", 1) for pair in (found[1].split() if found else []) if "=" in pair
        )
        words = _OPTIONS.sub("", line.partition("#")[0]).split()
        if len(words) >= 4 and words[0] == "deb":
            keyring = options.get("signed-by", "")
            sources.append(AptSource(words[1], words[2], tuple(words[3:]), keyring))
    return sources


def parse_deb822(text: str) -> list[AptSource]:
    """The stanzas of a deb822-style file (sources.list(5))."""
    sources = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
                continue
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
        enabled = fields.get("enabled", "yes").lower() != "no"
        if not enabled or "deb" not in fields.get("types", "").split():
            continue
        keyring = fields.get("signed-by", "")
        sources += [
            AptSource(uri, suite, tuple(fields.get("components", "").split()), keyring)
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return sources


def choose(sources: list[AptSource], codename: str) -> AptSource:
    """The distribution's main archive for the machine's own release.

    Raises `SandboxError` when no source has that suite.
    """
    for source in sources:
        if source.suite == codename and "main" in source.components:
            return source
    raise SandboxError(
        f"No apt source on this machine has the suite {codename or '(unknown)'} with the component "
        "main. Add the distribution's archive to the apt sources, or build the image with a "
        "registry: `patchwright images build`."
    )


def machine_sources(root: Path = Path("/etc/apt")) -> list[AptSource]:
    """All sources that apt on this machine uses."""
    sources: list[AptSource] = []
    listed = root / "sources.list"
    if listed.is_file():
        sources += parse_sources_list(listed.read_text(errors="replace"))
    for path in sorted((root / "sources.list.d").glob("*")):
        if path.suffix == ".list":
            sources += parse_sources_list(path.read_text(errors="replace"))
        elif path.suffix == ".sources":
            sources += parse_deb822(path.read_text(errors="replace"))
    return sources


def machine_codename(os_release: Path = Path("/etc/os-release")) -> str:
    """The release's name, e.g. "bookworm"; empty when the machine does not say."""
    if os_release.is_file():
        for line in os_release.read_text().splitlines():
            name, _, value = line.partition("=")
            if name == "VERSION_CODENAME":
                return value.strip("\"'")
    return ""
