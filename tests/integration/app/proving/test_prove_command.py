"""`patchwright prove` as a person types it, on the real engine and without a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from defusedxml import ElementTree

from tests.doubles import gate_case as case
from tests.support.github.app import git

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

TEST = "\n\ndef test_total_of_two():\n    assert total(['2.50', '4.00']) == 650\n"


def prove(tmp_path: Path, *words: object) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")}
    own = {"PATCHWRIGHT_STATE_DIR": str(tmp_path / "state"), "PATCHWRIGHT_SETUP_NETWORK": "false"}
    return subprocess.run(
        [sys.executable, "-m", "app", "prove", *map(str, words)],
        env={**kept, **own, "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def commit(folder: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, dict(case.REPOSITORY), "base")
    return folder


def test_a_fix_with_its_test_is_proven(work: Path, tmp_path: Path) -> None:
    commit(work, {"tests/test_shop.py": case.TESTS + TEST}, "A test")
    commit(work, {"shop/stats.py": case.FIXED}, "Fix the total")
    written = {name: tmp_path / f"out.{name}" for name in ("json", "junit", "sarif")}
    done = prove(
        *(tmp_path, work, "--base", "HEAD~2", "--strength", "5"),
        *(w for n, p in written.items() for w in (f"--{n}", p)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Proven" in done.stdout and "assert 400 == 650" in done.stdout
    assert "What else was tried:\n  The evidence tells the fix from" in done.stdout
    assert json.loads(written["json"].read_text())["verdict"] == "proven"
    assert json.loads(written["sarif"].read_text())["runs"][0]["results"] == []
    cases = ElementTree.parse(written["junit"]).getroot().iter("testcase")
    assert [c.get("name") for c in cases] == ["proof", "tests/test_shop.py::test_total_of_two"]
    assert list((tmp_path / "state" / "base-results").iterdir()), "the base's results are kept"


@pytest.mark.long
def test_a_fix_without_a_test_is_not_proven_and_its_base_is_known_from_then_on(
    work: Path, tmp_path: Path
) -> None:
    commit(work, {"shop/stats.py": case.FIXED}, "Fix the total")
    for again in (False, True):
        done = prove(tmp_path, work, "--base", "HEAD~1")
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Nothing shows the bug: the change adds or changes no test." in done.stdout
        assert ("kept from before" in done.stderr) is again


def test_a_wrong_request_ends_with_status_1(work: Path, tmp_path: Path) -> None:
    done = prove(tmp_path, work)
    assert done.returncode == 1 and "--base" in done.stderr
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
