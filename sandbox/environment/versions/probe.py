"""Asks an image which toolchains it has: a script, and how its answer is read."""

from __future__ import annotations

from sandbox.environment.versions.available import DISTRIBUTIONS
from sandbox.environment.versions.records import Tool, Version, version_of

PROBE = r"""
. /etc/os-release 2>/dev/null
command -v apt-get >/dev/null && echo "release $VERSION_CODENAME"
ask() { name=$1; shift; command -v "$1" >/dev/null && echo "$name $("$@" 2>&1 | head -n 1)"; }
ask python python3 --version
ask node node --version
ask go go version
ask rust rustc --version
ask java java -version
ask ruby ruby --version
ask php php --version
ask dotnet dotnet --version
true
"""
"""For `sh`, without a network; one line for each toolchain that is there."""

_TOOLS: tuple[Tool, ...] = ("python", "node", "go", "rust", "java", "ruby", "php", "dotnet")


def read_answer(answer: str) -> dict[Tool, Version]:
    """The versions in an image: what is there, else what its distribution's packages bring."""
    found: dict[Tool, Version] = {}
    for line in answer.splitlines():
        word, _, rest = line.partition(" ")
        if word == "release":
            found = {**DISTRIBUTIONS.get(rest.strip(), {}), **found}
        for tool in _TOOLS:
            if word == tool and (version := version_of(rest.removeprefix("openjdk "))):
                plain = version[1:] if tool == "java" and version[0] == 1 else version
                found[tool] = plain
    return found
