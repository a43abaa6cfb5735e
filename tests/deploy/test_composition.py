"""The composition by Docker Compose itself, and its proxy by Caddy itself before a real service."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.github.webhooks import sign
from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from tests.deploy.figures import DEPLOY
from tests.deploy.programs import caddy, compose
from tests.doubles.sglang.serving import free_port
from tests.support.github.payloads import encoded, labeled
from tests.support.serving import serving

SECRET, TOKEN = "s3cret", "operators-token"
WAIT_S = 60


# Compose


def configured(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [compose(), "config", "--format", "json"],
        cwd=folder / "compose",
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`deploy/` as somebody has it before the first step."""
    ours = shutil.ignore_patterns("secrets", ".env", "patchwright.env")
    return Path(shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=ours))


def test_compose_accepts_the_file_after_the_steps_and_says_what_is_missing_before(
    folder: Path,
) -> None:
    before = configured(folder)
    assert before.returncode != 0
    assert "set DOMAIN in .env" in before.stderr
    for name, example in ((".env", "env.example"), ("patchwright.env", "patchwright.env.example")):
        shutil.copy(folder / "compose" / example, folder / "compose" / name)
    done = configured(folder)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.casefold()
    made: dict[str, Any] = json.loads(done.stdout)
    assert set(made["services"]) == {
        "caddy", "service", "worker", "postgres", "prometheus", "grafana",
    }  # fmt: skip
    worker = made["services"]["worker"]
    assert worker["environment"]["PATCHWRIGHT_PUBLIC_URL"] == "https://patchwright.example.com"
    assert worker["environment"]["PATCHWRIGHT_CONCURRENCY"] == "4"
    assert worker["group_add"] == ["999"]
    assert worker["cap_drop"] == ["ALL"]


# Caddy


@dataclass(frozen=True, slots=True)
class Front:
    """What stands behind the proxy, and how it is reached."""

    url: str
    client: httpx.Client
    store: SqlStore
    log: Path


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Caddy with the composition's file; only the names of both sides are those of this machine."""
    folder = tmp_path_factory.mktemp("caddy")
    store = SqlStore(f"sqlite:///{folder / 'p.db'}")
    port = free_port()
    url = f"https://localhost:{port}"
    settings = Settings(
        state_dir=folder, public_url=url, github_webhook_secret=SECRET, operator_token=TOKEN
    )
    with serving(create_app(Web(settings, store, lambda _id: None))) as address:
        text = (DEPLOY / "compose" / "Caddyfile").read_text()
        text = text.replace("service:8080", address.removeprefix("http://"))
        options = "{\n\tskip_install_trust\n\tadmin off\n\tauto_https disable_redirects\n}\n"
        (folder / "Caddyfile").write_text(options + text)
        log = folder / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [caddy(), "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"],
                env={"PATH": os.environ["PATH"], "DOMAIN": url, "HOME": str(folder),
                     "XDG_DATA_HOME": str(folder / "data")},
                stdout=out,
                stderr=out,
            )  # fmt: skip
        try:
            authority = folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
            end = time.monotonic() + WAIT_S
            while not authority.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
            with httpx.Client(
                base_url=url, verify=ssl.create_default_context(cafile=str(authority)), timeout=30
            ) as client:
                while True:
                    try:
                        client.get("/nothing")
                        break
                    except httpx.TransportError:
                        assert time.monotonic() < end, log.read_text()
                        time.sleep(0.2)
                yield Front(url, client, store, log)
        finally:
            process.terminate()
            process.wait(30)
    store.close()


def test_a_delivery_comes_through_with_its_bytes_as_they_were_signed(front: Front) -> None:
    body = encoded(labeled())
    headers = {
        "X-Hub-Signature-256": sign(SECRET, body),
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": "d1",
    }
    answer = front.client.post("/webhooks/github", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.json()["url"].startswith(front.url)
    wrong = headers | {"X-Hub-Signature-256": "sha256=0"}
    assert front.client.post("/webhooks/github", content=body, headers=wrong).status_code == 401


def test_figures_and_health_stay_inside(front: Front) -> None:
    for path in ("/metrics", "/healthz", "/readyz", "//metrics", "/metrics/"):
        assert "patchwright_" not in front.client.get(path).text
        assert front.client.get(path).status_code == 404


def test_a_body_that_is_too_large_is_refused(front: Front) -> None:
    for size in (26_000_000, 27_000_000, 100_000_000):
        answer = front.client.post("/webhooks/github", content=b"x" * size)
        assert (answer.status_code, answer.headers.get("server")) == (413, "Caddy")
    largest = front.client.post("/webhooks/github", content=b"x" * 25_999_999)
    assert largest.status_code == 401  # the service's answer: it has no signature


def test_who_comes_through_the_proxy_is_not_of_this_machine_and_the_token_is_not_logged(
    front: Front,
) -> None:
    assert front.client.get("/runs").status_code in (302, 303, 401, 403)
    shown = front.client.get("/runs", params={"token": TOKEN})
    assert shown.status_code in (302, 303, 307)
    assert "Secure" in shown.headers["set-cookie"]
    assert front.client.get("/runs").status_code == 200
    end = time.monotonic() + WAIT_S
    while '"uri":"/runs?token=' not in front.log.read_text():
        assert time.monotonic() < end, front.log.read_text()
        time.sleep(0.2)
    assert TOKEN not in front.log.read_text()


def test_a_live_page_is_passed_on_as_it_comes(front: Front) -> None:
    run_id = front.store.list_runs().runs[0].id
    front.client.get("/runs", params={"token": TOKEN})
    with front.client.stream("GET", f"/runs/{run_id}/stream") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        # The run is not over, so the answer has no end: its beginning is all that is waited for.
        assert next(answer.iter_text())
