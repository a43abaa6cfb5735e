"""The figures that panels and alerts ask for, and those that are told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BOARD = DEPLOY / "grafana" / "dashboards" / "patchwright.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"

_NAME = re.compile(r"(?<![:\w\"])((?:patchwright|process)_\w+)")
_LABELS = re.compile(r"\{[^}]*\}")


def board_expressions() -> Iterator[str]:
    """What the board's panels ask."""
    for panel in json.loads(BOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def alert_expressions() -> Iterator[str]:
    """What the rules ask; `up` is Prometheus' own."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"] if not rule["expr"].startswith("up{"))


def names_in(expression: str) -> set[str]:
    """The figures that an expression asks for."""
    return set(_NAME.findall(_LABELS.sub("", expression)))


def exported(text: str) -> set[str]:
    """Names of the series in an answer to Prometheus."""
    return {s.name for family in text_string_to_metric_families(text) for s in family.samples}
