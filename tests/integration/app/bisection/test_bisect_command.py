"""`patchwright bisect` as a person types it, on the real engine and without a model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.github.app import git

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


def bisect(tmp_path: Path, *words: object) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")}
    own = {"PATCHWRIGHT_STATE_DIR": str(tmp_path / "state"), "PATCHWRIGHT_SETUP_NETWORK": "false"}
    return subprocess.run(
        [sys.executable, "-m", "app", "bisect", *map(str, words)],
        env={**kept, **own, "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Eight commits, of which the sixth breaks it; the check is not committed."""
    folder = tmp_path / "work"
    (folder / "tests").mkdir(parents=True)
    git(folder, "init", "-q")
    for number in range(8):
        summed = "prices[1:]" if number > 4 else "prices"
        (folder / "cart.py").write_text(
            f"# {number}\ndef total(prices):\n    return sum({summed})\n"
        )
        (folder / "tests" / "test_one.py").write_text("def test_one():\n    assert 1\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", f"[bold]Change {number}")
    (folder / "check.py").write_text("import cart\nassert cart.total([1, 2]) == 3, 'wrong'\n")
    return folder


def test_the_commit_that_broke_it_is_named(work: Path, tmp_path: Path) -> None:
    asked = ("--command", "python3 check.py", "--expect", "wrong", "--file", "check.py")
    done = bisect(tmp_path, work, *asked, "--json", tmp_path / "out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    culprit = git(work, "rev-parse", "HEAD~2")
    assert done.stdout.startswith(f"Introduced by {culprit[:12]} ")
    assert "[bold]Change 5" in done.stdout
    told = json.loads((tmp_path / "out.json").read_text())
    assert (told["finding"], told["culprit"]) == ("found", culprit)
    assert told["last_good"] == [git(work, "rev-parse", "HEAD~3")]
    assert git(work, "status", "--porcelain") == "?? check.py"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "either an issue"),
        (("--command", "x", "--file", "none.py"), "none.py cannot be read"),
        (("--command", "x", "--good", "v9"), "There is no commit v9"),
        (("--command", "true"), "`true` does not fail at HEAD"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    work: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = bisect(tmp_path, work, *words)
    assert done.returncode == 1 and said in done.stderr and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
