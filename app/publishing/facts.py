"""What reports say about a run besides its state: the repository's preferences, reporter, cost.

Kept with the run when it begins, so that what a report says does not change in its middle and can
be said again after a crash without asking GitHub.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent.evaluation.cost import gpu_seconds
from agent.journal.events import UNDECIDED, AnyEvent, CiRerun, ModelTurned
from agent.journal.state import AttemptState
from agent.model import Record
from app.conventions.messages import MessageStyle
from app.github.records import IssueThread, ReviewRules
from app.github.webhook_events import Goal
from app.repo_config.effective import EffectiveConfig
from app.repo_config.schema import Language
from app.settings.schema import Settings
from app.storage.records import Run

FACTS_LOG = "facts"
"""Log id under which they are kept."""
RECIPE_LOG = "recipe"
"""Log id under which a set-up is kept that the model found."""


class ReportPreferences(Record):
    """The repository's preferences for reports, and for its run."""

    language: Language = "en"
    remarks: tuple[str, ...] = ()
    """What the repository asked for but does not get."""
    reporter: str = ""
    """Named as a co-author; empty: not wanted."""
    reporter_id: int = 0
    title_prefix: str = ""
    """What the titles of pull requests begin with."""
    title_template: str = ""
    """How they are made (`app.repo_config.title_template`); empty: as they are."""
    co_author_requester: bool = False
    """Whether who asked for the run is named as a co-author, too."""
    budget_calls: int = 0
    model: str = ""
    """Name of the model profile; empty: the operator's."""
    ladder: tuple[str, ...] = ()
    """Profiles that take their turns, `attempts` attempts each; empty: `model` alone."""
    attempts: int = 1

    def model_of(self, attempt: int) -> str:
        """The profile of an attempt, by its number; those after the ladder use its last one."""
        if not self.ladder:
            return self.model
        return self.ladder[min((attempt - 1) // self.attempts, len(self.ladder) - 1)]


def preferences_of(config: EffectiveConfig, thread: IssueThread) -> ReportPreferences:
    """The preferences for a run on this issue. A bot is nobody's co-author."""
    named = config.pull_request.co_author_reporter and thread.author_is_person
    return ReportPreferences(
        language=config.language,
        remarks=config.remarks,
        reporter=thread.author if named else "",
        reporter_id=thread.author_id if named else 0,
        title_prefix=config.pull_request.title_prefix,
        title_template=config.pull_request.title,
        co_author_requester=config.pull_request.co_author_requester,
        budget_calls=config.budget.calls,
        model=config.model,
        ladder=config.ladder if len(config.ladder) > 1 else (),
        attempts=config.attempts,
    )


def read_preferences(kept: bytes | None) -> ReportPreferences:
    """The stored preferences; the defaults for a run that has not started."""
    return ReportPreferences.model_validate_json(kept) if kept else ReportPreferences()


def facts_of(
    settings: Settings,
    run: Run,
    preferences: ReportPreferences,
    *,
    model_s: float = 0.0,
    cost: str = "",
    recipe: str = "",
    degraded: str = "",
    message: MessageStyle = MessageStyle(),  # noqa: B008 - frozen
) -> RunFacts:
    """The facts of a run whose base is not known yet. `model_s`: seconds that the
    model took to answer.
    """
    counted = settings.gpus_per_stream > 0
    return RunFacts(
        run_id=run.id,
        repository=run.repository,
        issue_number=run.issue_number,
        issue_title=run.title,
        base_branch="",
        base_commit="",
        started_at=run.created_at,
        repository_url=f"{settings.github_web_url}/{run.repository}",
        run_url=f"{settings.public_url}/runs/{run.id}" if settings.public_url else "",
        budget_calls=preferences.budget_calls or settings.budget_calls,
        language=preferences.language,
        reporter=preferences.reporter,
        reporter_id=preferences.reporter_id,
        goal=run.trigger.goal,
        requester=run.triggered_by,
        requester_id=run.trigger.sender_id,
        title_prefix=preferences.title_prefix,
        title_template=preferences.title_template,
        co_author_requester=preferences.co_author_requester,
        remarks=preferences.remarks,
        gpu_seconds=gpu_seconds(model_s, settings.prices) if counted else None,
        cost=cost,
        recipe=recipe,
        degraded=degraded,
        message=message,
        repository_id=run.repository_id,
    )


def model_seconds(events: Iterable[AnyEvent]) -> float:
    """How long the model took to answer, in all."""
    return sum(event.duration_ms for event in events if isinstance(event, ModelTurned)) / 1000


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a report says about a run besides its state."""

    run_id: str
    repository: str
    issue_number: int
    issue_title: str
    base_branch: str
    base_commit: str
    started_at: datetime
    repository_url: str = ""
    """The repository's page at GitHub; empty: not known."""
    run_url: str = ""
    """The run's page; empty: none that people can reach."""
    budget_calls: int = 0
    """Tool calls that an attempt may make; 0: unknown."""
    language: Language = "en"
    reporter: str = ""
    """The issue's author, for a Co-authored-by line; empty: none is wanted."""
    reporter_id: int = 0
    goal: Goal = "fix"
    requester: str = ""
    """Who asked for the run; empty: nobody did."""
    title_prefix: str = ""
    """What the pull request's title begins with."""
    title_template: str = ""
    """How it is made; empty: as it is."""
    requester_id: int = 0
    co_author_requester: bool = False
    """Whether the requester is to be named in a Co-authored-by line."""
    queue_place: int = 0
    """The run's place in the queue, from 1; 0: it is not waiting."""
    waits_for: str = ""
    """The limit that it waits for in the queue; else what is unavailable."""
    gpu_seconds: float | None = None
    """Time of the model's answers, times the processors that make them; None: not told."""
    cost: str = ""
    """What the run cost so far, and may; empty: not told, or nothing has a price."""
    remarks: tuple[str, ...] = ()
    """Sentences about settings of the repository that were not granted."""
    ending: str = ""
    """Why the run ended without a result, in a sentence."""
    recipe: str = ""
    """Set-up that the model found, for `.github/patchwright.yml`; empty: none was to be found."""
    no_drafts: bool = False
    """Whether the pull request should be a draft, but GitHub offers none there."""
    unpublished: bool = False
    """Whether the run ended with a patch that could not be published."""
    message: MessageStyle = MessageStyle()  # noqa: RUF009 - frozen
    """How the project words its commits."""
    degraded: str = ""
    """Why the environment is less than the repository needs, in sentences; empty: it is not."""
    reviews: ReviewRules = ReviewRules()  # noqa: RUF009 - frozen
    """What the base branch asks of a pull request's reviews."""
    reruns: tuple[CiRerun, ...] = ()
    """Failed CI jobs of the pull request that were run again, each as it stands."""
    repository_id: int = 0
    """GitHub's; 0: not known."""
    judged_at: datetime | None = None
    """When the gate judged the patch that is told of; None: not known."""


Phase = Literal["queued", "preparing", "debugging", "verifying", "publishing", "done"]


PHASES: tuple[Phase, ...] = (
    "queued",
    "preparing",
    "debugging",
    "verifying",
    "publishing",
    "done",
)


def must_be_draft(state: AttemptState) -> bool:
    """Whether a pull request of this state must be a draft: the gate did not prove the patch."""
    return state.verdict is None or state.verdict.verdict != "proven"


def is_undecided(state: AttemptState) -> bool:
    """Whether the gate passed, and only the model itself cannot choose between two fixes."""
    failed = {c.name for c in state.verdict.checks if not c.ok} if state.verdict else set()
    return failed == {UNDECIDED}


def patch_of(state: AttemptState) -> str:
    """The patch to publish: the one that was judged, else the one submitted, else nothing."""
    if state.verdict is not None and state.verdict.patch:
        return state.verdict.patch
    return state.submitted.patch if state.submitted is not None else ""
