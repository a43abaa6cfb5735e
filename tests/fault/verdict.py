"""What must hold at the end, whatever went wrong on the way: counted from what is left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.journal.events import PublicationStep, RunEnded, SandboxOpened, ToolFinished, ToolStarted
from app.storage import audit
from app.storage.records import Run
from app.storage.store import SqlStore
from sandbox.spec import RUN_LABEL
from tests.fault.house import House, Issue, sandboxes

_MARKER = re.compile(r"<!-- patchwright:[^>]*-->")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Figures to be printed, and what must not be."""

    figures: dict[str, str]
    wrong: dict[str, list[str]]
    """By what was counted; each must be empty."""

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.wrong.values())


def judge(house: House, store: SqlStore, issues: Sequence[Issue]) -> Verdict:
    """Look at the database, at GitHub and at nothing else."""
    runs = store.list_runs(limit=200).runs
    by_issue: dict[Issue, list[Run]] = {issue: [] for issue in issues}
    for run in runs:
        by_issue[Issue(run.repository_id, run.issue_number)].append(run)
    labelled = [d for d in house.world.deliveries("issues") if d["action"] == "labeled"]
    # One delivery may have been tried several times; the tries share an id.
    tries: dict[str, list[int]] = {}
    for delivery in labelled:
        tries.setdefault(delivery["guid"], []).append(delivery["status_code"])
    acknowledged = [guid for guid, codes in tries.items() if any(c < 300 for c in codes)]
    journals = [Journal(store, run) for run in runs]
    wrong = {
        "deliveries without exactly one outcome": [
            f"{issue}: {[(run.id, run.status, run.outcome) for run in found]}"
            for issue, found in by_issue.items()
            if len(found) != 1 or found[0].status != "done" or not found[0].outcome
        ],
        # Without faults the stand-in's model always gets there.
        "proven and not published": [
            run.id for run in runs if run.outcome == "proven" and not run.pull_request
        ],
        "runs that were kept from their proof": [
            f"{run.id}: {run.outcome}" for run in runs if run.outcome != "proven"
        ],
        "duplicate or missing pull requests": [],
        "duplicate comments": [],
        "duplicate or stray branches": [],
        "journals with gaps or without an end for their rounds": [
            j.run.id for j in journals if j.gaps or not 1 <= j.ends <= j.run.round
        ],
        "calls made again although their result was kept": [
            f"{j.run.id} {call}" for j in journals for call in j.again
        ],
    }
    for issue, found in by_issue.items():
        _look_at_github(house, issue, found, wrong)
    outcomes = Counter(run.outcome or run.status for run in runs)
    acts = Counter(act["kind"] for act in house.world.acts())
    figures = {
        "deliveries": f"{len(tries)}, {len(acknowledged)} of them acknowledged at once",
        "runs": f"{len(runs)}: " + ", ".join(f"{n} {name}" for name, n in outcomes.items()),
        "journal entries": str(sum(len(j.entries) for j in journals)),
        "claims of a run, most": f"{sum(r.epoch for r in runs)}, {max(r.epoch for r in runs)}",
        "taken over by another worker": str(_takeovers(store)),
        "publications that were refused": str(sum(j.refused for j in journals)),
        "sandboxes built again": str(sum(j.rebuilt for j in journals)),
        "calls that were interrupted": str(sum(j.interrupted for j in journals)),
        "pull requests, pushes, comments": f"{acts['pulls/create']}, {acts['git/push']}, "
        f"{acts['issues/create-comment']}",
    }
    return Verdict(figures, wrong)


class Journal:
    """One run's journal, counted through."""

    def __init__(self, store: SqlStore, run: Run) -> None:
        self.run = run
        self.entries = store.events(run.id)
        events = [entry.event for entry in self.entries]
        self.gaps = [e.seq for e in self.entries] != list(range(len(self.entries)))
        self.ends = sum(isinstance(event, RunEnded) for event in events)
        self.rebuilt = sum(isinstance(e, SandboxOpened) and e.reason == "rebuilt" for e in events)
        self.refused = sum(
            isinstance(event, PublicationStep) and event.status == "refused" for event in events
        )
        self.interrupted = 0
        self.again: list[str] = []
        finished: set[str] = set()
        for event in events:
            if isinstance(event, ToolStarted | ToolFinished) and event.call_id in finished:
                self.again.append(event.call_id)
            if isinstance(event, ToolFinished):
                finished.add(event.call_id)
                self.interrupted += event.status == "interrupted"


def _look_at_github(
    house: House, issue: Issue, runs: Sequence[Run], wrong: dict[str, list[str]]
) -> None:
    name = house.names[issue.repository]
    stem = f"patchwright/issue-{issue.number}-"
    heads = [pull["head"]["ref"] for pull in house.world.pulls(name)]
    mine = [head for head in heads if head.startswith(stem)]
    wanted = sum(run.outcome == "proven" for run in runs)
    if len(mine) != wanted:
        wrong["duplicate or missing pull requests"].append(f"{issue}: {mine}, not {wanted}")
    owner = house.world.collaborator(name, "ann", "triage")
    branches = [
        branch["name"]
        for branch in owner.call("GET", f"/repos/{name}/branches?per_page=100")
        if branch["name"].startswith(stem)
    ]
    if sorted(branches) != sorted(mine):
        wrong["duplicate or stray branches"].append(f"{issue}: {branches}, pulls of {mine}")
    said = [
        _MARKER.findall(comment["body"])[:1]
        for comment in house.world.comments(name, issue.number)
        if comment["user"]["type"] == "Bot"
    ]
    doubled = [marker for marker, times in Counter(map(str, said)).items() if times > 1]
    if doubled or not said:
        wrong["duplicate comments"].append(f"{issue}: {doubled or 'no comment at all'}")


def _takeovers(store: SqlStore) -> int:
    return sum(entry.action == "takeover" for entry in audit.entries(store.database, 1000))


def orphans(docker_url: str, installations: Sequence[str]) -> list[str]:
    """Containers of these Patchwrights that are left on the engine."""
    return [
        f"{container.name} of run {container.labels.get(RUN_LABEL)}"
        for container in sandboxes(docker_url, installations)
    ]
