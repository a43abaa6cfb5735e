"""What `patchwright fix` keeps on disk, so that a run that broke off can go on."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from agent.journal.events import AnyEvent, Recorded
from agent.journal.state import AttemptState, fold
from agent.journal.store import NO_LOGS, MemoryStore
from agent.model import Record
from agent.task import Attachment, Issue
from app.cli.fix_request import BadRequest

FOLDER = "fixes"
"""Below the state folder."""
MOST_KEPT = 30
"""Runs whose folders are kept; the oldest goes when a new one begins."""
_RUN_ID = re.compile(r"fix-[0-9a-f]{12}")
_ENTRIES: TypeAdapter[tuple[Recorded, ...]] = TypeAdapter(tuple[Recorded, ...])


class KeptRequest(Record):
    """What a run was asked to do: enough to do it again without the person's files."""

    run_id: str
    repository: str
    """Absolute path of the folder."""
    commit: str
    issue: Issue
    test_command: str = ""
    attempts: int = 1
    attachments: tuple[Attachment, ...] = ()
    out: str = ""
    report: str = ""


class FileStore(MemoryStore):
    """`Store` of one run in a folder: a line of `journal.jsonl` for a transaction, logs as files.

    What is appended is on the disk when `append` returns; a line that a crash tore is dropped.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        super().__init__()
        self._folder, self._file = folder, folder / "journal.jsonl"
        (folder / "logs").mkdir(exist_ok=True)
        whole = 0
        data = self._file.read_bytes() if self._file.exists() else b""
        for line in data.splitlines(keepends=True):
            try:
                if not line.endswith(b"\n"):
                    break
                entries = _ENTRIES.validate_json(line)
            except ValidationError:
                break
            self._journals.setdefault(run_id, []).extend(entries)
            whole += len(line)
        if whole < len(data):
            os.truncate(self._file, whole)

    def append(
        self, run_id: str, events: Sequence[AnyEvent], logs: Mapping[str, bytes] = NO_LOGS
    ) -> tuple[Recorded, ...]:
        """Append events in one transaction, after the logs; on return they are durable."""
        recorded = super().append(run_id, events, logs)
        with self._file.open("ab") as file:
            file.write(_ENTRIES.dump_json(recorded) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return recorded

    def put_log(self, run_id: str, log_id: str, data: bytes) -> None:
        """Keep a whole output; the same id again replaces it."""
        path = self._log(log_id)
        partial = path.with_name(f"{path.name}.part")
        partial.write_bytes(data)
        partial.replace(path)

    def get_log(self, run_id: str, log_id: str) -> bytes | None:
        """A kept output, or None."""
        path = self._log(log_id)
        return path.read_bytes() if path.exists() else None

    def states(self, run_id: str, attempts: int) -> tuple[AttemptState, ...]:
        """Where each attempt stands."""
        events = [entry.event for entry in self.events(run_id)]
        numbers = range(1, attempts + 1)
        return tuple(fold(e for e in events if e.attempt == number) for number in numbers)

    def _log(self, log_id: str) -> Path:
        name = quote(log_id, safe=" ").replace(".", "%2E")
        if len(name) > 200:
            name = hashlib.sha256(log_id.encode()).hexdigest()
        return self._folder / "logs" / name


def begin(state_dir: Path, run_id: str) -> Path:
    """A new run's folder; old ones go. Raises `BadRequest`."""
    folder = state_dir / FOLDER / run_id
    try:
        folder.mkdir(mode=0o700, parents=True)
        _forget_old(state_dir / FOLDER, besides=folder)
    except OSError as problem:
        raise BadRequest(
            f"the run's journal cannot be kept in {folder} ({problem.strerror}); set "
            "PATCHWRIGHT_STATE_DIR to a folder that you may write to"
        ) from problem
    return folder


def keep(folder: Path, request: KeptRequest) -> None:
    """Write down what was asked."""
    (folder / "request.json").write_text(request.model_dump_json(indent=2), "utf-8")


def find(state_dir: Path, run_id: str) -> tuple[Path, KeptRequest]:
    """A kept run's folder and request. Raises `BadRequest`."""
    parent = state_dir / FOLDER
    folder = parent / run_id
    try:
        if not _RUN_ID.fullmatch(run_id):
            raise FileNotFoundError
        return folder, KeptRequest.model_validate_json((folder / "request.json").read_bytes())
    except FileNotFoundError:
        known = ", ".join(sorted(p.parent.name for p in parent.glob("fix-*/request.json")))
        raise BadRequest(
            f"there is no run {run_id} to resume; kept are: {known or 'none'}"
        ) from None
    except (OSError, ValidationError) as problem:
        raise BadRequest(f"what is kept of {run_id} in {folder} cannot be read") from problem


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes from going on with the same run. Raises `BadRequest`."""
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadRequest(f"{folder.name} is still running, in another process") from None
        yield


def forget(folder: Path) -> None:
    """Remove what is kept of a run."""
    shutil.rmtree(folder, ignore_errors=True)


def _forget_old(parent: Path, besides: Path) -> None:
    kept = [folder for folder in parent.glob("fix-*") if folder != besides]
    for folder in sorted(kept, key=lambda f: f.stat().st_mtime)[
        : max(0, len(kept) + 1 - MOST_KEPT)
    ]:
        try:
            with held(folder):
                forget(folder)
        except (BadRequest, OSError):
            continue
