"""`deploy/`: compose, chart, units, figures; what can be checked of it without their programs.

With their programs: tests/deploy, by `make check-deploy`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings.base import PREFIX
from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.telemetry.metrics import worker_metrics
from app.web.metrics import Metrics
from tests.deploy.figures import alert_expressions, board_expressions, exported, names_in
from tests.support.deploy_files import SETTINGS

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "patchwright"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE = DEPLOY / "compose"
PLAIN_YAML = sorted(
    path
    for path in (*DEPLOY.glob("compose/*.yaml"), *DEPLOY.glob("prometheus/*.yml"), *CHART.glob("*"))
    if path.suffix in (".yaml", ".yml")
)


NO_SETTING = {f"{PREFIX}{name}" for name in ("IMAGE", "UID")}
"""Variables of the composition itself and of its script."""


def named_settings() -> Iterator[tuple[str, str]]:
    for path in sorted(DEPLOY.rglob("*")):
        inside = path.relative_to(DEPLOY).parts
        if path.is_file() and inside[0] in ("compose", "helm", "systemd", "Dockerfile"):
            for name in set(re.findall(rf"\b{PREFIX}[A-Z0-9_]+", path.read_text())):
                yield "/".join(inside), name


@pytest.mark.parametrize(("file", "name"), sorted(named_settings()))
def test_every_variable_is_a_setting(file: str, name: str) -> None:
    assert name in SETTINGS | (NO_SETTING if file.startswith("compose/") else set())


@pytest.mark.parametrize("path", PLAIN_YAML, ids=lambda p: str(p.relative_to(DEPLOY)))
def test_yaml_is_whole(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    assert all(isinstance(document, dict) for document in documents)


# Figures


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every figure that a service and a worker tell right after their start."""
    folder = tmp_path_factory.mktemp("state")
    store = SqlStore(f"sqlite:///{folder / 'p.db'}")
    service = Metrics(store, Settings(state_dir=folder, currency="EUR")).text()
    store.close()
    return exported(service.decode()) | exported(worker_metrics().decode())


@pytest.mark.parametrize(
    "expression", sorted({*board_expressions(), *alert_expressions()}), ids=lambda e: e[:60]
)
def test_panels_and_alerts_use_only_exported_metrics(expression: str, told: set[str]) -> None:
    names = names_in(expression)
    assert names
    assert names - told == set()


def test_every_figure_is_looked_at_or_known_to_be_none(told: set[str]) -> None:
    """A figure that no panel and no alert asks for is for nobody."""
    asked = {n for e in (*board_expressions(), *alert_expressions()) for n in names_in(e)}
    base = {re.sub(r"_(bucket|sum|count|created|total)$", "", name) for name in asked}
    unasked = {
        re.sub(r"_(bucket|sum|count|created|total)$", "", name)
        for name in told
        if name.startswith("patchwright_")
    } - base
    assert unasked == {"patchwright_build_info"}


def test_panels_do_not_overlap_and_have_legends() -> None:
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "patchwright.json").read_text())
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    assert len(set(places)) == len(places) >= 20
    assert all(x + 8 <= 24 for x, _ in places)
    assert all(t["legendFormat"] for p in board["panels"] for t in p["targets"])
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])


def test_the_alerts_that_an_operator_must_have_are_there_and_say_what_to_do() -> None:
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    alerts = {rule["alert"]: rule for rule in group["rules"] if "alert" in rule}
    assert {"QueueOld", "ModelAway", "GateRefuses", "SandboxesFail", "NoWorker"} <= set(alerts)
    for rule in alerts.values():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"][-1] in ".?"


# The composition


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    return found


def mounts(service: dict[str, Any]) -> list[tuple[str, str]]:
    """Source and rest of each volume; a variable's default stands for it."""
    plain = [re.sub(r"\$\{\w+:[-?]([^}]*)\}", r"\1", v) for v in service.get("volumes", [])]
    return [(v.partition(":")[0], v.partition(":")[2]) for v in plain]


def test_only_the_worker_gets_the_engine_and_only_the_proxy_is_open() -> None:
    for name, service in services().items():
        sockets = [source for source, _ in mounts(service) if "docker.sock" in source]
        assert bool(sockets) == (name == "worker")
        ports = service.get("ports", [])
        if name == "caddy":
            assert {port.split(":")[0] for port in ports} == {"80", "443"}
        else:
            assert all(port.startswith("127.0.0.1:") for port in ports)
        assert "privileged" not in service
        assert "no-new-privileges:true" in service["security_opt"]
    assert "ports" not in services()["worker"]
    assert set(services()["worker"]["networks"]) & {"front"} == set()
    networks = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["networks"]
    assert services()["postgres"]["networks"] == ["data"]
    assert networks["data"] == {"internal": True}


def test_what_the_composition_mounts_is_there() -> None:
    made = {"./secrets/app"}
    for service in services().values():
        for source, _ in mounts(service):
            if source.startswith(".") and source not in made:
                assert (COMPOSE / source).exists(), source
    declared = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    used = {s for service in services().values() for s in service.get("secrets", [])}
    assert used == set(declared["secrets"])
    script = (COMPOSE / "secrets.sh").read_text()
    for secret in declared["secrets"].values():
        assert f"keep {Path(secret['file']).name} " in script


