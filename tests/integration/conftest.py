"""Fixtures of all integration tests."""

from tests.doubles.github.fixtures import github_server, github_world
from tests.integration.github_app import forge, shop
from tests.integration.sandbox_fixtures import (
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
    "shop",
]
