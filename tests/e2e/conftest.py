"""Fixtures of the end-to-end tests: a world with GitHub, a service and a bug."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.github.fixtures import github_server, github_world
from tests.doubles.github.server import GithubServer
from tests.e2e.service import Service

__all__ = ["github_server", "github_world"]


@pytest.fixture
def service(github_server: GithubServer, tmp_path: Path) -> Iterator[Service]:
    """A service that is not started yet."""
    service = Service(github_server, tmp_path)
    yield service
    service.stop()
