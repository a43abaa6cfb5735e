"""Fixtures of all integration tests."""

from tests.doubles.github.fixtures import github_server, github_world
from tests.integration.github_app import forge, shop

__all__ = ["forge", "github_server", "github_world", "shop"]