def test_prometheus_scrapes_the_ports_that_the_composition_has() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    targets = {j["job_name"]: j["static_configs"][0]["targets"] for j in scraped["scrape_configs"]}
    assert targets == {"patchwright": ["service:8080"], "patchwright-workers": ["worker:8081"]}
    worker = services()["worker"]["environment"]
    assert worker["PATCHWRIGHT_WORKER_PORT"] == "8081"
    assert Settings.model_fields["port"].default == 8080


def test_no_secret_is_in_an_environment_variable() -> None:
    secret = re.compile(r"(SECRET|TOKEN|PASSWORD|PRIVATE_KEY|API_KEY|DATABASE_URL)$")
    for service in services().values():
        for name in service.get("environment", {}):
            assert not secret.search(name), name


def test_secrets_are_made_once_and_for_their_readers_alone(tmp_path: Path) -> None:
    script = shutil.copy(COMPOSE / "secrets.sh", tmp_path)
    done = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
    if os.geteuid() != 0:
        assert done.returncode != 0
        assert "root" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    made = tmp_path / "secrets"
    first = {path.name: path.read_text() for path in made.iterdir() if path.is_file()}
    password = first["postgres-password"].strip()
    assert len(password) == 48
    assert first["database-url"].strip().endswith(f":{password}@postgres/patchwright")
    assert len({first[n] for n in ("postgres-password", "operator-token", "grafana-password")}) == 3
    for path in made.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        read_by_several = path.name == "metrics-token"
        assert mode == (0o700 if path.is_dir() else 0o444 if read_by_several else 0o400)
    assert {(made / n).stat().st_uid for n in ("database-url", "operator-token", "app")} == {10010}
    assert not any(word in done.stdout for word in first.values())
    subprocess.run(["sh", script], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in made.iterdir() if path.is_file()} == first


def test_the_proxy_keeps_figures_inside_and_lets_large_deliveries_in() -> None:
    text = (COMPOSE / "Caddyfile").read_text()
    assert re.search(r"@inside path /metrics\* /healthz\* /readyz\*\n\s*respond @inside 404", text)
    largest = int(re.search(r"max_size (\d+)MB", text)[1]) * 1_000_000  # type: ignore[index]
    # GitHub's 25 MB; the service's own limit is a little above, in MiB, and answers for itself.
    assert largest > 25_000_000


# The image


def test_the_image_is_built_from_what_is_let_in_and_locked() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = {
        source
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore
    assert {f"!{source}" for source in copied} == {line for line in ignore if line[:1] == "!"}
    assert all((ROOT / source).exists() for source in copied)

    def pinned(path: Path) -> set[str]:
        return set(re.findall(r"^[a-z0-9._-]+==\S+", path.read_text(), re.M))

    # The same versions as tests run with; `make lock` writes all of them.
    assert pinned(DEPLOY / "requirements.lock") < pinned(ROOT / "requirements.lock")
    assert any(
        name.startswith("hatchling==") for name in pinned(DEPLOY / "requirements-build.lock")
    )
    assert not any("pytest" in name for name in pinned(DEPLOY / "requirements.lock"))


def test_nothing_runs_as_root_in_the_image_and_all_agree_on_its_user() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert text.split("USER ")[-1].startswith("10010:10010")
    assert "runAsUser: 10010" in (CHART / "templates" / "_helpers.tpl").read_text()
    assert "--group=10010" in (CHART / "templates" / "engine.yaml").read_text()
    assert ":-10010}" in (COMPOSE / "secrets.sh").read_text()


# The units


def checked(unit: Path, folder: Path) -> Path:
    """A copy whose programs exist: the verifier looks for them."""
    program = folder / "patchwright"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    name = unit.name.replace("@.", "@worker-7.")
    copy = folder / name
    copy.write_text(unit.read_text().replace("/opt/patchwright/venv/bin", str(folder)))
    return copy


@pytest.mark.parametrize("unit", UNITS, ids=lambda p: p.name)
def test_units_are_sound_and_confined(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = checked(unit, tmp_path)

    def analyze(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["systemd-analyze", *words, str(copy)], capture_output=True, text=True, check=False
        )

    said = analyze("verify", "--man=no").stderr
    assert [line for line in said.splitlines() if "patchwright" in line] == []
    # In tenths: 2.0 of 10.
    exposed = analyze("security", "--offline=yes", "--threshold=20", "--no-pager")
    assert exposed.returncode == 0, exposed.stdout[-300:]
    copy.write_text(copy.read_text().replace("[Service]", "[Service]\nUmask=7"))
    assert "Umask" in analyze("verify", "--man=no").stderr


def test_units_stop_later_than_their_runs_are_given() -> None:
    patience = Settings.model_fields["stop_patience_s"].default
    for name in ("patchwright.service", "patchwright-worker@.service"):
        text = (DEPLOY / "systemd" / name).read_text()
        assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > 2 * patience  # type: ignore[index]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["workers"]["terminationGracePeriodSeconds"] > 2 * patience
    assert int(services()["worker"]["stop_grace_period"].rstrip("s")) > 2 * patience


# The chart


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert chart["appVersion"] == version[1]
    assert f"patchwright:{version[1]}" in (COMPOSE / "compose.yaml").read_text()


def test_every_value_of_the_chart_is_used_and_every_used_one_is_there() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = "\n".join(path.read_text() for path in (CHART / "templates").iterdir())
    for path in set(re.findall(r"\.Values\.([\w.]+)", text)):
        found: Any = values
        for part in path.split("."):
            assert part in found, path
            found = found[part]
    assert {path.split(".")[0] for path in re.findall(r"\.Values\.([\w.]+)", text)} == set(values)
