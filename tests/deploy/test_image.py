"""The image, built on the sandboxes' base, which is made from Debian's packages; and run."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.deploy.images import NAME, docker
from tests.support.serving import key  # noqa: F401  a fixture

pytestmark = pytest.mark.timeout(1200)
# Confined as the composition and the chart do it.
CONFINED = (
    "--read-only", "--tmpfs", "/tmp:mode=1777,size=64m", "--cap-drop", "ALL",
    "--security-opt", "no-new-privileges:true",
)  # fmt: skip


def run(image: str, *words: str, entrypoint: str = "") -> subprocess.CompletedProcess[str]:
    given = ("--entrypoint", entrypoint) if entrypoint else ()
    return docker("run", "--rm", "--network", "none", *CONFINED, *given, image, *words, check=False)


def test_every_command_is_there_for_a_user_without_rights(image: str) -> None:
    assert "PATCHWRIGHT_STATE_DIR" in run(image, "settings").stdout
    assert run(image, "-u", entrypoint="id").stdout.strip() == "10010"
    doctor = run(image, "doctor")
    assert doctor.returncode == 1
    assert "engine" in doctor.stdout
    # PostgreSQL's driver, git, and the recipe of the sandboxes' image.
    code = (
        "import psycopg; from sandbox.images.recipe import *; from pathlib import Path; "
        "import app, prompts; print(Path(app.__file__).parent)"
    )
    told = run(image, "-c", code, entrypoint="python")
    assert told.returncode == 0, told.stderr
    assert run(image, "--version", entrypoint="git").returncode == 0


def test_nothing_in_it_gives_rights_or_installs_packages(image: str) -> None:
    rights = run(image, "/", "-xdev", "-perm", "/6000", "-type", "f", entrypoint="find")
    assert rights.stdout.strip() == ""
    assert run(image, "-m", "pip", "--version", entrypoint="python").returncode != 0
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    assert "PRIVATE KEY" not in history
    files = run(image, "/src", "/opt/build", entrypoint="ls").stderr
    assert files.count("No such file") == 2


def test_it_serves_and_stops_as_it_is_told(image: str, key: str) -> None:  # noqa: F811
    given = {
        "PATCHWRIGHT_GITHUB_APP_ID": "1",
        "PATCHWRIGHT_GITHUB_PRIVATE_KEY": key,
        "PATCHWRIGHT_GITHUB_WEBHOOK_SECRET": "s3cret",
        "PATCHWRIGHT_GITHUB_API_URL": "http://127.0.0.1:9",
        "PATCHWRIGHT_PUBLIC_URL": "https://p.example.com",
        "PATCHWRIGHT_OPERATOR_TOKEN": "operators-token",
    }
    words = [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
    name = f"{NAME}-serve"
    docker("run", "--detach", "--name", name, "--network", "none", *CONFINED, *words, image)
    try:
        ask = (
            "import urllib.request as u; url = 'http://127.0.0.1:8080/{}'; "
            "known = {{'Authorization': 'Bearer operators-token'}}; "
            "print(u.urlopen(u.Request(url, headers=known)).read())"
        )
        end = time.monotonic() + 180
        while docker("exec", name, "python", "-c", ask.format("readyz"), check=False).returncode:
            state = docker("inspect", "--format", "{{.State.Running}}", name).stdout
            assert "true" in state and time.monotonic() < end, docker("logs", name).stderr
            time.sleep(1)
        told = docker("exec", name, "python", "-c", ask.format("metrics")).stdout
        assert "patchwright_queue_runs" in told
        docker("stop", "--time", "60", name)
        state = json.loads(docker("inspect", "--format", "{{json .State}}", name).stdout)
        assert state["ExitCode"] == 0, docker("logs", name).stderr
        lines = docker("logs", name).stderr.splitlines()
        assert all(json.loads(line)["event"] for line in lines if line.startswith("{"))
        assert any("unfinished runs continue at the next start" in line for line in lines)
    finally:
        docker("rm", "--force", "--volumes", name, check=False)
