"""An evaluation's folder: what is asked for, results as they come in, and the lock on it.

Results are appended and forced to disk one by one, so that a killed evaluation continues where it
was. A folder has one evaluation at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from agent.evaluation.history import Rejection
from agent.evaluation.instances import Instance, read_instances, write_instances
from agent.evaluation.results import InstanceResult, read_results
from agent.model import Record
from agent.models.replay_mode import ReplayMode
from app.storage.atomic_file import write_atomically


class FolderRefused(Exception):
    """The evaluation's folder cannot be used as it is; the message says what to do."""


class EvaluationParameters(Record):
    """What an evaluation measures; a resumed one must ask for the same."""

    model: str
    prompt_version: str
    attempts: int
    instances: str
    """Hash of the instances."""
    replay: ReplayMode | None = None
    """How merged fixes are replayed, where no model is measured."""


class MinedCommit(Record):
    """What became of one commit of a history: an instance, or why it gives none."""

    repo: str
    commit: str
    instance: Instance | None = None
    rejected: Rejection | None = None


class EvalFolder:
    """The folder, in use by this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.traces = root / "traces"

    @property
    def name(self) -> str:
        """What the evaluation is called in reports."""
        return self.root.resolve().name

    @property
    def instances_file(self) -> Path:
        """The instances, kept so that the folder explains itself."""
        return self.root / "instances.jsonl"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Make the folder and hold it. Raises `FolderRefused` when another process has it."""
        self.traces.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FolderRefused(f"another evaluation is running in {self.root}") from None
            yield

    def begin(
        self, parameters: EvaluationParameters, instances: Sequence[Instance], *, resume: bool
    ) -> None:
        """Note what is asked for, or check that it is the same. Raises `FolderRefused`."""
        kept = self.parameters()
        if kept is None:
            self.traces.mkdir(parents=True, exist_ok=True)
            write_atomically(self.instances_file, write_instances(instances))
            write_atomically(self.root / "eval.json", parameters.model_dump_json(indent=2) + "\n")
            return
        if not resume:
            raise FolderRefused(
                f"{self.root} already has an evaluation; continue it with --resume, or choose "
                "another folder with --out"
            )
        different = [
            n
            for n in EvaluationParameters.model_fields
            if getattr(kept, n) != getattr(parameters, n)
        ]
        if different:
            raise FolderRefused(
                f"the evaluation in {self.root} was started with different "
                f"{', '.join(different)}; their results do not belong in one report. Choose "
                "another folder with --out"
            )

    def parameters(self) -> EvaluationParameters | None:
        """What the evaluation in the folder measures; None without one. Raises `FolderRefused`."""
        try:
            return EvaluationParameters.model_validate_json((self.root / "eval.json").read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise FolderRefused(f"{self.root / 'eval.json'} is not from an evaluation") from None

    def kept_instances(self) -> tuple[Instance, ...]:
        """The folder's instances. Raises `BadInstances`, `OSError`."""
        return read_instances(self.instances_file.read_text("utf-8"))

    def results(self) -> dict[str, InstanceResult]:
        """Results so far; half a line at the end is cut off. Raises `FolderRefused`."""
        path = self.root / "results.jsonl"
        if not path.exists():
            return {}
        data = path.read_bytes()
        try:
            found, whole = read_results(data)
        except ValueError as problem:
            raise FolderRefused(f"{path}: {problem}") from None
        if whole < len(data):
            os.truncate(path, whole)
        return found

    def append(self, result: InstanceResult) -> None:
        """Keep a result; on return it is on disk."""
        _append_line(self.root / "results.jsonl", result)

    def mined_commits(self, repo: str) -> dict[str, MinedCommit]:
        """The commits of a repository that were looked at already, by commit.

        Half a line at the end, of a killed process, is cut off. What the network spoiled is left
        out, so that it is tried again. Raises `FolderRefused`.
        """
        path = self.root / "mined.jsonl"
        if not path.exists():
            return {}
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        try:
            lines = [MinedCommit.model_validate_json(line) for line in data[:whole].splitlines()]
        except ValidationError:
            raise FolderRefused(f"{path} has a line that is not from an evaluation") from None
        return {m.commit: m for m in lines if m.repo == repo and m.rejected != "network away"}

    def append_mined(self, mined: MinedCommit) -> None:
        """Keep what became of a commit; on return it is on disk."""
        _append_line(self.root / "mined.jsonl", mined)


def _append_line(path: Path, record: Record) -> None:
    with path.open("ab") as file:
        file.write(record.model_dump_json().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def digest(instances: Sequence[Instance]) -> str:
    """A hash of the instances."""
    return hashlib.sha256(write_instances(instances).encode()).hexdigest()[:16]
