"""What `patchwright fix` was asked on the command line, checked before any work begins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from agent.journal.store import Store
from agent.task import ATTACHED, Attachment, Issue


class BadRequest(Exception):
    """An argument of `fix` cannot be used; one sentence says why."""


@dataclass(frozen=True, slots=True)
class FixRequest:
    """What was asked on the command line."""

    path: Path | None
    issue: Path | None
    out: Path | None = None
    report: Path | None = None
    test_command: str = ""
    attempts: int = 1
    logs: tuple[Path, ...] = ()
    """Logs that belong to the issue."""
    resume: str = ""
    """The run to go on with; its kept request then takes the place of all but `out`, `report`."""


def read_issue(path: Path) -> Issue:
    """The issue in a Markdown file: its first line is the title. Raises `BadRequest`."""
    try:
        text = path.read_text("utf-8").strip()
    except OSError as problem:
        raise BadRequest(f"the issue file {path} cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise BadRequest(f"the issue file {path} is not UTF-8 text") from problem
    title, _, body = text.lstrip("# \t\n").partition("\n")
    if not title.strip():
        raise BadRequest(f"the issue file {path} is empty; write a title and what goes wrong")
    return Issue(title=title.strip(), body=body.strip())


def keep_logs(store: Store, run_id: str, logs: tuple[Path, ...]) -> tuple[Attachment, ...]:
    """Keep log files for the run's `log` tool. Raises `BadRequest`."""
    attached = []
    for number, path in enumerate(logs, 1):
        try:
            data = path.read_bytes()
        except OSError as problem:
            raise BadRequest(f"the log {path} cannot be read: {problem.strerror}") from problem
        store.put_log(run_id, f"{ATTACHED}{number}", data)
        attached.append(Attachment(id=f"{ATTACHED}{number}", name=path.name, size=len(data)))
    return tuple(attached)


def check_target(path: Path) -> None:
    """Whether a result can be written there, before all the work. Raises `BadRequest`."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise BadRequest(f"the folder of {path} does not exist")
    if path.is_dir():
        raise BadRequest(f"{path} is a folder; give the name of a file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise BadRequest(f"{path} cannot be written")
