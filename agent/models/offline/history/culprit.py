"""The commit that broke it: looked for with `bisect`, and read as it was, file by file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from agent.guarded_paths import GROUPS
from agent.models.offline.protocol import Result, Steps, call
from agent.models.offline.repository_view import HOME, is_test, view_whole
from agent.text.globs import matches

MOST_SUSPECTS = 4
"""So many commits are looked into where `bisect` has no certain answer."""
MOST_FILES = 6
MOST_FILES_OF_A_SUSPECT = 2
"""Files of a commit that are looked into, those first that the failing test runs."""
_WITHOUT_EFFECT = ("*.md", "*.rst", "*.lock", "*-lock.json", "*-lock.yaml", "requirements*.txt")
"""Documents; and what is installed stays as it is in the sandbox."""
_FOLDER = f"{HOME}/history"


@dataclass(frozen=True, slots=True)
class FileChange:
    """What a commit made of a file, and what the file is now."""

    path: str
    """Where it is now, or was last."""
    before: str
    after: str
    now: str
    """Each empty where there was no file, or is none."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """A commit that broke it, or one of few that may have."""

    commit: str
    """Its id, shortened."""
    certain: bool
    changes: tuple[FileChange, ...]

    @property
    def words(self) -> str:
        """How much is known, for the ledger and the diagnosis."""
        if self.certain:
            return f"Commit {self.commit} broke it: the reproduction passes before it."
        return f"Commit {self.commit} may have broken it: it changed what the failing test runs."


def commits_before(task_text: str) -> int:
    """How many commits the task says that the history holds."""
    ours = task_text.partition("\nFiles (first levels):")[0]
    told = re.search(r"^History: (\d+) commits", ours, re.M)
    return int(told.group(1)) if told else 0


def look_for_culprits(ran: Sequence[str]) -> Steps[tuple[Culprit, ...]]:
    """Bisect, and read the commit that was found, or the likeliest of those that are left.

    `ran`: the files that the failing test runs, the most suspicious first.
    """
    result = yield from call(
        "bisect", "There is a history. Did it work once, and which commit broke it?"
    )
    commits, certain = read_bisection(result)
    if not certain and not result.text.startswith(NEVER_WORKED) and len(commits) != 1:
        commits = yield from _likely(commits, ran)
    found: list[Culprit] = []
    for commit in commits:
        most = MOST_FILES if certain else MOST_FILES_OF_A_SUSPECT
        changed = yield from _read(commit, ran, most)
        found += [Culprit(commit, certain, tuple(changed))] if changed else []
    return tuple(found)


NEVER_WORKED = "It fails already at the oldest commit"


def read_bisection(result: Result) -> tuple[tuple[str, ...], bool]:
    """The commits that a bisection names, shortened, and whether it is sure of the one."""
    first = re.match(r"First bad commit: ([0-9a-f]{12})\b", result.lines[0])
    if first:
        return (first.group(1),), True
    suspects: list[str] = []
    for line in result.lines[1:] if result.lines[0].startswith("The ") else ():
        named = re.match(r"  ([0-9a-f]{12})\b", line)
        if named is None:
            break
        suspects.append(named.group(1))
    return tuple(suspects), False


def _likely(suspects: Sequence[str], ran: Sequence[str]) -> Steps[tuple[str, ...]]:
    """The last commits that changed a file which the failing test runs; of `suspects`, if any."""
    log = "git log --no-merges --follow -n 20 --format=%H"
    files = [path for path in ran if not is_left_alone(path)][:MOST_FILES]
    if not files:
        return ()
    result = yield from call(
        "bash",
        "No certain answer. Which commits changed last what the failing test runs?",
        command="cd /workspace && "
        + "; ".join(f"{log} -- {shlex.quote(path)} | cut -c 1-12" for path in files),
    )
    named = [line for line in result.lines if re.fullmatch(r"[0-9a-f]{12}", line)]
    kept = [commit for commit in dict.fromkeys(named) if not suspects or commit in suspects]
    return tuple(kept[:MOST_SUSPECTS])


def _read(commit: str, ran: Sequence[str], most: int) -> Steps[list[FileChange]]:
    git = "git -c core.quotePath=false diff -M --no-ext-diff --name-status"
    result = yield from call(
        "bash",
        "Which files did it change, and where are they now?",
        command=f"cd /workspace && {git} --diff-filter=AMDR {commit}^ {commit} && echo then"
        f" && {git} --diff-filter=RD {commit} HEAD",
    )
    chosen = read_names(result.lines, ran)[:most]
    if not chosen:
        return []
    shown = [f"mkdir -p {_FOLDER}"]
    for number, (before, after, _) in enumerate(chosen):
        for name, at, path in (("before", f"{commit}^", before), ("after", commit, after)):
            if path:
                version = shlex.quote(f"{at}:{path}")
                shown.append(f"git show {version} > {_FOLDER}/{commit}-{number}.{name}")
    yield from call(
        "bash",
        "Both versions of each, to be read whole.",
        command="cd /workspace && " + " && ".join(shown),
    )
    found = []
    for number, (before, after, now) in enumerate(chosen):
        texts = []
        for there, place, what in (
            (before, f"{_FOLDER}/{commit}-{number}.before", f"{before} before the commit."),
            (after, f"{_FOLDER}/{commit}-{number}.after", f"{after} after it."),
            (now, now, f"{now} now."),
        ):
            texts.append((yield from view_whole(place, what)) if there else "")
        if None not in texts:
            found.append(FileChange(now or after or before, *(text or "" for text in texts)))
    return found


def read_names(lines: Sequence[str], ran: Sequence[str] = ()) -> list[tuple[str, str, str]]:
    """Of each changed file its path before, after and now, without those to be left alone.

    A path is empty where there was no file, or is none.
    """
    changed: list[tuple[str, str]] = []
    moved: dict[str, str] = {}
    later = False
    for line in lines:
        status, *names = line.split("\t")
        if line == "then":
            later = True
        if not re.fullmatch(r"[AMD]|R\d+", status) or not names or names[0].startswith('"'):
            continue
        before, after = ("" if status == "A" else names[0]), ("" if status == "D" else names[-1])
        if later:
            moved[before] = after
        else:
            changed.append((before, after))
    found = [(before, after, moved.get(after, after)) for before, after in changed]
    kept = [names for names in found if not any(map(is_left_alone, filter(None, names)))]
    order = {path: number for number, path in enumerate(ran)}
    return sorted(kept, key=lambda names: (order.get(names[2], len(order)), names))


def is_left_alone(path: str) -> bool:
    """Whether a file is never brought back to what it was: tests, documents, guarded paths."""
    return is_test(path) or matches(path, _WITHOUT_EFFECT) or matches(path, _GUARDED)


_GUARDED = tuple(pattern for patterns in GROUPS.values() for pattern in patterns)
