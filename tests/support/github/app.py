"""The App under test, as it reaches the stand-in GitHub; fixtures to import into test modules."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.github.app import GithubApp
from app.github.client import GithubForge
from tests.doubles.github.client import GithubWorld
from tests.doubles.github.description.versions import OLDEST
from tests.doubles.github.server import GithubServer

REPO = "acme/shop"
CART = "def total(xs):\n    t = 1\n    for x in xs:\n        t += x\n    return t\n"
PATCH = """\
diff --git a/shop/cart.py b/shop/cart.py
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -1,5 +1,5 @@
 def total(xs):
-    t = 1
+    t = 0
     for x in xs:
         t += x
     return t
"""


def git(folder: Path, *arguments: str, stdin: str = "") -> str:
    """Git in a folder, apart from the machine's configuration; returns what it printed."""
    done = subprocess.run(
        ["git", "-c", "user.name=Dev", "-c", "user.email=dev@example.com", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def api_version(usual: str = OLDEST) -> str:
    """The version of the API that a test speaks; `make check-api-versions` says which."""
    return os.environ.get("PATCHWRIGHT_CHECK_API_VERSION") or usual


def app_of(server: GithubServer, version: str = OLDEST) -> GithubApp:
    """The App's identity at this stand-in, without waits between calls."""
    return GithubApp(
        app_id=str(server.app_id),
        private_key=server.private_key_pem,
        api_url=server.url,
        api_version=api_version(version),
        seconds_between_writes=0,
    )


def installation_of(server: GithubServer, repo: str) -> int:
    """The id of the App's installation for a repository."""
    found = server.world_state.repo(repo)
    assert found is not None
    installation = server.world_state.installation_for(found)
    assert installation is not None
    return installation.id


@pytest.fixture
def shop(github_server: GithubServer, github_world: GithubWorld, tmp_path: Path) -> str:
    """A private repository with a bug."""
    folder = tmp_path / "shop-files"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "cart.py").write_text(CART)
    (folder / "README.md").write_text("# Shop\n")
    repo = github_world.create_repo(REPO, folder=folder, private=True)
    # A label that its maintainers described: GitHub's own page on lists of pull requests knows no
    # label without a description.
    github_world.collaborator(repo, "root", "admin").call(
        "POST",
        f"/repos/{repo}/labels",
        {"name": "patchwright", "color": "5319e7", "description": "For Patchwright"},
    )
    return repo


@pytest.fixture
async def forge(github_server: GithubServer, shop: str) -> AsyncIterator[GithubForge]:
    """The forge for that repository."""
    made = GithubForge(app_of(github_server), installation_of(github_server, shop), shop)
    yield made
    await made.close()
