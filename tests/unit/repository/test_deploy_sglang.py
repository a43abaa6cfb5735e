"""`deploy/sglang`: what can be checked of it without a GPU."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from agent.models.profiles import K2_THINKING
from app.operations.capacity.hardware import HARDWARE, SPEEDS
from app.operations.capacity.models import MODELS
from tests.support.deploy_files import METRICS, ROOT, objects, printed

YAML_FILES = sorted(ROOT.rglob("*.y*ml"))
SCRIPTS = sorted(ROOT.glob("*.sh"))

HISTOGRAM_PARTS = re.compile(r"_(bucket|sum|count)$")


def refused(script: str, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [ROOT / script, *arguments],
        capture_output=True, text=True, env={"PATH": os.environ["PATH"], **variables}, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    return done.stderr


def value(command: list[str], flag: str) -> str:
    return command[command.index(flag) + 1]


@pytest.mark.parametrize(
    ("hardware", "gpus"), [("8xh200", "8"), ("2x8xh100", "16"), ("8xb200", "8")]
)
def test_a_server_gets_every_flag_that_the_client_needs(hardware: str, gpus: str) -> None:
    nodes = {"NODE_RANK": "1", "DIST_INIT_ADDR": "10.0.0.1:20000"}
    command = printed("launch.sh", hardware, "--ep", "8", **nodes)
    for flags in (K2_THINKING.flags.tool_calls, K2_THINKING.flags.reasoning):
        flag, wanted = flags.split()
        assert value(command, flag) == wanted
    assert {"--enable-cache-report", "--enable-metrics", "--trust-remote-code"} <= set(command)
    assert value(command, "--tp") == gpus
    assert value(command, "--context-length") == str(K2_THINKING.window)
    assert value(command, "--served-model-name") == K2_THINKING.model
    assert value(command, "--mem-fraction-static") == str(SPEEDS["k2", "8xH200"].static_share)
    assert value(command, "--ep") == "8"
    assert ("--nnodes" in command) == (hardware == "2x8xh100")
    assert "--max-running-requests" not in command


def test_a_server_takes_its_variables_and_says_which_is_missing() -> None:
    command = printed(
        "launch.sh", "8xh200",
        MODEL_PATH="/srv/k2", MAX_RUNNING_REQUESTS="6", KV_CACHE_DTYPE="fp8_e4m3",
        CONTEXT_LENGTH="128000",
    )  # fmt: skip
    assert value(command, "--model-path") == "/srv/k2"
    assert value(command, "--max-running-requests") == "6"
    assert value(command, "--kv-cache-dtype") == "fp8_e4m3"
    assert value(command, "--context-length") == "128000"
    assert "NODE_RANK" in refused("launch.sh", "2x8xh100")
    assert "DIST_INIT_ADDR" in refused("launch.sh", "2x8xh100", NODE_RANK="0")
    assert "usage" in refused("launch.sh", "4xA100")


RECIPES = [
    line.split()
    for line in (ROOT / "recipes").read_text().splitlines()
    if line and not line.startswith("#")
]
NODES = {"NODE_RANK": "0", "DIST_INIT_ADDR": "a:1"}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe[0])
def test_recipes_serve_their_model_as_the_capacity_plan_has_it(recipe: list[str]) -> None:
    name, model, parsers, context, fraction, *_ = recipe
    command = printed("launch.sh", name, "--ep", "2", **NODES)
    assert value(command, "--model-path") == value(command, "--served-model-name") == model
    assert value(command, "--tool-call-parser") == value(command, "--reasoning-parser") == parsers
    assert value(command, "--context-length") == context
    assert value(command, "--mem-fraction-static") == fraction
    assert command[-2:] == ["--ep", "2"]
    assert not any("=" in word for word in command)
    planned = next(row for row in MODELS.values() if name.startswith(f"{row.name}-"))
    assert planned.model == model
    hardware = name.removeprefix(f"{planned.name}-")
    row = next(row for row in HARDWARE.values() if row.name.lower() == hardware)
    assert value(command, "--tp") == str(row.gpus)
    assert (planned.family, row.name) in SPEEDS
    assert ("--node-rank" in command) == hardware.startswith("2x")


def test_a_server_has_hicache_a_draft_or_half_the_work() -> None:
    command = printed(
        "launch.sh", "k2.6-8xh200",
        HICACHE_RATIO="2", HICACHE_STORAGE="mooncake", PD_MODE="prefill", PD_IB_DEVICE="mlx5_0",
        DRAFT_MODEL="some/draft", ATTN_DP_SIZE="2",
    )  # fmt: skip
    assert value(command, "--hicache-ratio") == "2"
    assert value(command, "--hicache-storage-backend") == "mooncake"
    assert value(command, "--disaggregation-mode") == "prefill"
    assert value(command, "--speculative-algorithm") == "EAGLE3"
    assert value(command, "--attn-dp-size") == "2"
    k3 = printed("launch.sh", "k3-8xb300", DRAFT_MODEL="some/draft")
    assert value(k3, "--speculative-algorithm") == "DSPARK"
    router = printed(
        "launch_router.sh", PREFILL_URLS="http://p:1", DECODE_URLS="http://d:1 http://e:1"
    )
    assert value(router, "--prefill") == "http://p:1"
    assert router.count("--decode") == 2
    assert "--worker-urls" not in router


def test_the_router_is_sticky() -> None:
    command = printed("launch_router.sh", "http://a:1", "http://b:1")
    assert value(command, "--policy") == "manual"
    assert value(command, "--assignment-mode") == "min_group"
    assert command[command.index("--worker-urls") + 1 :][-2:] == ["http://a:1", "http://b:1"]
    assert "--worker-urls" not in printed("launch_router.sh", "--service-discovery")
    assert "usage" in refused("launch_router.sh")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_are_posix_and_may_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["sh", "-n", script], check=True)


def test_the_check_of_a_server_says_what_it_wants() -> None:
    assert "--small MODEL.gguf|FOLDER" in refused("check_real_server.sh")
    assert "there is no /nonexistent" in refused("check_real_server.sh", "--small", "/nonexistent")


def test_weights_are_verified(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    shard = folder / "parts" / "model 1.safetensors"
    shard.write_bytes(b"\0" * 1000)

    def weights(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "weights.sh", *arguments], capture_output=True, text=True, check=False
        )

    assert "no SHA256SUMS" in weights("verify", str(folder)).stderr
    assert weights("sums", str(folder)).returncode == 0
    assert "2 files are whole" in weights("verify", str(folder)).stdout
    shard.write_bytes(b"\1" * 1000)
    damaged = weights("verify", str(folder))
    assert damaged.returncode == 1
    assert "missing or damaged" in damaged.stderr
    shard.unlink()
    assert weights("verify", str(folder)).returncode == 1
    (folder / "config.json").unlink()
    assert "no config.json" in weights("verify", str(folder)).stderr
    assert "fetch FOLDER" in weights("verify").stderr


def test_units_are_sound(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = []
    for unit in sorted((ROOT / "systemd").glob("*.service")):
        # The verifier looks for the programs: let it find the ones of this tree.
        text = unit.read_text().replace("/opt/patchwright/sglang", str(ROOT))
        copy = tmp_path / unit.name
        copy.write_text(text)
        units.append(copy)
    assert len(units) == 2
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if "patchwright-" in line]
    assert complaints == []
    copy.write_text(copy.read_text().replace("[Service]", "[Service]\nRestart=sometimes"))
    again = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    assert "sometimes" in again.stderr


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_yaml_is_whole(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    assert all(isinstance(document, dict) for document in documents)


def test_compose_gives_the_server_gpus_and_checks_the_router_by_readiness() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    (device,) = services["server"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert "/readiness" in services["router"]["healthcheck"]["test"][-1]
    assert services["router"]["command"] == ["http://server:30000"]
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists()
    scraped = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    targets = [t for job in scraped["scrape_configs"] for t in job["static_configs"][0]["targets"]]
    assert {target.split(":")[0] for target in targets} <= set(services)


def test_compose_is_accepted_by_docker() -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("the compose plugin is not installed")
    subprocess.run([docker, "compose", "-f", ROOT / "compose.yaml", "config", "-q"], check=True)


def expressions() -> Iterator[str]:
    dashboard = json.loads((ROOT / "grafana" / "dashboards" / "sglang.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for group in yaml.safe_load((ROOT / "prometheus" / "alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_panels_and_alerts_use_known_metrics(expression: str) -> None:
    names = set(re.findall(r"\b(?:sglang:|smg_)\w+", expression))
    assert names
    assert {HISTOGRAM_PARTS.sub("", name) for name in names} <= METRICS
    assert expression.count("(") == expression.count(")")


def test_panels_do_not_overlap() -> None:
    dashboard = json.loads((ROOT / "grafana" / "dashboards" / "sglang.json").read_text())
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]]
    assert len(set(places)) == len(places) >= 10
    assert all(x + 8 <= 24 for x, _ in places)


def test_kubernetes_parts_fit_together() -> None:
    kustomization = yaml.safe_load((ROOT / "kustomization.yaml").read_text())
    assert all((ROOT / name).exists() for name in kustomization["resources"])
    (scripts,) = kustomization["configMapGenerator"]
    for entry in scripts["files"]:
        assert (ROOT / entry.split("=")[-1]).exists()
    router = next(o for o in objects("router.yaml") if o["kind"] == "Deployment")
    (container,) = router["spec"]["template"]["spec"]["containers"]
    arguments = container["args"]
    selector = dict(part.split("=") for part in arguments[2:4])
    assert container["readinessProbe"]["httpGet"]["path"] == "/readiness"
    assert router["spec"]["replicas"] == 1
    for name, size in (("server-8xh200.yaml", 1), ("server-2x8xh100.yaml", 2)):
        (group,) = objects(name)
        templates = group["spec"]["leaderWorkerTemplate"]
        assert templates["size"] == size
        leader = templates.get("leaderTemplate", templates["workerTemplate"])
        assert leader["metadata"]["labels"] == selector
        if size > 1:
            # The router must not send requests to the second node.
            assert templates["workerTemplate"]["metadata"]["labels"] != selector
        for template in templates.values():
            if not isinstance(template, dict):
                continue
            (server,) = template["spec"]["containers"]
            assert server["resources"]["limits"]["nvidia.com/gpu"] == "8"
            set_up = {v["name"]: v["value"] for v in server["env"]}
            assert set_up["MODEL_PATH"] == "/models"
            assert printed(
                "launch.sh", server["command"][2], **{"NODE_RANK": "0", "DIST_INIT_ADDR": "a:1"}
            )
            assert ("NODE_RANK" in set_up) == (size > 1)
        probes = leader["spec"]["containers"][0]
        assert probes["readinessProbe"]["httpGet"]["path"] == "/health"
        startup = probes["startupProbe"]
        assert startup["failureThreshold"] * startup["periodSeconds"] >= 3600


def test_kustomize_puts_it_together() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.check_output(["kubectl", "kustomize", ROOT], text=True)
    made = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(built)}
    assert {o["metadata"].get("namespace", "") for o in made.values()} == {"", "patchwright-model"}
    scripts = made["ConfigMap", "sglang-scripts"]["data"]
    assert scripts["launch.sh"] == (ROOT / "launch.sh").read_text()
    assert ("LeaderWorkerSet", "sglang-k2") in made
