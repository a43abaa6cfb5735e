"""The composition, up: all but Grafana, whose program no package brings."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import httpx
import pytest

from agent.journal.events import Verdict
from app.github.webhooks import sign
from tests.deploy import images
from tests.deploy.figures import DEPLOY
from tests.deploy.programs import compose
from tests.doubles.sglang.serving import free_port
from tests.support.github.payloads import encoded, labeled
from tests.support.serving import key  # noqa: F401  a fixture

SOCKET = Path("/var/run/docker.sock")
WAIT_S = 300
# Nothing else is changed: the ports of this machine may be taken, and it is no place for Grafana.
OVERRIDE = """\
services:
  caddy: {{ ports: !override ["127.0.0.1:{tls}:443"] }}
  prometheus: {{ ports: !override ["127.0.0.1:{figures}:9090"] }}
"""
UP = ("caddy", "service", "worker", "postgres", "prometheus")

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="secrets.sh wants root"),
]


@dataclass(frozen=True, slots=True)
class Up:
    """The composition and how it is reached."""

    folder: Path
    project: str
    tls: int
    figures: int

    def compose(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [compose(), "--project-name", self.project,
             "-f", "compose.yaml", "-f", "override.yaml", *words],
            cwd=self.folder, capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        )  # fmt: skip
        assert done.returncode == 0 or not check, done.stdout[-3000:] + done.stderr[-5000:]
        return done

    def patchwright(self, service: str, *words: str) -> str:
        return self.compose("exec", "-T", service, "patchwright", *words, check=False).stdout

    def until(self, what: Callable[[], object]) -> None:
        end = time.monotonic() + WAIT_S
        while True:
            try:
                if what():
                    return
            except (httpx.HTTPError, ssl.SSLError):
                pass
            assert time.monotonic() < end, self.compose("logs", "--tail", "40").stdout
            time.sleep(1)


@pytest.fixture(scope="module")
def up(
    image: str,
    base: str,
    tmp_path_factory: pytest.TempPathFactory,
    key: str,  # noqa: F811
) -> Iterator[Up]:
    """As docs/deployment.md says, step by step."""
    place = tmp_path_factory.mktemp("composed")
    ours = shutil.ignore_patterns("secrets", ".env", "patchwright.env")
    folder = Path(shutil.copytree(DEPLOY, place / "deploy", ignore=ours)) / "compose"
    made = Up(folder, images.NAME, free_port(), free_port())
    variables = {
        "DOMAIN": "localhost",
        "DOCKER_GID": str(SOCKET.stat().st_gid),
        "PATCHWRIGHT_IMAGE": image,
        **images.build_others(base, tmp_path_factory.mktemp("others")),
    }
    (folder / ".env").write_text("".join(f"{n}={v}\n" for n, v in variables.items()))
    (folder / "patchwright.env").write_text(
        "PATCHWRIGHT_GITHUB_APP_ID=1\nPATCHWRIGHT_GITHUB_API_URL=http://127.0.0.1:9\n"
    )
    (folder / "override.yaml").write_text(OVERRIDE.format(tls=made.tls, figures=made.figures))
    subprocess.run(["sh", folder / "secrets.sh"], check=True, capture_output=True)
    for name, text in (("private-key.pem", key), ("webhook-secret", "s3cret\n")):
        file = folder / "secrets" / "app" / name
        file.write_text(text)
        os.chown(file, 10010, 10010)
        file.chmod(0o400)
    try:
        made.compose("up", "--detach", "--no-build", *UP)
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "30", check=False)


@pytest.fixture(scope="module")
def client(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Speaks TLS with the proxy, and trusts its authority alone."""
    authority = tmp_path_factory.mktemp("ca") / "root.crt"
    inside = "caddy:/data/caddy/pki/authorities/local/root.crt"
    up.until(lambda: up.compose("cp", inside, str(authority), check=False).returncode == 0)
    trust = ssl.create_default_context(cafile=str(authority))
    with httpx.Client(base_url=f"https://localhost:{up.tls}", verify=trust, timeout=30) as made:
        up.until(lambda: made.get("/runs").status_code in (303, 401, 403))
        yield made


def test_all_become_healthy(up: Up) -> None:
    def healthy() -> bool:
        lines = up.compose("ps", "--format", "json").stdout.splitlines()
        states = {s["Service"]: s["Health"] or s["State"] for s in map(json.loads, lines)}
        return all(states.get(n) == "healthy" for n in ("service", "worker", "postgres"))

    up.until(healthy)


def test_a_delivery_through_the_proxy_is_taken_up_by_the_worker(
    up: Up, client: httpx.Client
) -> None:
    body = encoded(labeled())
    headers = {
        "X-Hub-Signature-256": sign("s3cret", body),
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": "d1",
    }
    answer = client.post("/webhooks/github", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.json()["url"].startswith("https://localhost/runs/")
    up.until(
        lambda: (
            "running" in up.compose("exec", "-T", "worker", "patchwright", "runs", "list").stdout
        )
    )
    assert "worker-0" in up.patchwright("service", "workers")
    token = (up.folder / "secrets" / "operator-token").read_text().strip()
    assert client.get("/queue", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_only_the_worker_has_the_engine(up: Up) -> None:
    assert "ok   engine" in up.patchwright("worker", "doctor")
    assert "not ok engine" in up.patchwright("service", "doctor")


def test_nobody_but_ours_reaches_the_database(up: Up) -> None:
    probe = "import socket; socket.create_connection(('{}', {}), 5)"
    reach = ("exec", "-T", "worker", "python", "-c")
    up.compose(*reach, probe.format("postgres", 5432))
    stranger = up.compose(
        "exec", "-T", "prometheus", "python3", "-c", probe.format("postgres", 5432), check=False
    )
    assert stranger.returncode != 0
    front = up.compose(
        "exec", "-T", "caddy", "python3", "-c", probe.format("worker", 8081), check=False
    )
    assert front.returncode != 0


def test_prometheus_sees_both(up: Up) -> None:
    url = f"http://127.0.0.1:{up.figures}/api/v1/query"

    def value(expression: str) -> list[str]:
        answer = httpx.get(url, params={"query": expression}, timeout=30)
        return [found["value"][1] for found in answer.json()["data"]["result"]]

    up.until(lambda: value("sum(up)") == ["2"])
    up.until(lambda: value('max(patchwright_workers{state="active"})') == ["1"])
    of_workers = 'patchwright_gate_verdicts_total{job="patchwright-workers"}'
    up.until(lambda: len(value(of_workers)) == len(get_args(Verdict)))


def test_no_secret_is_in_what_docker_shows(up: Up) -> None:
    words = [
        (up.folder / "secrets" / name).read_text().strip()
        for name in ("postgres-password", "operator-token", "database-url")
    ]
    ids = up.compose("ps", "--quiet").stdout.split()
    shown = images.docker("inspect", *ids).stdout + up.compose("logs").stdout
    assert not any(word in shown for word in words)


def test_it_stops_in_order_and_goes_on(up: Up, client: httpx.Client) -> None:
    up.compose("restart", "--timeout", "60", "worker", "service")
    up.until(lambda: client.get("/runs").status_code in (303, 401, 403))
    assert "other workers take over its runs" not in up.compose("logs", "worker").stdout
    assert "running" in up.patchwright("service", "runs", "list")
