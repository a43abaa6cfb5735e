"""What kept a patch from being published: the kinds, told from errors.

Each kind has its words in `templates/_obstacles.md.j2`. GitHub's answers have few codes, so its
sentences are matched. Sources: drafts (SWE-agent/SWE-agent#179), "must be a collaborator"
(codespell-project/codespell#3839), "Resource not accessible by integration"
(gr2m/octokit-plugin-create-pull-request#29), and GitHub's page on creating a pull request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from agent.journal.events import PublicationStep
from app.git.mirror import BranchTaken, NameInTheWay, PushRefused
from app.git.patch_check import PatchUnusable, SecretInPatch
from app.git.process import GitAway, GitDenied, GitError, GitMissing
from app.git.refusal import REFUSAL_KINDS, read_refusal, server_words
from app.github.errors import (
    ConversationLocked,
    ForgeAway,
    ForgeDenied,
    ForgeError,
    ForgeMissing,
    InstallationGone,
    InstallationSuspended,
    RateLimited,
    RepositoryArchived,
    TokenRefused,
)

OwnKind = Literal[
    "drafts",
    "no_pulls",
    "pull_permission",
    "base_gone",
    "head_gone",
    "nothing_new",
    "closed",
    "locked",
    "transferred",
    "missing",
    "suspended",
    "removed",
    "token",
    "own_secret",
    "unusable",
    "base_moved",
    "branch_moved",
    "pull_closed",
    "stopped",
    "other",
]
KINDS: tuple[str, ...] = (*REFUSAL_KINDS, *get_args(OwnKind))
"""All kinds of obstacles; `other` has only its sentence."""

WITH_SECRETS = ("secret", "own_secret")
"""Kinds at which a patch is not shown as it is, because it may hold a secret."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What kept a patch from being published. The texts are untrusted."""

    kind: str
    """One of `KINDS`."""
    detail: str = ""
    words: tuple[str, ...] = ()
    """The server's own lines."""
    places: tuple[str, ...] = ()
    """`path:line` of what the server pointed at."""

    def as_step(
        self, step: Step, *, base: str, branch: str, commit: str, change: int = 0
    ) -> PublicationStep:
        """As an event of the run's journal. `change`: as in `PublicationStep`."""
        return PublicationStep(
            attempt=0,
            step=step,
            status="refused",
            kind=self.kind,
            detail=self.detail,
            words=self.words,
            places=self.places,
            base=base,
            branch=branch,
            commit=commit,
            change=change,
        )


Step = Literal["prove", "commit", "push", "pull", "labels", "check", "reviewers", "tell"]

_SAID: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("drafts", re.compile(r"draft pull requests are not supported", re.I)),
    ("no_pulls", re.compile(r"must be a collaborator|pull requests? .*disabled", re.I)),
    ("base_gone", re.compile(r"'field': 'base'", re.I)),
    ("head_gone", re.compile(r"'field': 'head', 'code': 'invalid'", re.I)),
    ("permission", re.compile(r"permissions requested are not granted", re.I)),
    ("removed", re.compile(r"not accessible to the parent installation", re.I)),
    ("nothing_new", re.compile(r"no commits between", re.I)),
    ("unavailable", re.compile(r"repository .*(locked|disabled|migrat)", re.I)),
)


def obstacle_of(error: Exception, step: Step = "prove") -> Obstacle | None:
    """The obstacle behind an error of a step; None where waiting may help, or it is no refusal."""
    match error:
        case ForgeAway() | RateLimited() | GitAway():
            return None
        case ForgeError():
            return Obstacle(_kind_of_forge_error(error, step), str(error))
        case PushRefused():
            refusal = error.refusal
            places = tuple(f"{path}:{line}" for path, line in refusal.places)
            # Git's short reason says less than the server's own words.
            reason = "" if refusal.words else refusal.reason
            return Obstacle(refusal.kind, reason, refusal.words, places)
        case NameInTheWay():
            return Obstacle("in_the_way", str(error))
        case BranchTaken():
            return Obstacle("taken", str(error))
        case SecretInPatch():
            return Obstacle("own_secret", str(error))
        case PatchUnusable():
            return Obstacle("unusable", str(error))
        case GitDenied():
            refusal = read_refusal(error.output)
            known = refusal.kind in ("permission", "archived", "unavailable")
            return Obstacle(refusal.kind if known else "token", str(error), refusal.words)
        case GitMissing():
            # Without output it is the mirror that lacks the branch.
            kind = "missing" if error.output else "base_gone"
            return Obstacle(kind, str(error), server_words(error.output))
        case GitError():
            return Obstacle("other", str(error), server_words(error.output))
    return None


def _kind_of_forge_error(error: ForgeError, step: Step) -> str:
    match error:
        case InstallationSuspended():
            return "suspended"
        case InstallationGone():
            return "removed"
        case RepositoryArchived():
            return "archived"
        case ConversationLocked():
            return "locked"
        case TokenRefused():
            return "token"
    said = str(error)
    for kind, sign in _SAID:
        if sign.search(said):
            return kind
    if isinstance(error, ForgeDenied):
        return "pull_permission"
    if not isinstance(error, ForgeMissing):
        return "other"
    # The branch was just pushed, so the repository is there: only pull requests are not.
    return "no_pulls" if step == "pull" else "missing"
