"""A database and a queue of an earlier version, opened with a run in mid-flight: it goes on.

`tests/data/run_in_mid_flight.json` holds both SQLite files as SQL, as the last version with a flat
`app/` wrote them. Three runs were given to it with one place in the queue: the first ended, the
second was in the middle of its attempt (six tool calls done) when the process was killed, and the
third waited. Their repository was known by its name then. Module paths, class names and the results
of steps must not have mattered.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from pathlib import Path

from agent.journal.events import ToolFinished
from app.server.workflow_engine import running_engine
from tests.support.runs.lifecycle import check_journal, ended
from tests.support.runs.world import RunWorld

KEPT = json.loads((Path(__file__).parents[3] / "data" / "run_in_mid_flight.json").read_text())


MOMENT = re.compile(r"\b1[5-9]\d{14}\b|\b1[5-9]\d{11}\b")
"""A moment as the databases hold it: micro- or milliseconds since 1970."""


def as_of_now(scripts: dict[str, str]) -> dict[str, str]:
    """The same databases, written just now: a run may take only so many hours."""
    found = [int(m) for text in scripts.values() for m in MOMENT.findall(text) if len(m) == 16]
    later_ms = int(time.time() * 1000) - max(found) // 1000

    def moved(moment: re.Match[str]) -> str:
        unit = 1000 if len(moment[0]) == 16 else 1
        return str(int(moment[0]) + later_ms * unit)

    return {name: MOMENT.sub(moved, text) for name, text in scripts.items()}


def earlier_world(folder: Path) -> RunWorld:
    """The world as the killed process left it."""
    state = folder / "state"
    state.mkdir()
    names = ("patchwright.db", "engine.db")
    for name, script in as_of_now({name: "\n".join(KEPT[name]) for name in names}).items():
        connection = sqlite3.connect(state / name)
        connection.executescript(script.replace("@FOLDER@", str(folder)))
        connection.close()
    (folder / "forge.json").write_text(json.dumps(KEPT["forge.json"]))
    return RunWorld(folder, concurrency=1, worker_concurrency=1)


def test_runs_of_the_previous_version_continue(tmp_path: Path) -> None:
    world = earlier_world(tmp_path)
    done, debugging, queued = (KEPT["runs"][name] for name in ("done", "debugging", "queued"))
    journal = world.store.events(debugging)
    assert sum(isinstance(entry.event, ToolFinished) for entry in journal) == 6
    # The repository was renamed since: a label on an issue in work still finds its run.
    run = world.store.get_run(queued)
    assert run.repository_id == run.trigger.repository_id
    asked = run.trigger.model_copy(update={"repository": "octo/sums"})
    accepted = world.store.accept("renamed", "issues", asked, model="m")
    assert (accepted.run_id, accepted.how) == (queued, "attached")
    assert world.store.get_run(debugging).repository == "octo/sums"
    before = world.store.get_run(done)
    assert (before.status, before.outcome) == ("done", "proven")
    with running_engine(world.services()):
        first, second = ended(world, debugging), ended(world, queued)
    assert (first.outcome, second.outcome) == ("proven", "proven")
    for run_id in (debugging, queued):
        check_journal(world, run_id)
    assert world.store.events(debugging)[: len(journal)] == journal
    assert world.store.get_run(done) == before
    with world.forge.world() as forge:
        assert len(forge["pulls"]) == 3
        assert forge["acts"].count("open pull") == 3
        assert forge["acts"].count("react eyes") == 3
