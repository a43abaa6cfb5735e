"""What a mirror knows of a commit's ancestors: their parents, number, tags, and packed objects.

A history may be cut: `shallow` is then git's file with the commits whose parents are left out.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.bisection.records import Commit
from app.git.mirror import Mirror
from app.git.process import MOST_OUTPUT, GitFailed, GitMissing, run_git

LATEST = 253_402_300_799
"""The last second of the year 9999, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A name for a commit."""

    name: str
    id: str
    """Its own object's, or the commit's where it has none."""
    commit: str
    made_at: int
    """Seconds since 1970; the commit's time where the tag has none of its own."""


def log(mirror: Mirror, commit: str, most: int, after: str = "") -> list[Commit]:
    """A commit and its newest ancestors, no parent before its child.

    With `after`, without that ancestor and all before it.
    """
    form = "--format=%H%x00%P%x00%an%x00%ct%x00%s"
    wanted = (commit, f"^{after}") if after else (commit,)
    told = _git(mirror, "log", "--topo-order", f"--max-count={most}", form, *wanted)
    found = []
    for line in told.decode("utf-8", "replace").split("\n"):
        if line:
            own, above, author, at, subject = line.split("\0", 4)
            found.append(
                Commit(
                    id=own,
                    parents=tuple(above.split()),
                    author=author,
                    at=int(at or 0),  # a broken commit has none
                    subject=subject,
                )
            )
    return found


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]*")
_ID = re.compile(r"[0-9a-f]{7,64}")


def named(mirror: Mirror, name: str) -> str:
    """The commit of a tag, a branch or an id of at least 7 digits; not of any expression.

    Raises `GitMissing`.
    """
    places = [f"refs/tags/{name}", f"refs/heads/{name}"] if _NAME.fullmatch(name) else []
    for place in [*places, name] if _ID.fullmatch(name) else places:
        asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{place}^{{commit}}")
        with contextlib.suppress(GitFailed):
            return _git(mirror, *asked).decode().strip()
    raise GitMissing(f"There is no commit, tag or branch {name!r} in the repository.")


def touching(mirror: Mirror, commit: str, paths: Sequence[str], most: int) -> list[str]:
    """Which of a commit's newest ancestors changed one of these files."""
    listed = ("rev-list", f"--max-count={most}", commit, "--", *paths)
    return _git(mirror, *listed, environment={"GIT_LITERAL_PATHSPECS": "1"}).decode().split()


def follows(mirror: Mirror, earlier: str, commit: str) -> bool:
    """Whether a commit of the mirror is another's ancestor, or that commit itself."""
    try:
        _git(mirror, "merge-base", "--is-ancestor", earlier, commit)
    except GitFailed:  # or unknown here: the mirror was made anew
        return False
    return True


def cut_at(mirror: Mirror) -> list[str]:
    """Commits at which the mirror's own history ends, as that of a shallow clone does."""
    try:
        return (mirror.git_dir / "shallow").read_text().split()
    except FileNotFoundError:
        return []


def parents(mirror: Mirror, commits: Sequence[str], *, most: int) -> dict[str, list[str]]:
    """The parents of these commits, and of up to `most` of their newest ancestors."""
    tips = "".join(f"{each}\n" for each in commits).encode()
    # Those that are asked for come first, whatever their dates are.
    asked = _git(mirror, "rev-list", "--no-walk", "--parents", "--stdin", stdin=tips)
    more = _git(mirror, "rev-list", "--parents", f"--max-count={most}", "--stdin", stdin=tips)
    found = {}
    for line in (asked + more).decode().splitlines():
        commit, *above = line.split()
        found[commit] = above
    return found


def ancestors(mirror: Mirror, commit: str, shallow: Path | None) -> list[str]:
    """A commit and its ancestors, the newest first."""
    return _git(mirror, "rev-list", commit, shallow=shallow).decode().split()


def latest(mirror: Mirror, commit: str, most: int) -> list[str]:
    """A commit and those before it on its own branch, the newest first; so many at most."""
    asked = ("rev-list", "--first-parent", f"--max-count={most}", commit)
    return _git(mirror, *asked).decode().split()


def since(mirror: Mirror, earlier: str, commit: str, most: int) -> list[str]:
    """A commit and its ancestors that another has not, the newest first; so many at most."""
    return _git(mirror, "rev-list", f"--max-count={most}", commit, f"^{earlier}").decode().split()


def count(mirror: Mirror, earlier: str, commit: str, shallow: Path | None) -> int:
    """How many commits there are since an ancestor."""
    return int(_git(mirror, "rev-list", "--count", commit, f"^{earlier}", shallow=shallow))


