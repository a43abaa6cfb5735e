"""`serve` as a process of its own: start, refusals, deliveries, and its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.github.webhooks import sign
from app.server.serve import state_lock
from app.settings.base import SettingsError
from app.storage.store import SqlStore
from tests.support.github.payloads import encoded, labeled
from tests.support.serving import key

__all__ = ["key"]

WAIT_S = 120.0
"""Far more than anything here takes, also on a busy machine."""
ROOT = Path(__file__).parents[4]
SERVE = "from app.server.serve import serve; from app.settings.loading import load; serve(load())"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def environment(tmp_path: Path, key: str) -> dict[str, str]:
    """A whole configuration, with a GitHub and a Docker that are away."""
    away = f"http://127.0.0.1:{free_port()}"
    usual = {name: value for name, value in os.environ.items() if "PATCHWRIGHT" not in name}
    return usual | {
        "PYTHONPATH": str(ROOT),
        "PATCHWRIGHT_STATE_DIR": str(tmp_path / "state"),
        "PATCHWRIGHT_PORT": str(free_port()),
        "PATCHWRIGHT_GITHUB_API_URL": away,
        "PATCHWRIGHT_GITHUB_APP_ID": "1",
        "PATCHWRIGHT_GITHUB_PRIVATE_KEY": key,
        "PATCHWRIGHT_GITHUB_WEBHOOK_SECRET": "s3cret",
        "PATCHWRIGHT_DOCKER_URL": "unix:///nonexistent/docker.sock",
    }


@contextmanager
def served(environment: dict[str, str], log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The service's address and process, once it is ready."""
    url = f"http://127.0.0.1:{environment['PATCHWRIGHT_PORT']}"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE], env=environment, cwd=ROOT, stdout=out, stderr=out
        )
    try:
        end = time.monotonic() + WAIT_S
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            try:
                if httpx.get(f"{url}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url, process
    finally:
        process.kill()
        process.wait()


def deliver(url: str) -> httpx.Response:
    body = encoded(labeled())
    headers = {
        "X-Hub-Signature-256": sign("s3cret", body),
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": "d1",
    }
    return httpx.post(f"{url}/webhooks/github", content=body, headers=headers)


def test_a_delivery_outlives_a_stop_and_a_kill(environment: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    with served(environment, log) as (url, process):
        answer = deliver(url)
        assert answer.status_code == 202
        store = SqlStore(f"sqlite:///{tmp_path / 'state' / 'patchwright.db'}")
        run_id = answer.json()["run"]
        end = time.monotonic() + WAIT_S
        while store.get_run(run_id).epoch == 0:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0, log.read_text()
        assert "unfinished runs continue at the next start" in log.read_text()
        assert store.get_run(run_id).status == "running"
    with served(environment, log) as (url, process):
        again = deliver(url)
        assert (again.status_code, again.json()["result"]) == (200, "duplicate")
        end = time.monotonic() + WAIT_S
        while store.get_run(run_id).epoch < 2:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
    assert sum(store.count_runs().values()) == 1
    text = log.read_text()
    assert "sandboxes could not be swept" in text
    assert "s3cret" not in text
    assert "PRIVATE KEY" not in text


def test_a_second_instance_on_the_same_folder_is_refused(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with served(environment, tmp_path / "log") as (_url, process):
        second = subprocess.run(
            [sys.executable, "-c", SERVE],
            env=environment | {"PATCHWRIGHT_PORT": str(free_port())},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
    assert second.returncode == 1
    assert re.search(rf"another Patchwright \(process {process.pid}\) already uses", second.stderr)
    # The kernel let go of the lock with the killed process.
    with state_lock(tmp_path / "state"):
        pass


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("PATCHWRIGHT_GITHUB_PRIVATE_KEY", "PATCHWRIGHT_GITHUB_PRIVATE_KEY_FILE"),
        ("PATCHWRIGHT_GITHUB_WEBHOOK_SECRET", "PATCHWRIGHT_GITHUB_WEBHOOK_SECRET_FILE"),
    ],
)
def test_with_half_an_app_it_does_not_start(
    environment: dict[str, str], variable: str, named: str
) -> None:
    del environment[variable]
    done = subprocess.run(
        [sys.executable, "-c", SERVE],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 1
    assert f"The service needs a complete GitHub App. Set {named}." in done.stderr


def test_on_postgresql_each_worker_needs_a_name(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE],
        env=environment | {"PATCHWRIGHT_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1/x"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 1
    assert "Set PATCHWRIGHT_EXECUTOR_ID" in done.stderr


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SettingsError, match="PATCHWRIGHT_STATE_DIR"), state_lock(file / "state"):
        pass
