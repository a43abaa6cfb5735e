"""Figures over HTTP: of a service, and of a real `patchwright worker` beside it on PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.journal.events import RunEnded
from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from app.web.metrics import read_figures
from tests.deploy.figures import alert_expressions, board_expressions, exported, names_in
from tests.doubles.sglang.serving import free_port
from tests.support.postgresql import fresh_database
from tests.support.runs.stored import trigger
from tests.support.serving import serving

ROOT = Path(__file__).parents[4]
WAIT_S = 120
TOKEN = "prometheus-token"
WORKER = (
    "from app.server.worker import run_worker; from app.settings.loading import load; "
    "run_worker(load())"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'p.db'}"
    return fresh_database(request.getfixturevalue("postgresql"))


def figure(text: str, name: str, **labels: str) -> float:
    """One series of an answer."""
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )


def figures(address: str) -> str:
    """What Prometheus reads there."""
    return httpx.get(f"{address}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text


def test_the_state_of_an_installation(url: str, tmp_path: Path) -> None:
    store = SqlStore(url)
    settings = Settings(state_dir=tmp_path, metrics_token=TOKEN, concurrency=7, tokens_per_day=1000)
    done = store.accept("d1", "issues", trigger(1), model="m").run_id
    lease = store.claim(done, "worker-0")
    lease.set_running(done)
    lease.set_pull(done, 5)
    lease.finish(done, RunEnded(attempt=0, outcome="proven", pull_request="u"))
    for number in (2, 3):
        store.accept(f"d{number}", "issues", trigger(number), model="m")
    store.mark_enqueued(store.unqueued()[0])
    with serving(create_app(Web(settings, store, lambda _id: None))) as address:
        text = figures(address)
        assert figure(text, "patchwright_database_up") == 1
        assert figure(text, "patchwright_queue_runs") == 2
        assert 0 <= figure(text, "patchwright_queue_oldest_seconds") < 600
        assert figure(text, "patchwright_runs", status="done", outcome="proven") == 1
        assert figure(text, "patchwright_pulls", state="open") == 1
        assert figure(text, "patchwright_outbox", kind="runs") == 1
        assert figure(text, "patchwright_outbox", kind="asks") == 0
        assert figure(text, "patchwright_workers", state="active") == 0
        assert figure(text, "patchwright_concurrency_limit") == 7
        assert figure(text, "patchwright_tokens_limit") == 1000
        assert figure(text, "patchwright_database_bytes") > 10_000
        assert figure(text, "patchwright_state_free_bytes") > 0
        # Neither people nor places, and nothing for those who show no token.
        assert "octo" not in text
        assert httpx.get(f"{address}/metrics").status_code == 401
    assert read_figures(store).runs == store.count_runs()
    store.close()


def test_without_its_database_a_service_still_tells_that(postgresql: str, tmp_path: Path) -> None:
    store = SqlStore(fresh_database(postgresql))
    web = Web(Settings(state_dir=tmp_path, metrics_token=TOKEN), store, lambda _id: None)
    with serving(create_app(web)) as address, store.database.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE runs RENAME TO elsewhere")
        connection.commit()
        text = figures(address)
    assert figure(text, "patchwright_database_up") == 0
    assert "patchwright_queue_runs" not in text


@contextmanager
def worker(folder: Path, database: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as it is deployed: its database's address in a file, GitHub and engine away."""
    key = folder / "key.pem"
    key.write_text("no key, and none is needed")
    address = folder / "database-url"
    address.write_text(database + "\n")
    usual = {name: value for name, value in os.environ.items() if "PATCHWRIGHT" not in name}
    environment = usual | {
        "PYTHONPATH": str(ROOT),
        "PATCHWRIGHT_STATE_DIR": str(folder / "worker"),
        "PATCHWRIGHT_DATABASE_URL_FILE": str(address),
        "PATCHWRIGHT_EXECUTOR_ID": "worker-7",
        "PATCHWRIGHT_WORKER_PORT": str(port),
        "PATCHWRIGHT_METRICS_TOKEN": TOKEN,
        "PATCHWRIGHT_GITHUB_API_URL": f"http://127.0.0.1:{free_port()}",
        "PATCHWRIGHT_GITHUB_APP_ID": "1",
        "PATCHWRIGHT_GITHUB_PRIVATE_KEY_FILE": str(key),
        "PATCHWRIGHT_GITHUB_WEBHOOK_SECRET": "s3cret",
        "PATCHWRIGHT_DOCKER_URL": "unix:///nonexistent/docker.sock",
    }
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + WAIT_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)


def test_all_that_the_board_and_the_alerts_ask_for_is_served(
    postgresql: str, tmp_path: Path
) -> None:
    database, port = fresh_database(postgresql), free_port()
    with worker(tmp_path, database, port) as process:
        until_ready(port, process, tmp_path / "log")
        store = SqlStore(database)
        settings = Settings(state_dir=tmp_path, metrics_token=TOKEN, currency="EUR")
        service = create_app(Web(settings, store, lambda _id: None))
        with serving(service) as address:
            of_service = figures(address)
        of_worker = figures(f"http://127.0.0.1:{port}")
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 401
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").text == "ok\n"
        assert httpx.get(f"http://127.0.0.1:{port}/runs").status_code == 404
        assert figure(of_service, "patchwright_workers", state="active") == 1
        told = exported(of_service) | exported(of_worker)
        for expression in {*board_expressions(), *alert_expressions()}:
            assert names_in(expression) - told == set(), expression
        # What a worker alone counts comes from the worker.
        assert "patchwright_gate_verdicts_total" in exported(of_worker)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0, (tmp_path / "log").read_text()
        assert read_figures(store).workers == {"active": 0, "draining": 0}
        store.close()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/healthz")


def test_a_port_that_is_taken_is_named(postgresql: str, tmp_path: Path) -> None:
    database = fresh_database(postgresql)
    store = SqlStore(database)
    taken = create_app(
        Web(Settings(state_dir=tmp_path, metrics_token=TOKEN), store, lambda _id: None)
    )
    with (
        serving(taken) as address,
        worker(tmp_path, database, int(address.rpartition(":")[2])) as process,
    ):
        assert process.wait(WAIT_S) != 0
    assert "PATCHWRIGHT_WORKER_PORT" in (tmp_path / "log").read_text()
    store.close()
