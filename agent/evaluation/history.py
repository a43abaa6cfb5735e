"""Instances out of a repository's history: which commits count, and what their tests say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from agent.evaluation.hidden import split_files
from agent.evaluation.instances import Instance
from agent.model import Record
from agent.testing.paths import is_source, is_test
from agent.testing.report import Outcome

Rejection = Literal[
    "no parent",
    "changes nothing",
    "cannot be read",
    "is not UTF-8 text",
    "changes a submodule",
    "changes no source",
    "changes no tests",
    "has no message",
    "has a binary file",
    "no tests found",
    "set-up failed",
    "network away",
    "sandbox died",
    "patch does not apply",
    "no test fails before",
    "no failing test passes after",
]
"""Why a commit gives no instance."""


class Change(Record):
    """A commit as it landed on the branch."""

    commit: str
    parent: str
    message: str
    patch: str
    unusable: Rejection | None = None
    """Why its patch could not be made into text."""


class Candidate(Record):
    """A commit that changes source and tests; nothing is proved of it yet."""

    change: Change
    statement: str
    test_patch: str
    source_patch: str


def candidate(change: Change) -> Candidate | Rejection:
    """What a commit is worth, by its text alone."""
    if not change.parent:
        return "no parent"
    if change.unusable is not None:
        return change.unusable
    parts = split_files(change.patch)
    if not parts:
        return "changes nothing"
    if any(_SUBMODULE.search(part) for _, part in parts):
        return "changes a submodule"
    tests = [(path, part) for path, part in parts if is_test(path)]
    others = [(path, part) for path, part in parts if not is_test(path)]
    if not any(is_source(path) for path, _ in others):
        return "changes no source"
    if not tests:
        return "changes no tests"
    if any("\nGIT binary patch" in part or "\nBinary files " in part for _, part in parts):
        return "has a binary file"
    statement = problem_statement(change.message)
    if not statement:
        return "has no message"
    return Candidate(
        change=change,
        statement=statement,
        test_patch="".join(part for _, part in tests),
        source_patch="".join(part for _, part in others),
    )


_SUBMODULE = re.compile(r"^(?:index [0-9a-f.]+ |(?:new|deleted) file mode )160000$", re.MULTILINE)
_TRAILER = re.compile(
    r"^(signed-off-by|co-authored-by|reviewed-by|acked-by|tested-by|change-id|cc|"
    r"reviewed-on|cherry[- ]picked from|\(cherry picked from)\b.*$",
    re.IGNORECASE,
)
_MERGE = re.compile(r"^(merge (pull request|branch|remote-tracking branch|request)\b.*)$", re.I)
_PREFIX = re.compile(r"^(?:fix|bugfix|hotfix)(?:\([^)]*\))?!?:\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\s*\((?:#|!)\d+\)$")


def problem_statement(message: str) -> str:
    """The words of a commit message that tell the problem.

    Without the merge's own first line, `fix:` in front, the number of the pull request, and
    trailers. An issue's text that was put into the message stays.
    """
    lines = [line.rstrip() for line in message.strip().splitlines()]
    if lines and _MERGE.match(lines[0]):
        lines = lines[1:]
    kept = [line for line in lines if not _TRAILER.match(line.strip())]
    text = "\n".join(kept).strip()
    title, newline, body = text.partition("\n")
    return _NUMBER.sub("", _PREFIX.sub("", title)) + newline + body


def instance_id(repo: str, commit: str) -> str:
    """`owner__name-1a2b3c4d5e6f`, of a path its last part, of an address its last two."""
    parts = repo.rstrip("/").removesuffix(".git").split("/")
    if repo.startswith("/"):
        repo = parts[-1]
    elif "://" in repo:
        repo = "/".join(parts[-2:])
    name = re.sub(r"[^A-Za-z0-9_.-]+", "__", repo).strip("_.-") or "repository"
    return f"{name[:150]}-{commit[:12]}"


def proven_instance(
    found: Candidate,
    repo: str,
    test_command: str,
    before: Mapping[str, Outcome],
    after: Sequence[Mapping[str, Outcome]],
) -> Instance | Rejection:
    """The instance if tests fail before and pass after; `after` is several runs of the same tree.

    A test counts as failing before when it ran and failed, or was not there because its file
    could not be loaded; at least one must have run and failed, since a test that cannot even be
    loaded before tells of a feature. Tests that do not pass in every run after are left out.
    """
    failing = {name for name, outcome in before.items() if outcome in ("failed", "error")}
    if not failing:
        return "no test fails before"
    passing = {
        name for name in set[str]().union(*after) if all(run.get(name) == "passed" for run in after)
    }
    if not failing & passing:
        return "no failing test passes after"
    fail_to_pass = {name for name in passing if name in failing or name not in before}
    pass_to_pass = {name for name in passing if before.get(name) == "passed"}
    return Instance(
        instance_id=instance_id(repo, found.change.commit),
        repo=repo,
        base_commit=found.change.parent,
        problem_statement=found.statement,
        test_patch=found.test_patch,
        FAIL_TO_PASS=tuple(sorted(fail_to_pass)),
        PASS_TO_PASS=tuple(sorted(pass_to_pass)),
        patch=found.source_patch,
        test_command=test_command,
    )
