"""Set-up in a real browser: `serve` without an App, GitHub's form, and the service that goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from app.cli.demo import free_port
from tests.doubles.github.server import GithubServer
from tests.support.browser import browser, fits, shot

__all__ = ["browser"]

ROOT = Path(__file__).parents[2]


SIZES = {"wide": (1280, 900), "narrow": (360, 740)}


@pytest.fixture
def unset(github_server: GithubServer, tmp_path: Path) -> Iterator[str]:
    """The address of a service that has no App yet."""
    port = free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")}
    environment = kept | {
        "PATCHWRIGHT_STATE_DIR": str(tmp_path / "state"),
        "PATCHWRIGHT_PORT": str(port),
        "PATCHWRIGHT_GITHUB_API_URL": github_server.url,
        "PATCHWRIGHT_GITHUB_WEB_URL": github_server.git_url,
        "PATCHWRIGHT_DOCKER_URL": "unix:///nonexistent/docker.sock",
        "NO_PROXY": "127.0.0.1",
    }
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/healthz") == 200, tmp_path)
        yield url
    finally:
        process.terminate()
        assert process.wait(120) is not None


def until(look: Callable[[], bool], folder: Path, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, (folder / "serve.log").read_text()[-3000:]
        time.sleep(0.1)


def answers(url: str) -> int:
    try:
        return httpx.get(url, trust_env=False, timeout=30).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.slow
def test_from_nothing_to_a_service_with_its_app(
    browser: Browser, unset: str, github_server: GithubServer, tmp_path: Path
) -> None:
    complaints: list[str] = []
    for size, (width, height) in SIZES.items():
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(120_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{unset}/")
        assert "needs the operator token" in page.inner_text("body")
        token = (tmp_path / "state" / "operator-token").read_text().strip()
        complaints.clear()  # the browser reports the answer 401 itself
        page.goto(f"{unset}/setup?token={token}")
        assert page.url == f"{unset}/setup"
        assert page.get_by_label("URL at which GitHub").input_value() == unset
        assert fits(page), f"the form sticks out ({size})"
        shot(page, f"setup-{size}")
        page.get_by_label("Organisation").fill("not/an owner")
        page.get_by_role("button", name="Continue").click()
        assert "not a GitHub login" in page.get_by_role("alert").inner_text()
        assert fits(page)
        shot(page, f"setup-wrong-{size}")
        complaints.clear()  # the browser reports the answer 422 itself
        page.get_by_label("Organisation").fill("acme")
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("heading", name="Create Patchwright on GitHub").wait_for()
        assert fits(page)
        shot(page, f"setup-review-{size}")
        if size != "narrow":
            page.close()
            continue
        # To GitHub, which agrees and sends the browser back with the code.
        page.get_by_role("button", name="Create it on GitHub").click()
        page.get_by_role("heading", name="The App is set up").wait_for()
        assert fits(page)
        shot(page, f"setup-done-{size}")
        page.set_viewport_size({"width": 1280, "height": 900})
        shot(page, "setup-done-wide")
        install = page.get_by_role("link", name="Install it").get_attribute("href")
        assert install is not None and install.endswith("/installations/new")
        page.close()
    assert complaints == []
    # The same process goes on as the service of that App.
    until(lambda: answers(f"{unset}/readyz") == 200, tmp_path)
    assert answers(f"{unset}/setup") == 401
    state = tmp_path / "state"
    assert (state / "github-app.pem").read_text().strip() == github_server.private_key_pem.strip()
    assert (state / "github-app.pem").stat().st_mode & 0o777 == 0o600
    log = (tmp_path / "serve.log").read_text()
    assert github_server.webhook_secret not in log
    assert "PRIVATE KEY" not in log
