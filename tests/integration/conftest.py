"""Fixtures of all integration tests."""

from __future__ import annotations

import pytest

from tests.doubles.github.fixtures import github_server, github_world
from tests.support.github.app import forge, shop
from tests.support.postgresql import postgresql, postgresql_database
from tests.support.sandboxes.fixtures import (
    cluster,
    engine,
    kubernetes,
    open_docker,
    open_kubernetes,
    open_sandbox,
)

__all__ = [
    "cluster",
    "engine",
    "forge",
    "github_server",
    "github_world",
    "kubernetes",
    "open_docker",
    "open_kubernetes",
    "open_sandbox",
    "postgresql",
    "postgresql_database",
    "shop",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the tests of every sandbox, pods run the first case of each function.

    A pod costs two containers. `make test-pods`, or any `-k kubernetes`, runs them all.
    """
    if "kubernetes" in config.option.keyword:
        return
    seen: set[str] = set()
    kept, spared = [], []
    for item in items:
        call = getattr(item, "callspec", None)
        pod = call is not None and call.params.get("open_sandbox") == "kubernetes"
        name = item.nodeid.partition("[")[0]
        (spared if pod and name in seen else kept).append(item)
        if pod:
            seen.add(name)
    if spared:
        config.hook.pytest_deselected(items=spared)
        items[:] = kept
