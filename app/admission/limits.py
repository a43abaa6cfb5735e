"""How much may run: per repository, per organisation and in all, at once and within a day.

The order of runs is total (by the time they were asked for), so that every worker comes to the same
answer: of the runs that compete, the oldest ones go. Nothing is counted that a person did not get:
runs that were refused count for no day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.repo_config.effective import Bounds

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run, as far as limits are concerned."""

    run_id: str
    repository: str
    asked_at: datetime
    live: bool
    """Waiting or in work."""
    refused: bool = False
    """Ended before any work was done for it."""
    working: bool = True
    """Has a place in the engine's queue of work: runs that have none hold nobody up, else those
    with a place might wait for ever for one without."""
    begun: bool = False
    """Was let begin before, whatever its age."""
    repository_id: int = 0
    """GitHub's; 0: not known, then the name tells repositories apart."""
    installation_id: int = 0
    """The App's installation in the account that the repository belongs to; 0: not known."""

    @property
    def place(self) -> str:
        """What is the same for all runs of the repository, whatever it is called."""
        return str(self.repository_id or self.repository.casefold())

    @property
    def organisation(self) -> str:
        """What is the same for all runs of the account that the repository belongs to.

        An installation is one account's.
        """
        return str(self.installation_id or self.repository.partition("/")[0].casefold())


@dataclass(frozen=True, slots=True)
class Go:
    """The run may begin."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The run may begin once others have ended."""

    ahead: int
    """How many runs must end before it."""
    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The run must not begin."""

    reason: str
    """With the time from which another may, where there is one."""


Admission = Go | Wait | Refuse


def admit(run: QueuedRun, others: Iterable[QueuedRun], bounds: Bounds, now: datetime) -> Admission:
    """Whether a live run may begin now. `others`: live runs and those of the last day."""
    others_known = [other for other in others if other.run_id != run.run_id]
    scopes: tuple[tuple[str, Callable[[QueuedRun], bool], int, int | None], ...] = (
        (
            "for this repository",
            lambda other: other.place == run.place,
            bounds.repository_at_once,
            bounds.repository_per_day,
        ),
        (
            "for this organisation",
            lambda other: other.organisation == run.organisation,
            bounds.organisation_at_once,
            bounds.organisation_per_day or None,
        ),
        ("overall", lambda _other: True, bounds.at_once, bounds.per_day or None),
    )
    wait: Wait | None = None
    for where, within, at_once, per_day in scopes:
        rivals = [other for other in others_known if within(other) and _before(other, run)]
        if per_day is not None and (refusal := _day_is_full(rivals, per_day, where, now)):
            return refusal
        ahead = sum(other.live and other.working for other in rivals)
        must_end = ahead - at_once + 1
        if at_once and must_end > 0 and (wait is None or must_end > wait.ahead):
            wait = Wait(must_end, f"at most {_runs(at_once)} at once {where}")
    return wait or Go()


def queue_place(run: QueuedRun, others: Iterable[QueuedRun]) -> int:
    """The run's place among all that live, from 1: what the status comment shows."""
    return 1 + sum(other.live and _before(other, run) for other in others)


def _day_is_full(rivals: list[QueuedRun], per_day: int, where: str, now: datetime) -> Refuse | None:
    if per_day == 0:
        return Refuse(f"No runs are allowed {where}.")
    counted = sorted(
        other.asked_at for other in rivals if not other.refused and other.asked_at > now - DAY
    )
    if len(counted) < per_day:
        return None
    free = counted[len(counted) - per_day] + DAY
    return Refuse(
        f"The limit of {_runs(per_day)} within 24 hours {where} is reached. "
        f"Label the issue again after {free:%Y-%m-%d %H:%M} UTC."
    )


def _before(other: QueuedRun, run: QueuedRun) -> bool:
    return other.begun or (other.asked_at, other.run_id) < (run.asked_at, run.run_id)


def _runs(number: int) -> str:
    return f"{number} run" if number == 1 else f"{number} runs"
