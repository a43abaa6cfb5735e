"""The stand-in of GitHub that the stories of one module share; all traffic fits its description,
and what is read of it is described."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.github.client import GithubWorld
from tests.doubles.github.fixtures import require_description
from tests.doubles.github.server import GithubServer, Options
from tests.support.github.declared import reads_noted
from tests.support.postgresql import postgresql

__all__ = ["postgresql"]


@pytest.fixture(scope="module")
def server() -> Iterator[GithubServer]:
    require_description()
    with GithubServer(Options()) as made, reads_noted() as notes:
        yield made
        assert made.violations == []
        assert sorted(notes.undeclared) == []


@pytest.fixture(scope="module")
def github(server: GithubServer) -> Iterator[GithubWorld]:
    with GithubWorld(server.admin_url) as made:
        yield made
