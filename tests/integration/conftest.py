"""Fixtures of all integration tests."""

from tests.doubles.github.fixtures import github_server, github_world
from tests.integration.github_app import forge, shop
from tests.integration.sandbox_fixtures import engine, open_docker, open_sandbox

__all__ = [
    "engine",
    "forge",
    "github_server",
    "github_world",
    "open_docker",
    "open_sandbox",
    "shop",
]
