"""A run looks for the commit that broke it, and its pull request names it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.journal.events import CommitTried, CulpritSearched
from agent.model import Model
from app.server.workflow_engine import running_engine
from tests.doubles.seeded_policy import FILES, RIGHT, WRONG
from tests.support.runs.lifecycle import check_journal, ended, start
from tests.support.runs.stored import trigger
from tests.support.runs.world import HeldModel, RunWorld, git, make_remote


class Bisecting(HeldModel):
    """Looks for the commit as soon as the bug was seen."""

    def call(self, step: int) -> tuple[str, Mapping[str, Any] | str]:
        if step == 1:
            return "bisect", {}
        return super().call(step if step == 0 else step - 1)


class World(RunWorld):
    def model(self, _run_id: str, seed: int, _waiting: object) -> Model:
        model = Bisecting(seed, self.steps, slow_commands=False)
        model.hold = self.folder / "hold"
        return model


def remote(path: Path) -> None:
    """Four commits, of which the third breaks it."""
    price = FILES["shop/prices.py"].replace(WRONG, RIGHT)
    make_remote(path, FILES | {"shop/prices.py": price})
    for number, (name, text) in enumerate(
        (("a.txt", "a"), ("shop/prices.py", FILES["shop/prices.py"]), ("b.txt", "b"))
    ):
        subject = f"Change <b>{number}</b>"
        git(
            path,
            "fast-import",
            "--quiet",
            stdin=f"commit refs/heads/main\ncommitter Eve <e@b> 1700000{number}00 +0000\n"
            f"data {len(subject)}\n{subject}\nfrom refs/heads/main^0\n"
            f"M 100644 inline {name}\ndata {len(text)}\n{text}\n",
        )


def test_the_pull_request_names_the_commit(tmp_path: Path) -> None:
    remote(tmp_path / "remote.git")
    world = World(tmp_path)
    run_id = start(world)
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert run.outcome == "proven"
    check_journal(world, run_id)
    culprit = git(world.remote, "rev-parse", "main~1").strip()
    events = [recorded.event for recorded in world.store.events(run_id)]
    (found,) = [event for event in events if isinstance(event, CulpritSearched)]
    assert (found.finding, found.commit) == ("found", culprit)
    assert any(isinstance(event, CommitTried) for event in events)
    with world.forge.world() as forge:
        (pull,) = forge["pulls"].values()
    assert f"Introduced by `{culprit[:12]}` (2023-11-14, Eve: Change" in pull["body"]
    assert "<b>" not in pull["body"]
    assert list((tmp_path / "state" / "trees").iterdir()) == []


def test_only_the_commit_is_looked_for(tmp_path: Path) -> None:
    remote(tmp_path / "remote.git")
    world = RunWorld(tmp_path)
    asked = trigger().model_copy(update={"by": "command", "goal": "culprit"})
    with world.forge.world() as forge:
        forge["set"]["role"] = "write"
    run_id = world.store.accept("d1", "issue_comment", asked, model="seeded").run_id
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert (run.outcome, run.pull_request) == ("diagnosis", "")
    check_journal(world, run_id)
    culprit = git(world.remote, "rev-parse", "main~1").strip()
    with world.forge.world() as forge:
        assert forge["pulls"] == {}
        (said,) = (text for marker, text in forge["comments"].items() if "diagnosis" in marker)
    assert f"Introduced by `{culprit[:12]}` (2023-11-14, Eve: Change" in said
    assert "<b>" not in said
    assert "### What was tried" not in said
    assert list((tmp_path / "state" / "trees").iterdir()) == []


def test_a_repository_that_wants_no_history_has_none(tmp_path: Path) -> None:
    remote(tmp_path / "remote.git")
    world = World(tmp_path, history=False)
    run_id = start(world)
    with running_engine(world.services()):
        run = ended(world, run_id)
    assert run.outcome == "proven"
    events = [recorded.event for recorded in world.store.events(run_id)]
    assert not any(isinstance(event, CulpritSearched) for event in events)
    assert not (tmp_path / "state" / "histories").exists()
