"""What a made regression is, and how its history is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.support.agent.histories import History

BEFORE, AFTER = 12, 8
"""Commits that change something else, before the culprit and after it."""


@dataclass(frozen=True)
class Step:
    """A commit that matters: texts of whole files, and replacements that each fit once."""

    subject: str
    edits: tuple[tuple[str, str, str], ...] = ()
    files: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Regression:
    """A project whose `culprit` broke what `issue` tells."""

    name: str
    kind: str
    issue: str
    """Title in the first line."""
    start: dict[str, str]
    culprit: Step
    later: tuple[Step, ...] = ()
    hidden: str = ""
    """Tests that judge a repair: what the issue asks for, and what the commit had meant."""

    def write(self, folder: Path) -> tuple[str, str]:
        """Make the repository; the ids of the newest commit and of the culprit."""
        history = History(files=dict(self.start))
        history.commit({"docs/index.md": f"# {self.name}\n"})
        for number in range(BEFORE):
            history.commit(_elsewhere(number))
        culprit = history.commit(
            _changes(self.culprit, history.files), subject=self.culprit.subject
        )
        for number in range(AFTER):
            history.commit(_elsewhere(BEFORE + number))
            if number < len(self.later):
                step = self.later[number]
                history.commit(_changes(step, history.files), subject=step.subject)
        commits = history.write(folder)
        return commits[history.tip], commits[culprit]


def _elsewhere(number: int) -> dict[str, str | None]:
    return {f"docs/page_{number % 5}.md": f"Page, revision {number}.\n"}


def _changes(step: Step, files: dict[str, str]) -> dict[str, str | None]:
    changed: dict[str, str | None] = dict(step.files)
    for path, old, new in step.edits:
        text = changed.get(path, files[path]) or ""
        assert text.count(old) == 1, (step.subject, path, old, text.count(old))
        changed[path] = text.replace(old, new)
    return changed
