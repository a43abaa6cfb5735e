"""`deploy/sglang` against the real packages: the router that it starts, flags, metrics, objects."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.models.openai_compat import OpenAICompatModel
from agent.models.profiles import K2_THINKING
from app.llm.server_metrics import CacheReader
from app.llm.warm_streams import Room
from tests.doubles.sglang.optional import Unavailable, cache, environment
from tests.doubles.sglang.rig import BASH, START
from tests.doubles.sglang.serving import free_port, process, stand_in_command, wait_for
from tests.support.deploy_files import METRICS, ROOT, objects, printed
from tests.support.router import ROUTER, turns

VALIDATOR = "kubernetes-validate==1.37.0"
ROUTER_METRICS = {name for name in METRICS if name.startswith("smg_")}
PODS = "1.33"
"""Kubernetes version whose schemas are asked."""


@pytest.fixture(scope="module")
def router_python() -> Path:
    try:
        return environment("router-venv", (ROUTER,))
    except Unavailable as error:
        pytest.skip(f"sglang-router cannot be installed here: {error}")


@contextmanager
def launched(script: str, *arguments: str, **variables: str) -> Iterator[None]:
    """The script running, as an operator runs it; ended afterwards."""
    settings = [f"{name}={text}" for name, text in variables.items()]
    with process(["env", *settings, str(ROOT / script), *arguments]):
        yield


async def test_the_router_tells_what_all_servers_keep(router_python: Path, tmp_path: Path) -> None:
    script = tmp_path / "turns.json"
    script.write_text(json.dumps(turns(1)))
    one, two, router = free_port(), free_port(), free_port()
    variables = {
        "PYTHON": str(router_python),
        "ROUTER_HOST": "127.0.0.1",
        "ROUTER_PORT": str(router),
        "PROMETHEUS_HOST": "127.0.0.1",
        "PROMETHEUS_PORT": str(free_port()),
    }
    sizes = {one: "500000", two: "700000"}
    commands = [
        stand_in_command(port, "--script", str(script), "--cache-tokens", size)
        for port, size in sizes.items()
    ]
    workers = [f"http://127.0.0.1:{port}" for port in sizes]
    address = f"http://127.0.0.1:{router}"
    with process(commands[0]), process(commands[1]):
        for worker in workers:
            wait_for(f"{worker}/health")
        with launched("launch_router.sh", *workers, **variables):
            wait_for(f"{address}/readiness")
            assert await CacheReader((f"{address}/v1",), 0).room() == Room(tokens=1_200_000)
        assert await CacheReader(workers, 0).room() == Room(tokens=1_200_000)
        assert await CacheReader((address,), 0).room() == Room()


async def test_the_router_starts_is_ready_and_is_measured(
    router_python: Path, tmp_path: Path
) -> None:
    script = tmp_path / "turns.json"
    script.write_text(json.dumps(turns(2)))
    worker, router, metrics = free_port(), free_port(), free_port()
    variables = {
        "PYTHON": str(router_python),
        "ROUTER_HOST": "127.0.0.1",
        "ROUTER_PORT": str(router),
        "PROMETHEUS_HOST": "127.0.0.1",
        "PROMETHEUS_PORT": str(metrics),
    }
    with (
        process(stand_in_command(worker, "--script", str(script))),
        launched("launch_router.sh", f"http://127.0.0.1:{worker}", **variables),
    ):
        wait_for(f"http://127.0.0.1:{router}/readiness")
        model = OpenAICompatModel(K2_THINKING, [f"http://127.0.0.1:{router}"], routing_key="run-1")
        turn = await model.turn(START, (BASH,))
        await model.close()
        assert [call.id for call in turn.tool_calls] == ["functions.bash:0"]
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as answer:
            told = answer.read().decode()
    assert re.search(r'smg_worker_health\{worker="http://127.0.0.1:\d+"\} 1', told)
    assert re.search(r'smg_worker_routing_keys_active\{worker="[^"]+"\} \d', told)
    assert re.search(r'smg_http_responses_total\{.*status_code="200"', told)
    assert re.search(r"smg_manual_policy_cache_entries\S* 1", told)


def test_the_router_knows_its_flags_and_metrics(router_python: Path) -> None:
    asked = [str(router_python), "-m", "sglang_router.launch_router", "--help"]
    known = set(re.findall(r"--[a-z][a-z0-9-]+", subprocess.check_output(asked, text=True)))
    deployment = next(o for o in objects("router.yaml") if o["kind"] == "Deployment")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    used = {word for word in printed("launch_router.sh", *arguments) if word.startswith("--")}
    assert used <= known
    libraries = [p for p in router_python.parent.parent.rglob("*.so") if "sglang_router" in str(p)]
    binary = b"".join(path.read_bytes() for path in libraries)
    assert {name for name in ROUTER_METRICS if name.encode() not in binary} == set()


def test_the_server_knows_its_flags_and_metrics() -> None:
    package = cache() / "detectors-sglang"
    if not (package / ".ready").exists():
        pytest.skip("SGLang's files are not here: make check-detectors fetches them")
    source = package / "sglang" / "srt"
    fields = "\n".join(p.read_text() for p in (source / "arg_groups" / "fields").glob("*.py"))
    fields += (source / "server_args.py").read_text()
    nodes = {"NODE_RANK": "0", "DIST_INIT_ADDR": "a:1"}
    sizes = {"MAX_RUNNING_REQUESTS": "1", "KV_CACHE_DTYPE": "fp8_e4m3"}
    options = {
        "HICACHE_RATIO": "2", "HICACHE_STORAGE": "mooncake", "PD_MODE": "decode",
        "PD_IB_DEVICE": "mlx5_0", "DRAFT_MODEL": "d", "ATTN_DP_SIZE": "2",
    }  # fmt: skip
    recipes = [line.split()[0] for line in (ROOT / "recipes").read_text().splitlines() if line]
    names = ["2x8xh100", *(name for name in recipes if not name.startswith("#"))]
    used = {
        word for name in names for word in printed("launch.sh", name, **nodes, **sizes, **options)
    }
    for flag in used:
        if flag.startswith("--"):
            name = flag.removeprefix("--").replace("-", "_")
            # argparse takes the beginning of a name: --tp is --tp-size.
            assert re.search(rf"^    {name}(_size)?: A\[", fields, re.M) or f'"{flag}"' in fields
    told = "\n".join(p.read_text() for p in (source / "observability").glob("*.py"))
    unknown = {name for name in METRICS - ROUTER_METRICS if f'"{name}"' not in told}
    assert unknown == set()


def pod_as_deployment(name: str, template: Mapping[str, Any]) -> dict[str, Any]:
    """LeaderWorkerSet's own schema is not at hand; its templates are those of pods."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": template["metadata"]["labels"]}, "template": template},
    }


