"""What the App keeps of its runs, as records."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Literal

from agent.journal.events import Outcome
from agent.model import Record
from app.github.webhook_events import Trigger

Status = Literal["queued", "running", "waiting", "done"]
"""`waiting`: for the answer to a question, with no worker and no sandbox."""


Visibility = Literal["", "private", "asked", "opened"]
"""Whether a run is of a time when its repository was private (or is still): `asked` once it is
public and somebody has to decide about its pages, `opened` when everybody may see them."""


class UnknownRun(KeyError):
    """There is no such run."""


class Run(Record):
    """One run as the App knows it."""

    id: str
    repository: str
    """`owner/name` as last known."""
    repository_id: int
    """GitHub's; stays when the repository is renamed or transferred."""
    issue_number: int
    title: str
    installation_id: int
    """As last known."""
    delivery_id: str
    trigger: Trigger
    triggered_by: str
    model: str
    status: Status
    outcome: Outcome | Literal[""]
    pull_request: str
    created_at: datetime
    updated_at: datetime
    owner: str
    epoch: int
    stop_requested: bool
    round: int
    """From 1; each review or failed check that continues the run is another."""
    pull_number: int
    """Its pull request; 0: none yet."""
    closed: Literal["", "merged", "closed"]
    """What became of the pull request; empty while it is open, or there is none."""
    visibility: Visibility
    events: int
    """Length of the journal."""


class RunFilter(Record):
    """Which runs to list; empty fields filter nothing."""

    repository: str = ""
    status: Status | Literal[""] = ""
    outcome: Outcome | Literal[""] = ""


class RunPage(Record):
    """Some runs, newest first; `next` is the cursor of the page after, empty at the end."""

    runs: tuple[Run, ...]
    next: str = ""


class Accepted(Record):
    """What became of a delivery."""

    run_id: str
    how: Literal["new", "attached", "duplicate"]
    """A run of its own; attached to the issue's live run; or seen before."""


def run_id_for(repository: str, issue_number: int, delivery_id: str) -> str:
    """A run's id: the same for the same delivery, safe in URLs, container labels and branches."""
    return _short_id(f"{repository.lower()}#{issue_number}@{delivery_id}")


def check_id_for(key: str) -> str:
    """The id of a check of a repository: the same for the same key, as safe as a run's."""
    return _short_id(f"check {key}")


def proof_id_for(event_id: str) -> str:
    """The id of the proof that an event asks for, as safe as a run's."""
    return _short_id(f"proof {event_id}")


def alert_id_for(source: str, repository: str, fingerprint: str) -> str:
    """The id of an alert: the same whenever it comes again, as safe as a run's."""
    return _short_id(f"alert {source}\n{repository.lower()}\n{fingerprint}")


def night_id_for(repository_id: int, day: str) -> str:
    """The id of a repository's night: there is one a day."""
    return _short_id(f"night {repository_id} {day}")


def _short_id(key: str) -> str:
    digest = hashlib.sha256(key.encode()).digest()
    return base64.b32encode(digest[:10]).decode().lower()
