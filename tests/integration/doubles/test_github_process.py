"""The stand-in GitHub as a process of its own, as ``make demo`` starts it."""

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

from tests.doubles.github.client import GithubWorld

ROOT = Path(__file__).parents[3]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.doubles.github", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_tells_where_it_is_and_ends_on_request(tmp_path: Path) -> None:
    key = tmp_path / "app.pem"
    arguments = ["--root", str(tmp_path / "git"), "--private-key", str(key), "--no-validate"]
    process = start(*arguments, "--webhook-secret", "s3cret", "--api-prefix", "")
    try:
        assert process.stdout is not None
        known = json.loads(process.stdout.readline())
        with GithubWorld(known["git_url"]) as world:
            world.create_repo("acme/widget")
            assert world.app["private_key_pem"] == key.read_text()
            assert world.pulls("acme/widget") == []
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert known["url"] == known["git_url"]
    assert known["webhook_secret"] == "s3cret"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [*(tmp_path / "git" / "acme").glob("widget-*.git/HEAD")]


def test_a_key_that_is_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    key = tmp_path / "app.pem"
    key.write_text("no key")
    process = start("--private-key", str(key), "--no-validate")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith("the stand-in GitHub could not start: ")
    assert len(errors.splitlines()) == 1
