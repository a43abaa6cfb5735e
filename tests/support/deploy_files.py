"""What the deployment's files say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from app.settings.base import CONFIG_VARIABLE, PREFIX
from app.settings.schema import Settings
from sandbox.setup.cluster.permissions import NEEDED

SETTINGS = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {CONFIG_VARIABLE}


ROOT = Path(__file__).resolve().parents[2] / "deploy" / "sglang"


# Names in sglang 0.5.23 and sglang-router 0.3.2; test_deploy_sglang_packages.py compares them with
# the packages.
METRICS = {
    "sglang:cached_tokens_total", "sglang:e2e_request_latency_seconds",
    "sglang:generation_tokens_total", "sglang:inter_token_latency_seconds",
    "sglang:num_queue_reqs", "sglang:num_retracted_reqs", "sglang:num_running_reqs",
    "sglang:prompt_tokens_total", "sglang:time_to_first_token_seconds", "sglang:token_usage",
    "smg_http_rate_limit_total", "smg_http_responses_total", "smg_manual_policy_cache_entries",
    "smg_worker_cb_state", "smg_worker_errors_total", "smg_worker_health",
    "smg_worker_pool_size", "smg_worker_retries_total", "smg_worker_routing_keys_active",
}  # fmt: skip


def printed(script: str, *arguments: str, **variables: str) -> list[str]:
    """The command that a script would run."""
    environment = {"PATH": os.environ["PATH"], "LAUNCH_PRINT": "1", **variables}
    done = subprocess.run(
        [ROOT / script, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.split()


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "kubernetes" / name).read_text()))


def permissions(rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """API group, resource and verb of everything that a role gives."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


NEEDED_BY_SETUPS = {
    (group, f"{resource}/{part}".rstrip("/"), verb)
    for group, resource, part, verbs in NEEDED
    for verb in verbs
}
