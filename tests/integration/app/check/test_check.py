"""A check of a small repository, on the real engine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.check.command import CheckRequest, check
from app.settings.schema import Settings

FILES = {
    "pytest.ini": "[pytest]\naddopts = -q\n",
    "test_shop.py": "def test_good(): pass\ndef test_bad(): assert 1 == 2\n",
    ".github/workflows/ci.yml": "python-version: '3.9'\n",
}


def repository(folder: Path) -> Path:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    as_somebody = ("-c", "user.name=a", "-c", "user.email=a@b.test")
    for command in (("init", "-q"), ("add", "-A"), (*as_somebody, "commit", "-qm", "x")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.mark.docker
async def test_a_check_says_what_is_there(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state", setup_network=False)
    good = repository(tmp_path / "good")
    report = await check(CheckRequest(str(good), runs=2), settings, lambda _: None)
    assert report.ready
    assert report.tests == {"passed": 1, "failed": 1}
    assert report.failing == ("test_shop.py::test_bad",)
    assert report.flaky == ()
    assert report.runs == 2
    assert [(v.tool, v.stated) for v in report.versions] == [
        ("Python", ("3.9 (.github/workflows)",))
    ]
    assert report.versions[0].present.startswith("3.")