def kubernetes_objects() -> Iterator[dict[str, Any]]:
    for path in sorted((ROOT / "kubernetes").glob("*.yaml")):
        for found in yaml.safe_load_all(path.read_text()):
            if found["kind"] == "LeaderWorkerSet":
                templates = found["spec"]["leaderWorkerTemplate"]
                for key in ("leaderTemplate", "workerTemplate"):
                    if key in templates:
                        yield pod_as_deployment(f"{path.stem}-{key.lower()}", templates[key])
            else:
                yield found


def test_kubernetes_objects_fit_their_schemas(tmp_path: Path) -> None:
    try:
        python = environment("kubernetes-validate-venv", (VALIDATOR,))
    except Unavailable as error:
        pytest.skip(f"kubernetes-validate cannot be installed here: {error}")

    def validated(name: str, found: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump_all(found))
        command = [str(python.parent / "kubernetes-validate"), "-k", PODS, "--strict", str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    found = list(kubernetes_objects())
    assert {o["kind"] for o in found} >= {"Deployment", "Job", "NetworkPolicy", "Role", "Service"}
    done = validated("ours", found)
    assert done.returncode == 0, done.stdout + done.stderr
    found[-1]["spec"]["replica"] = "one"
    assert validated("wrong", found).returncode != 0
