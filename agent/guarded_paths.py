"""Files that no patch may touch: `guarded_paths.toml`, which says for each group why and whence."""

from __future__ import annotations

import tomllib
from importlib import resources


def _groups() -> dict[str, tuple[str, ...]]:
    text = resources.files("agent").joinpath("guarded_paths.toml").read_text("utf-8")
    return {group["name"]: tuple(group["paths"]) for group in tomllib.loads(text)["group"]}


GROUPS = _groups()
"""Patterns by the name of their group."""
INTERPRETER_START = GROUPS["interpreters' start"]
TEST_OPTIONS = GROUPS["test options"]
"""Files that are only about how tests run. Shared ones: `agent.gate.rules.test_options`."""
FORBIDDEN_PATHS = tuple(
    pattern
    for name, patterns in GROUPS.items()
    if patterns not in (INTERPRETER_START, TEST_OPTIONS)
    for pattern in patterns
)
"""The other groups: what policies begin with, and a repository may add to."""
