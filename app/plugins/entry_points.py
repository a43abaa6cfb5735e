"""Installed packages that add a kind to what Patchwright knows, by Python's entry points.

One is loaded only where the operator's own file names its kind. It runs in the service: install
what you trust. https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any


class PluginFailed(Exception):
    """A plug-in cannot be loaded; the message says which, and why."""


@cache
def _installed(group: str) -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=group)}


def check_kind(kind: str, known: Collection[str], group: str) -> str:
    """The kind, if it is built in or installed. Raises `ValueError`."""
    if kind not in known and kind not in _installed(group):
        there = ", ".join((*known, *sorted(_installed(group))))
        raise ValueError(
            f"{kind} is none of {there}, and no installed package has it (entry point of {group})"
        )
    return kind


@cache
def load_plugin(group: str, kind: str) -> Any:
    """What an installed package has under the kind. Raises `PluginFailed`."""
    found = _installed(group).get(kind)
    if found is None:
        raise PluginFailed(f"no installed package has {kind} (entry point of {group})")
    try:
        return found.load()
    except Exception as problem:
        raise PluginFailed(f"{kind} ({found.value}) cannot be loaded: {problem!r}") from problem