def first_parents(mirror: Mirror, commit: str, most: int) -> list[str]:
    """A commit and those before it on its own line of work, the newest first; so many at most."""
    listed = ("rev-list", "--first-parent", f"--max-count={most}", commit)
    return _git(mirror, *listed).decode().split()


def saying(
    mirror: Mirror, earlier: str, commit: str, words: Sequence[str], most: int
) -> list[tuple[str, int, str]]:
    """Commits since an ancestor whose messages have one of these words, the oldest first.

    Each with its time in seconds since 1970 and its message; the newest so many at most.
    """
    wanted = [f"--grep={each}" for each in words]
    told = _git(
        mirror,
        *("log", "-z", "--topo-order", "--reverse", "--fixed-strings", "--regexp-ignore-case"),
        *wanted,
        f"--max-count={most}",
        "--format=tformat:%H %ct%n%B",
        commit,
        f"^{earlier}",
    )
    found = []
    for entry in told.decode("utf-8", "replace").split("\0"):
        head, _, message = entry.partition("\n")
        own, _, at = head.strip().partition(" ")
        if own:
            # Whoever made a commit wrote its time, which may be of a year that no calendar has.
            found.append((own, min(int(at or 0), LATEST), message.strip()))
    return found


def tags(mirror: Mirror, commit: str = "") -> list[Tag]:
    """The tags of a commit and its ancestors, the newest first; without one, all tags."""
    form = (
        "%(objectname) %(*objectname) %(objecttype) %(*objecttype) %(creatordate:unix) %(refname)"
    )
    listed = _git(
        mirror,
        "for-each-ref",
        *([f"--merged={commit}"] if commit else ()),
        "--sort=-creatordate",
        f"--format={form}",
        "refs/tags/",
    )
    found = []
    for line in listed.decode("utf-8", "surrogateescape").splitlines():
        own, target, kind, target_kind, at, name = line.split(" ", 5)
        tagged = {"commit": own, "tag": target if target_kind == "commit" else ""}.get(kind)
        if tagged:
            found.append(Tag(name.removeprefix("refs/tags/"), own, tagged, int(at or 0)))
    return found


def newest_tag(mirror: Mirror, commit: str, versions: Sequence[str]) -> Tag | None:
    """The newest tag of a commit or its ancestors that is called like one of these versions."""
    for tag in tags(mirror, commit) if versions else ():
        if re.sub(r"^\D*", "", tag.name) in versions:
            return tag
    return None


def pack(
    mirror: Mirror, revisions: Sequence[str], base_name: Path, shallow: Path | None, most_bytes: int
) -> None:
    """Pack all objects of these revisions into `base_name-….pack` with its index.

    Raises `GitTooMuch` beyond that many bytes.
    """
    _git(
        mirror,
        "pack-objects",
        "--revs",
        "--quiet",
        "--delta-base-offset",
        str(base_name),
        stdin="".join(f"{each}\n" for each in revisions).encode(),
        shallow=shallow,
        most_output=most_bytes,
    )


def write_index(mirror: Mirror, commit: str, out: Path, sparse: Sequence[str]) -> None:
    """Write git's index for a checkout of the commit, or of these paths of it."""
    where = {"GIT_INDEX_FILE": str(out)}
    _git(mirror, "read-tree", commit, environment=where)
    if not sparse:
        return
    listed = _git(mirror, "ls-files", "-z", environment=where)
    inside = tuple(f"{path.rstrip('/')}/".encode() for path in sparse)
    absent = [name for name in listed.split(b"\0") if not (name + b"/").startswith(inside)]
    with tempfile.TemporaryDirectory() as nothing:
        _git(
            mirror,
            *("update-index", "--skip-worktree", "-z", "--stdin"),
            stdin=b"\0".join(absent),
            environment=where | {"GIT_WORK_TREE": nothing},
        )


def _git(
    mirror: Mirror,
    *arguments: str,
    stdin: bytes = b"",
    shallow: Path | None = None,
    environment: dict[str, str] | None = None,
    most_output: int = MOST_OUTPUT,
) -> bytes:
    cut = {"GIT_SHALLOW_FILE": str(shallow)} if shallow else {}
    return run_git(
        mirror.git_dir,
        *arguments,
        stdin=stdin,
        environment=cut | (environment or {}),
        timeout_s=mirror.limits.command_s,
        most_memory=mirror.limits.memory_bytes,
        most_output=most_output,
    )
