"""Alerts and board in a real Prometheus that scrapes a real service."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from tests.deploy.figures import DEPLOY, alert_expressions, board_expressions
from tests.deploy.programs import prometheus
from tests.doubles.sglang.serving import free_port, process
from tests.support.runs.stored import trigger
from tests.support.serving import serving

FOLDER = DEPLOY / "prometheus"
TOKEN = "prometheus-token"
WAIT_S = 120


@pytest.fixture(scope="module")
def programs() -> Path:
    return prometheus()


def promtool(programs: Path, *words: str) -> str:
    done = subprocess.run(
        [programs / "promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_and_scrapes_are_sound(programs: Path) -> None:
    assert "SUCCESS" in promtool(programs, "check", "config", "--syntax-only", "prometheus.yml")
    promtool(programs, "test", "rules", "alerts_test.yml")


@pytest.fixture(scope="module")
def asked(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped a service with two runs in its queue."""
    folder = tmp_path_factory.mktemp("prometheus")
    store = SqlStore(f"sqlite:///{folder / 'p.db'}")
    for number in (1, 2):
        store.accept(f"d{number}", "issues", trigger(number), model="m")
    settings = Settings(state_dir=folder, metrics_token=TOKEN)
    service = create_app(Web(settings, store, lambda _id: None))
    port = free_port()
    with serving(service) as address:
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(FOLDER / "alerts.yml")]
        for job in config["scrape_configs"]:
            job["authorization"] = {"credentials": TOKEN}
            job["static_configs"] = [{"targets": [address.removeprefix("http://")]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [
            str(programs / "prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with process(command):
            url = f"http://127.0.0.1:{port}"
            end = time.monotonic() + WAIT_S
            while not _value(url, "patchwright:live_runs"):
                assert time.monotonic() < end
                time.sleep(0.5)
            yield url
    store.close()


def _value(url: str, expression: str) -> list[dict[str, object]]:
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}, timeout=30)
    except httpx.TransportError:
        return []
    if answer.status_code == 503:  # it has only begun
        return []
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["data"]["result"]
    return found


@pytest.mark.parametrize(
    "expression", sorted({*board_expressions(), *alert_expressions()}), ids=lambda e: e[:60]
)
def test_every_expression_is_answered(asked: str, expression: str) -> None:
    answer = httpx.get(f"{asked}/api/v1/query", params={"query": expression}, timeout=30)
    assert answer.json()["status"] == "success", answer.text


def test_gauges_of_the_board_have_values_at_once(asked: str) -> None:
    plain = [e for e in board_expressions() if "rate(" not in e and "increase(" not in e]
    # No limit is set, so none is drawn.
    empty = {e for e in plain if not _value(asked, e)}
    assert empty == {"max(patchwright_tokens_limit > 0)"}
    (live,) = _value(asked, "patchwright:live_runs")
    assert json.dumps(live["value"]).endswith('"2"]')


def test_the_rules_are_evaluated_without_an_error(asked: str) -> None:
    (group,) = httpx.get(f"{asked}/api/v1/rules", timeout=30).json()["data"]["groups"]
    assert [rule["name"] for rule in group["rules"] if rule["health"] == "err"] == []
    # The queue waits and nobody works: that alert is on its way.
    states = {rule["name"]: rule.get("state") for rule in group["rules"]}
    assert states["NoWorker"] in ("pending", "firing")
    assert states["ModelAway"] == "inactive"
