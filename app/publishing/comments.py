"""What Patchwright writes on GitHub, from a run's state. Pure; the words are in templates.

Everything that a template prints is escaped (`markdown_safety.inline`) unless it is `Markdown`
already, so a forgotten filter is safe, not a hole.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent.journal.events import UNDECIDED
from agent.journal.state import RunState
from app.publishing.rendering import render
from app.repo_config.parser import Problem
from app.repo_config.schema import PATH, Language
from app.report_words import WORDS
from app.sanitize.markdown import COMMENT_LIMIT, fit, inline

MARKER_ROOM = 200
"""Room left in a comment for its hidden marker."""

MAX_ROWS = 40
"""Most lines of one table in a report."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a report says of a run besides its state."""

    run_id: str
    repository: str
    issue_number: int
    issue_title: str
    base_branch: str
    base_commit: str
    started_at: datetime
    run_url: str = ""
    """The run's page; empty: none that people can reach."""
    budget_calls: int = 0
    """Tool calls that an attempt may make; 0: not told."""
    language: Language = "en"
    reporter: str = ""
    """The issue's author, for a Co-authored-by line; empty: none is wanted."""
    reporter_id: int = 0
    queue_place: int = 0
    """The run's place among those that wait, from 1; 0: it does not wait."""
    waits_for: str = ""
    """The limit that it waits for in the queue; else what is away."""
    gpu_seconds: float | None = None
    """Time of the model's answers, times the processors that make them; None: not told."""
    remarks: tuple[str, ...] = ()
    """Sentences about wishes of the repository that were not granted."""
    ending: str = ""
    """Why the run ended without a result, in a sentence."""
    recipe: str = ""
    """Set-up that the model found, for `.github/patchwright.yml`; empty: none was to be found."""


Phase = Literal["queued", "preparing", "debugging", "verifying", "publishing", "done"]
PHASES: tuple[Phase, ...] = (
    "queued",
    "preparing",
    "debugging",
    "verifying",
    "publishing",
    "done",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the checklist in the status comment."""

    done: bool
    text: str


def run_marker(run_id: str, kind: Literal["status", "pull", "diagnosis", "settings"]) -> str:
    """The hidden first line of what the App writes for a run: the key to find it again."""
    return f"<!-- patchwright:{kind} run={re.sub(r'[^A-Za-z0-9._:/#-]', '_', run_id)} -->"


def branch_name(facts: RunFacts) -> str:
    """`patchwright/issue-N-slug`: letters, digits and single hyphens only."""
    plain = unicodedata.normalize("NFKD", facts.issue_title).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].strip("-")
    return f"patchwright/issue-{facts.issue_number}" + (f"-{slug}" if slug else "")


def own_branch_name(facts: RunFacts) -> str:
    """The branch for when `branch_name` holds somebody else's commits: the run's id is added."""
    suffix = re.sub(r"[^a-z0-9]+", "-", facts.run_id.lower()).strip("-")[-12:].strip("-")
    return f"{branch_name(facts)}-{suffix}"


def is_draft(state: RunState) -> bool:
    """Whether a pull request of this state must be a draft: the gate did not prove the patch."""
    return state.verdict is None or state.verdict.verdict != "proven"


def is_undecided(state: RunState) -> bool:
    """Whether the gate held, and only the model itself cannot tell its fix from another."""
    failed = {c.name for c in state.verdict.checks if not c.ok} if state.verdict else set()
    return failed == {UNDECIDED}


def patch_of(state: RunState) -> str:
    """The patch to publish: the one that was judged, else the one submitted, else nothing."""
    if state.verdict is not None and state.verdict.patch:
        return state.verdict.patch
    return state.submitted.patch if state.submitted is not None else ""


def status_comment(facts: RunFacts, phase: str, state: RunState, pull: str = "") -> str:
    """The comment that tells how far the run is; `pull` is the pull request's address, if any."""
    body = render(
        "status.md.j2",
        inline,
        facts.language,
        facts=facts,
        state=state,
        pull=pull,
        done=phase == "done",
        draft=is_draft(state),
        steps=checklist(phase, state, pull, facts.language),
        hypotheses=state.hypotheses[-MAX_ROWS:],
    )
    return fit(body, COMMENT_LIMIT - MARKER_ROOM)


def diagnosis_comment(facts: RunFacts, state: RunState, reason: str = "") -> str:
    """The comment for a run without a fix; `reason` says why it ended, if not the state does."""
    body = render(
        "diagnosis.md.j2",
        inline,
        facts.language,
        facts=facts,
        state=state,
        reason=reason or state.diagnosis,
        suspects=suspects(state),
        hypotheses=state.hypotheses[-MAX_ROWS:],
    )
    return fit(body, COMMENT_LIMIT - MARKER_ROOM)


def settings_comment(problems: Sequence[Problem], *, stopped: bool, language: Language) -> str:
    """The comment that names each mistake in the settings' files."""
    body = render(
        "settings.md.j2",
        inline,
        language,
        problems=problems[:MAX_ROWS],
        path=PATH,
        stopped=stopped,
    )
    return fit(body, COMMENT_LIMIT - MARKER_ROOM)


def checklist(
    phase: str, state: RunState, pull: str = "", language: Language = "en"
) -> tuple[Step, ...]:
    """The phases of a run, with those that are behind it. An unknown phase is before all."""
    at = PHASES.index(phase) if phase in PHASES else -1
    confirmed = any(h.verdict == "confirmed" for h in state.hypotheses)
    proven = state.verdict is not None and state.verdict.verdict == "proven"
    words = WORDS[language]
    return (
        Step(at > PHASES.index("preparing"), words.prepare),
        Step(state.reproduction is not None, words.reproduce),
        Step(confirmed, words.root_cause),
        Step(state.submitted is not None, words.patch),
        Step(proven, words.prove),
        Step(bool(pull), words.open_pull),
    )


def suspects(state: RunState) -> tuple[str, ...]:
    """Files (and lines) that the hypotheses not refuted name most often, at most five."""
    count: Counter[str] = Counter()
    for h in state.hypotheses:
        if h.verdict in ("open", "confirmed"):
            names = re.findall(r"[\w./-]+\.[A-Za-z]{1,4}(?::\d+)?", f"{h.claim}\n{h.evidence}")
            count.update(set(names))
    return tuple(name for name, _ in count.most_common(5))
