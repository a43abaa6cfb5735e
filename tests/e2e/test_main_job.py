"""From a label to a pull request, through HTTP, git and Docker alone; with crashes in between."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.doubles.github.client import GithubWorld
from tests.doubles.github.server import GithubServer
from tests.e2e.bugs import ROOT_MODULES, Bug
from tests.e2e.service import Service

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]
REPOSITORY = "acme/stats"


def label_an_issue(world: GithubWorld, service: Service, tmp_path: Any, bug: Bug) -> int:
    """A repository with the bug, an issue, and a label by somebody with triage permission."""
    world.create_repo(REPOSITORY, folder=bug.write(tmp_path / "repo"), private=True)
    world.send_webhooks_to(service.webhook_url)
    ann = world.collaborator(REPOSITORY, "ann", "triage")
    number = ann.open_issue(REPOSITORY, bug.title, bug.body)
    ann.label(REPOSITORY, number, "patchwright")
    return number


def calls_with_results(events: list[dict[str, Any]]) -> list[str]:
    return [
        e["event"]["call_id"]
        for e in events
        if e["event"]["type"] == "tool_finished" and e["event"]["status"] != "interrupted"
    ]


def sandboxes() -> list[str]:
    client = docker.from_env()
    try:
        labels = {"label": "patchwright.run"}
        found = client.containers.list(all=True, filters=labels, ignore_removed=True)
        return [c.labels["patchwright.run"] for c in found]
    finally:
        client.close()


def everything_kept(database: Path) -> str:
    """Every row of every table, with the logs unpacked."""
    with sqlite3.connect(database) as connection:
        names = [
            n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        rows = [row for n in names for row in connection.execute(f'SELECT * FROM "{n}"')]
    parts = []
    for value in (value for row in rows for value in row):
        if isinstance(value, bytes):
            with contextlib.suppress(zlib.error):
                value = zlib.decompress(value)
            value = value.decode("utf-8", errors="replace")
        parts.append(str(value))
    return "\n".join(parts)


def test_a_label_becomes_one_proven_pull_request(
    service: Service, github_server: GithubServer, github_world: GithubWorld, tmp_path: Any
):
    world = github_world
    service.start()
    number = label_an_issue(world, service, tmp_path, ROOT_MODULES)
    [run_id] = service.wait_for(service.runs, 180, "a run")
    events = service.wait_for_end(run_id)

    [pull] = world.pulls(REPOSITORY)
    assert not pull["draft"]
    assert pull["head"]["ref"].startswith(f"patchwright/issue-{number}-")
    for part in (f"Fixes #{number}", "Root cause", "Before the change", "Hypotheses tried"):
        assert part in pull["body"], part
    diff = world.diff(REPOSITORY, pull["number"])
    assert "-    return (ordered[middle] + ordered[middle + 1]) / 2" in diff
    assert "assert median([1, 2, 3, 4, 5, 6])" in diff, "the reproduction stays as a test"

    [status] = [c for c in world.comments(REPOSITORY, number) if c["user"]["type"] == "Bot"]
    assert pull["html_url"] in status["body"]
    page = service.http.get(f"/runs/{run_id}", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "reproduction" in page.text

    kept = everything_kept(tmp_path / "state" / "patchwright.db")
    assert "gate_judged" in kept
    assert "Ran" in kept or "passed" in kept, "logs are among it"
    tokens = list(github_server.world_state.tokens)
    assert tokens
    for secret in (*tokens, github_server.webhook_secret, github_server.private_key_pem[100:160]):
        assert secret not in kept
        assert secret not in pull["body"] + status["body"] + page.text

    # The same delivery, five times at once; then after a restart.
    [labelled] = [d for d in world.deliveries("issues") if d["action"] == "labeled"]
    world.redeliver(labelled["id"], times=5)
    service.kill()
    service.start()
    world.redeliver(labelled["id"], times=2)
    world.deliveries()
    assert service.runs() == [run_id]
    assert len(world.pulls(REPOSITORY)) == 1
    assert len(events) == len(service.events(run_id)), "nothing more happened"
    assert run_id not in sandboxes()


def test_killed_in_the_middle_the_run_ends_with_one_pull_request(
    service: Service, github_world: GithubWorld, tmp_path: Any
):
    world = github_world
    service.start()
    number = label_an_issue(world, service, tmp_path, ROOT_MODULES)
    [run_id] = service.wait_for(service.runs, 180, "a run")
    seen: list[str] = []
    for wanted in (3, 7, 11):
        service.wait_for(
            lambda wanted=wanted: len(calls_with_results(service.events(run_id))) >= wanted,
            240,
            f"{wanted} results",
        )
        service.kill()
        service.start()
        now = calls_with_results(service.events(run_id))
        assert now[: len(seen)] == seen
        seen = now
    events = service.wait_for_end(run_id)

    results = calls_with_results(events)
    assert results[: len(seen)] == seen
    repeated = [call for call, times in Counter(results).items() if times > 1]
    assert repeated == [], "a call that had a result was made again"
    assert [e["seq"] for e in events] == list(range(len(events)))
    [pull] = world.pulls(REPOSITORY)
    assert f"Fixes #{number}" in pull["body"]
    bots = [c for c in world.comments(REPOSITORY, number) if c["user"]["type"] == "Bot"]
    assert len(bots) == 1
    assert Counter(a["kind"] for a in world.acts())["git/push"] == 1
    assert run_id not in sandboxes()
