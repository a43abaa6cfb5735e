"""Versions as a repository states them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tool = Literal[
    "python", "node", "npm", "pnpm", "yarn", "go", "rust", "java", "ruby", "dotnet", "php"
]
NAMES: Mapping[Tool, str] = {
    "python": "Python",
    "node": "Node.js",
    "npm": "npm",
    "pnpm": "pnpm",
    "yarn": "Yarn",
    "go": "Go",
    "rust": "Rust",
    "java": "Java",
    "ruby": "Ruby",
    "dotnet": ".NET",
    "php": "PHP",
}

Version = tuple[int, ...]
"""Major, minor, patch; the later ones may be missing."""


@dataclass(frozen=True, slots=True)
class StatedVersion:
    """One statement of a repository's file about a toolchain."""

    tool: Tool
    wanted: str
    """A range in the words of PEP 440 or npm, `||` between alternatives: ">=3.9,<4", "18 || 20"."""
    file: str
    binding: bool
    """Whether the project refuses other versions (`requires-python`); else it is what its
    developers or its CI use (`.python-version`)."""


def version_of(text: str) -> Version:
    """The numbers of a version such as "v18.20.4" or "1.8.0_392"; empty where there are none.

    Java counts "1.8" as 8; that is for `java_version`.
    """
    found = re.search(r"\d+(?:\.\d+){0,2}", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def text_of(version: Version) -> str:
    """The version as people write it."""
    return ".".join(map(str, version))
