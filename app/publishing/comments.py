"""What Patchwright writes on GitHub, from a run's state. The words are in templates.

Everything that a template prints is escaped (`app.sanitize.markdown.inline`) unless it is
`Markdown` already, so a forgotten filter is safe, not a hole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.journal.state import AttemptState
from app.github.records import Role
from app.github.webhook_events import Goal
from app.nightly.issue_text import Missing
from app.publishing.facts import PHASES, RunFacts, must_be_draft
from app.publishing.rendering import MARKER_ROOM, MAX_ROWS, PHRASES, render
from app.repo_config.parser import Problem
from app.repo_config.schema import PATH, Language
from app.sanitize.markdown import COMMENT_LIMIT, fit, inline
from app.storage.questions import KeptQuestion


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One line of the checklist in the status comment."""

    done: bool
    text: str


def status_comment(facts: RunFacts, phase: str, state: AttemptState, pull: str = "") -> str:
    """The comment that shows the run's progress; `pull` is the pull request's URL, if any."""
    body = render(
        "status.md.j2",
        inline,
        facts.language,
        facts=facts,
        state=state,
        pull=pull,
        done=phase == "done",
        draft=must_be_draft(state),
        steps=checklist(phase, state, pull, facts.language, facts.goal),
        hypotheses=state.hypotheses[-MAX_ROWS:],
    )
    return fit(body, COMMENT_LIMIT - MARKER_ROOM)


_WORKING = (
    "**Patchwright is working on this.**",
    "**Patchwright arbeitet daran.**",
    "**Patchwright waits for an answer.**",
    "**Patchwright wartet auf eine Antwort.**",
    "**Patchwright waits for approval.**",
    "**Patchwright wartet auf eine Freigabe.**",
)
"""How `status.md.j2` begins while a run is at work or waits for an answer, in each language."""


def says_working(body: str) -> bool:
    """Whether a status comment says that its run is at work."""
    return any(words in body for words in _WORKING)


def diagnosis_comment(facts: RunFacts, state: AttemptState, reason: str = "") -> str:
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


def question_comment(facts: RunFacts, kept: KeptQuestion, *, name: str, role: Role) -> str:
    """The comment that asks a question, or says how it was answered.

    `name` is how people address the App, `role` the one that they need.
    """
    body = render(
        "question.md.j2",
        inline,
        facts.language,
        facts=facts,
        kept=kept,
        name=name,
        role=role,
    )
    return fit(body, COMMENT_LIMIT - MARKER_ROOM)


def triage_comment(
    facts: RunFacts, finding: Literal["reproduced", "fixed"], state: AttemptState, commit: str = ""
) -> str:
    """What a night found of an issue that it could reproduce, now or before it was fixed.

    `commit` is the one that fixed it.
    """
    body = render(
        "triage.md.j2",
        inline,
        facts.language,
        facts=facts,
        finding=finding,
        commit=commit,
        state=state,
    )
    return fit(body, COMMENT_LIMIT - MARKER_ROOM)


def information_comment(
    facts: RunFacts, author: str, missing: Sequence[Missing], *, name: str
) -> str:
    """The one comment that asks for what an issue lacks. `name` is how people address the App."""
    body = render(
        "information.md.j2",
        inline,
        facts.language,
        facts=facts,
        author=author,
        missing=missing,
        name=name,
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
    phase: str,
    state: AttemptState,
    pull: str = "",
    language: Language = "en",
    goal: Goal = "fix",
) -> tuple[ChecklistItem, ...]:
    """The phases of a run, and which are done. An unknown phase comes before all."""
    at = PHASES.index(phase) if phase in PHASES else -1
    confirmed = any(h.verdict == "confirmed" for h in state.hypotheses)
    proven = state.verdict is not None and state.verdict.verdict == "proven"
    words = PHRASES[language]
    begun = (
        ChecklistItem(at > PHASES.index("preparing"), words.prepare),
        ChecklistItem(state.reproduction is not None, words.reproduce),
    )
    if goal == "culprit":
        found = state.culprit is not None and state.culprit.finding == "found"
        return (*begun, ChecklistItem(found, words.culprit))
    return (
        *begun,
        ChecklistItem(confirmed, words.root_cause),
        ChecklistItem(state.submitted is not None, words.patch),
        ChecklistItem(proven, words.prove),
        ChecklistItem(bool(pull), words.open_pull),
    )


def suspects(state: AttemptState) -> tuple[str, ...]:
    """Files (and lines) that unrefuted hypotheses name most often, at most five."""
    count: Counter[str] = Counter()
    for h in state.hypotheses:
        if h.verdict in ("open", "confirmed"):
            names = re.findall(r"[\w./-]+\.[A-Za-z]{1,4}(?::\d+)?", f"{h.claim}\n{h.evidence}")
            count.update(set(names))
    return tuple(name for name, _ in count.most_common(5))
