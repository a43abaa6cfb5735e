"""Hidden marks and branch names by which the App finds its own work again."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from app.publishing.facts import RunFacts


def run_marker(run_id: str, kind: Literal["status", "pull", "diagnosis", "settings"]) -> str:
    """The hidden first line of what the App writes for a run: the key to find it again."""
    return f"<!-- patchwright:{kind} run={re.sub(r'[^A-Za-z0-9._:/#-]', '_', run_id)} -->"


def branch_name(facts: RunFacts) -> str:
    """`patchwright/issue-N-slug`: letters, digits and single hyphens only."""
    plain = unicodedata.normalize("NFKD", facts.issue_title).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].strip("-")
    return f"patchwright/issue-{facts.issue_number}" + (f"-{slug}" if slug else "")


def own_branch_name(facts: RunFacts) -> str:
    """The branch used if `branch_name` has somebody else's commits: with the run's id added."""
    suffix = re.sub(r"[^a-z0-9]+", "-", facts.run_id.lower()).strip("-")[-12:].strip("-")
    return f"{branch_name(facts)}-{suffix}"


def reply_marker(run_id: str, key: str) -> str:
    """The hidden first line of the answer to one comment."""
    return f"<!-- patchwright:reply run={run_id} to={key} -->"


def round_marker(run_id: str, number: int) -> str:
    """The hidden first line of what a round says on the pull request's page."""
    return f"<!-- patchwright:round run={run_id} round={number} -->"
