"""The results of a run's steps.

Within the program they are records. The durable engine keeps each as a small flat JSON object whose
keys are fixed: runs whose steps an earlier version recorded continue with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter

from agent.journal.events import Outcome

StepJson = dict[str, str]
"""A step's result as the durable engine keeps it."""
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


@dataclass(frozen=True, slots=True)
class Done:
    """The step has nothing to pass on; in the step *authorise*: the run may start."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The step failed; the reason is written for the issue."""

    reason: str
    post_comment: bool = True
    """Whether a comment on the issue is possible and wanted."""
    stopped: bool = False
    """A person stopped the run."""
    attempt: int = 0
    """The attempt that failed, in a later round; 0: none."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The run may not start, and nobody is told."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The run does not start, and its issue says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the attempts of the first round work from."""

    base_commit: str
    base_branch: str
    clone_url: str
    attached: str = "[]"
    """The attachments as a JSON list."""
    pictures: str = "[]"
    """The images as a JSON list."""
    first: int = 1
    """Number of the next attempt. Not kept with the step: it changes when the base moved."""
    again: str = ""
    """Why there is another attempt; empty for the first. Not kept with the step either."""


@dataclass(frozen=True, slots=True)
class Debugged:
    """The attempt to take."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Published:
    """How the first round ended: with a pull request, or with what is known."""

    outcome: Outcome
    attempt: int
    pull: str = ""
    """The pull request's address; empty: there is none."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BaseMoved:
    """The base branch moved, and on its tip the patch is not proven."""

    again: str
    """What the next attempt is told about it."""
    base_commit: str
    first: int
    """Number of the next attempt."""


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """There is nothing to do in this round."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a later round works from."""

    head: str
    base_commit: str
    tree: str
    """Commit whose tree the sandboxes hold."""
    base_branch: str
    clone_url: str
    first: int
    """Number of the round's first attempt."""
    attached: str
    """Log ids of failed checks, with spaces between them."""
    at: str
    """When the round's commit is dated, in ISO form."""
    pull: str
    """The pull request's address."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """The change is on the pull request's branch."""

    attempt: int
    commit: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class BranchMoved:
    """Somebody pushed to the pull request's branch in the meantime."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a round is recorded."""

    outcome: Outcome
    attempt: int = 0
    """The attempt whose patch was taken; 0: none."""
    pull: str | None = None
    """The pull request's address; None: as the run has it."""
    reason: str = ""


ChangeResult = Pushed | Failed | BranchMoved
"""The result of a later round's change."""

StepResult = (
    Done
    | Failed
    | Denied
    | Refused
    | Prepared
    | Debugged
    | Published
    | BaseMoved
    | NothingToDo
    | Gathered
    | Pushed
    | BranchMoved
)

AnyResult = TypeVar("AnyResult", bound=StepResult)


def to_json(result: StepResult) -> StepJson:
    """A result as the durable engine keeps it."""
    match result:
        case Done():
            return {}
        case Failed(reason, post_comment, stopped, attempt):
            kept = {"failed": reason}
            kept |= {} if post_comment else {"untold": "1"}
            kept |= {"stopped": "1"} if stopped else {}
            return kept | ({"attempt": str(attempt)} if attempt else {})
        case Denied(reason):
            return {"denied": reason}
        case Refused(reason):
            return {"refused": reason}
        case Prepared(base_commit, base_branch, clone_url, attached, pictures):
            prepared = {
                "base_commit": base_commit,
                "base_branch": base_branch,
                "clone_url": clone_url,
                "attached": attached,
            }
            return prepared | ({"pictures": pictures} if pictures != "[]" else {})
        case Debugged(attempt):
            return {"attempt": str(attempt)}
        case Published(outcome, attempt, pull, reason):
            ended = {"outcome": outcome, "attempt": str(attempt)}
            return ended | ({"pull": pull} if pull else {"reason": reason})
        case BaseMoved(again, base_commit, first):
            return {"again": again, "base_commit": base_commit, "first": str(first)}
        case NothingToDo(reason):
            return {"quiet": reason}
        case Gathered():
            return {
                "head": result.head,
                "base_commit": result.base_commit,
                "tree": result.tree,
                "base_branch": result.base_branch,
                "clone_url": result.clone_url,
                "first": str(result.first),
                "attached": result.attached,
                "at": result.at,
                "pull": result.pull,
            }
        case Pushed(attempt, commit, outcome):
            return {"attempt": str(attempt), "commit": commit, "outcome": outcome}
        case BranchMoved(reason):
            return {"moved": "1", "failed": reason}


def from_json(kept: StepJson) -> StepResult:
    """The result that the durable engine kept, by the keys that only it has."""
    match kept:
        case {"quiet": reason}:
            return NothingToDo(reason)
        case {"moved": _, "failed": reason}:
            return BranchMoved(reason)
        case {"failed": reason}:
            attempt = int(kept.get("attempt", "0"))
            return Failed(reason, "untold" not in kept, "stopped" in kept, attempt)
        case {"denied": reason}:
            return Denied(reason)
        case {"refused": reason}:
            return Refused(reason)
        case {"again": again, "base_commit": base_commit, "first": first}:
            return BaseMoved(again, base_commit, int(first))
        case {"attempt": attempt, "commit": commit, "outcome": outcome}:
            return Pushed(int(attempt), commit, _outcome(outcome))
        case {"attempt": attempt, "outcome": outcome}:
            pull, reason = kept.get("pull", ""), kept.get("reason", "")
            return Published(_outcome(outcome), int(attempt), pull, reason)
        case {"head": _}:
            return Gathered(**{**kept, "first": int(kept["first"])})  # type: ignore[arg-type]
        case {"clone_url": clone_url, "base_commit": base_commit, "base_branch": branch}:
            attached, pictures = kept.get("attached", "[]"), kept.get("pictures", "[]")
            return Prepared(base_commit, branch, clone_url, attached, pictures)
        case {"attempt": attempt}:
            return Debugged(int(attempt))
        case _:
            return Done()


def _outcome(kept: str) -> Outcome:
    return _OUTCOME.validate_python(kept)
