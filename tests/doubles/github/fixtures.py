"""pytest fixtures; a test module or conftest imports them by name."""

from collections.abc import Iterator

import pytest

from tests.doubles.github.client import GithubWorld
from tests.doubles.github.description import fetch as description
from tests.doubles.github.server import GithubServer, Options


def require_description() -> None:
    """Fetch GitHub's description when it is not cached; fails the test clearly when it cannot."""
    try:
        description.fetch()
    except description.DescriptionMissing as error:
        pytest.fail(f"GitHub's own description is needed to hold the traffic against: {error}")


@pytest.fixture
def github_server() -> Iterator[GithubServer]:
    """A stand-in whose whole traffic must fit GitHub's own description."""
    require_description()
    with GithubServer(Options()) as server:
        yield server
        if server.violations:
            told = "\n".join(server.violations)
            pytest.fail(f"traffic that GitHub's description forbids:\n{told}")


@pytest.fixture
def github_world(github_server: GithubServer) -> Iterator[GithubWorld]:
    """The people of that stand-in."""
    with GithubWorld(github_server.admin_url) as world:
        yield world
