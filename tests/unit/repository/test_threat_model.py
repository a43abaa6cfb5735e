"""The threat model names tests and attacks that there are."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from app.sandboxes.attacks import HOST_ATTACKS
from sandbox.attacks.catalogue import ATTACKS
from sandbox.docker.engine import DockerEngine
from sandbox.protocol import Limits
from sandbox.setup.attacks import setup_attacks
from sandbox.setup.image_attacks import image_attacks
from sandbox.spec import SandboxSpec

ROOT = Path(__file__).parents[3]
ROWS = re.findall(
    r"^\| ([STRIDE]) \|(.*)\|$", (ROOT / "docs" / "threat-model.md").read_text(), re.M
)


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def attack_names() -> set[str]:
    engine, spec = DockerEngine(), SandboxSpec("i", Limits(), "r", "attack")
    more = (*image_attacks(engine, spec), *setup_attacks(engine, spec), *HOST_ATTACKS)
    return {attack.name for attack in (*ATTACKS, *more)}


@pytest.mark.parametrize(
    "row", [row for _, row in ROWS], ids=lambda row: row.split("|")[1].strip()[:40]
)
def test_each_wall_is_shown_by_something_that_there_is(row: str) -> None:
    shown = row.split("|")[-1].strip()
    if attack := re.fullmatch(r"Doctor: `([^`]+)`", shown):
        assert attack[1] in attack_names()
    else:
        path, name = shown.strip("`").split("::")
        assert name in functions(path)


def test_every_letter_has_rows() -> None:
    assert {letter for letter, _ in ROWS} == set("STRIDE") and len(ROWS) >= 30
