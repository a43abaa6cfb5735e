"""What Patchwright writes on GitHub, from a run's state. Pure; the words are in templates.

Everything that a template prints is escaped (`markdown_safety.inline`) unless it is `Markdown`
already, so a forgotten filter is safe, not a hole.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from agent.state import RunState
from app.markdown_safety import (
    COMMENT_LIMIT,
    Markdown,
    code,
    commit_text,
    fenced,
    fit,
    inline,
    prose,
    title_text,
)

TEMPLATES = Path(__file__).parent / "templates" / "reports"

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


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One file of a patch."""

    path: str
    added: int
    removed: int


def run_marker(run_id: str, kind: Literal["status", "pull", "diagnosis"]) -> str:
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


def patch_of(state: RunState) -> str:
    """The patch to publish: the one that was judged, else the one submitted, else nothing."""
    if state.verdict is not None and state.verdict.patch:
        return state.verdict.patch
    return state.submitted.patch if state.submitted is not None else ""


def pull_title(facts: RunFacts, state: RunState) -> str:
    """The pull request's title."""
    return title_text(f"Fix: {facts.issue_title}" if facts.issue_title else _summary(state))


def pull_body(facts: RunFacts, state: RunState) -> str:
    """The pull request's description: cause, change, proof, alternatives, risk, limits."""
    body = _render(
        "pull_request.md.j2",
        inline,
        facts=facts,
        state=state,
        draft=is_draft(state),
        files=changed_files(patch_of(state)),
        unchecked=unchecked(state),
        hypotheses=state.hypotheses[-MAX_ROWS:],
    )
    marker = run_marker(facts.run_id, "pull")
    return f"{marker}\n{fit(body, COMMENT_LIMIT - MARKER_ROOM)}"


def status_comment(facts: RunFacts, phase: str, state: RunState, pull: str = "") -> str:
    """The comment that tells how far the run is; `pull` is the pull request's address, if any."""
    body = _render(
        "status.md.j2",
        inline,
        facts=facts,
        state=state,
        pull=pull,
        done=phase == "done",
        draft=is_draft(state),
        steps=checklist(phase, state, pull),
        hypotheses=state.hypotheses[-MAX_ROWS:],
    )
    return fit(body, COMMENT_LIMIT - MARKER_ROOM)


def diagnosis_comment(facts: RunFacts, state: RunState, reason: str = "") -> str:
    """The comment for a run without a fix; `reason` says why it ended, if not the state does."""
    body = _render(
        "diagnosis.md.j2",
        inline,
        facts=facts,
        state=state,
        reason=reason or state.diagnosis,
        suspects=suspects(state),
        hypotheses=state.hypotheses[-MAX_ROWS:],
    )
    return fit(body, COMMENT_LIMIT - MARKER_ROOM)


def commit_message(facts: RunFacts, state: RunState, author: str, email: str) -> str:
    """The commit's message: a short subject, the root cause, what it fixes, the sign-off."""
    return _render(
        "commit.txt.j2",
        commit_text,
        subject=Markdown(title_text(f"Fix: {facts.issue_title or _summary(state)}", 68)),
        state=state,
        facts=facts,
        closes="Refs" if is_draft(state) else "Fixes",
        author=author,
        email=email,
    )


def checklist(phase: str, state: RunState, pull: str = "") -> tuple[Step, ...]:
    """The phases of a run, with those that are behind it. An unknown phase is before all."""
    at = PHASES.index(phase) if phase in PHASES else -1
    confirmed = any(h.verdict == "confirmed" for h in state.hypotheses)
    proven = state.verdict is not None and state.verdict.verdict == "proven"
    return (
        Step(at > PHASES.index("preparing"), "Prepare a sandbox with the repository"),
        Step(state.reproduction is not None, "Reproduce the bug"),
        Step(confirmed, "Find the root cause"),
        Step(state.submitted is not None, "Write a patch"),
        Step(proven, "Prove it in a fresh sandbox"),
        Step(bool(pull), "Open a pull request"),
    )


def unchecked(state: RunState) -> tuple[str, ...]:
    """What the proof does not cover, in sentences."""
    found = []
    repro = state.reproduction
    if repro is None or repro.why_none:
        found.append("The bug was not reproduced by a command.")
    elif repro.failures < repro.runs:
        found.append(
            f"The reproduction failed in {repro.failures} of {repro.runs} runs only: it is flaky."
        )
    command = state.started.test_command if state.started else ""
    found.append(
        f"Of the repository's tests, only those that `{command}` runs."
        if command
        else "The repository's own tests: no test command is known."
    )
    found.append("Anything that needs the network or other services: the sandbox has neither.")
    found.append("Other platforms, and other versions of the dependencies than the sandbox has.")
    return tuple(found)


def suspects(state: RunState) -> tuple[str, ...]:
    """Files (and lines) that the hypotheses not refuted name most often, at most five."""
    count: Counter[str] = Counter()
    for h in state.hypotheses:
        if h.verdict in ("open", "confirmed"):
            names = re.findall(r"[\w./-]+\.[A-Za-z]{1,4}(?::\d+)?", f"{h.claim}\n{h.evidence}")
            count.update(set(names))
    return tuple(name for name, _ in count.most_common(5))


def changed_files(patch: str) -> tuple[ChangedFile, ...]:
    """The files of a patch with their counts of lines; none when it cannot be read."""
    try:
        files = PatchSet(patch)
    except UnidiffParseError:
        return ()
    return tuple(ChangedFile(f.path, f.added, f.removed) for f in files[:MAX_ROWS])


def _summary(state: RunState) -> str:
    return state.submitted.summary.strip().split("\n")[0] if state.submitted else ""


def _render(template: str, escape: Callable[[str], str], **context: object) -> str:
    def finalize(value: object) -> str:
        return str(value) if isinstance(value, Markdown | int) else escape(str(value))

    environment = Environment(  # noqa: S701 - the output is Markdown; `finalize` escapes it all
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )
    environment.filters |= {
        "prose": prose,
        "fenced": fenced,
        "code": code,
        "inline": inline,
        "ours": Markdown,
    }
    text = environment.get_template(template).render(**context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
