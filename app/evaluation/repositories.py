"""Where the repositories of instances come from: a folder of mirrors, a path, or an address."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from app.git.commit_history import CommitHistories, HistoryArchive, HistoryLimits
from app.git.local import mirror_history
from app.git.mirror import Mirror
from app.git.process import GitError, run_git
from app.storage.atomic_file import atomic_file


class NoRepository(GitError):
    """An instance's repository is nowhere to be found; the message says where it was looked for."""


@dataclass(frozen=True, slots=True)
class History:
    """A repository whose commits can be read."""

    place: Path
    """Where its branches have their names."""
    git_dir: Path
    """Where git can be run without the settings of `place`."""
    branch: str


class Sources:
    """Finds repositories and gives their trees; each repository is opened once."""

    def __init__(self, scratch: Path, fetched: Path, mirrors: str = "") -> None:
        """`mirrors`: a folder, or an address to which `/owner/name.git` is put.

        Fetched repositories are kept under `fetched`, borrowed ones leave nothing behind.
        """
        self._scratch = scratch
        self._fetched = fetched
        self._mirrors = mirrors
        self._lock = asyncio.Lock()

    async def tree(self, repo: str, commit: str) -> Path:
        """A commit's tree as a tar file. Raises `GitError`."""
        out = self._scratch / f"{_key(repo)}-{commit}.tar"
        async with self._lock:
            if not out.exists():
                await asyncio.to_thread(self._write, repo, commit, out)
        return out

    async def past(self, repo: str, commit: str, limits: HistoryLimits) -> HistoryArchive | None:
        """What came before a commit, without tags that were made after it.

        None where there is too much of it. Raises `GitError`.
        """
        async with self._lock:
            return await asyncio.to_thread(self._past, repo, commit, limits)

    def _past(self, repo: str, commit: str, limits: HistoryLimits) -> HistoryArchive | None:
        mirror, _ = self._mirror(repo)
        histories = CommitHistories(mirror, self._scratch / f"{_key(repo)}-histories", limits)
        made_at = run_git(mirror.git_dir, "show", "--no-patch", "--format=%ct", commit)
        found = histories.of(commit, tags_until=int(made_at))
        return (
            found.write_tar(self._scratch / f"{_key(repo)}-{commit}-history.tar") if found else None
        )

    async def drop(self, repo: str, commit: str) -> None:
        """Delete a commit's tar file; it is made again where it is asked for."""
        async with self._lock:
            for end in ("", "-history"):
                (self._scratch / f"{_key(repo)}-{commit}{end}.tar").unlink(missing_ok=True)

    async def history(self, repo: str, branch: str) -> History:
        """A repository with all its commits; of an address, as they are now. Raises `GitError`.

        `HEAD` is what is checked out, or an address' default branch.
        """
        async with self._lock:
            return await asyncio.to_thread(self._history, repo, branch)

    def _history(self, repo: str, branch: str) -> History:
        mirror, remote = self._mirror(repo)
        if not remote:
            return History(Path(repo), mirror.git_dir, branch)
        mirror.fetch()
        if branch == "HEAD":
            branch = default_branch(run_git(mirror.git_dir, "ls-remote", "--symref", repo, "HEAD"))
        return History(mirror.git_dir, mirror.git_dir, branch)

    def _write(self, repo: str, commit: str, out: Path) -> None:
        mirror, remote = self._mirror(repo)
        with atomic_file(out) as part:
            try:
                mirror.tree_tar(commit, part)
            except GitError:
                if not remote:
                    raise
                mirror.fetch()
                mirror.tree_tar(commit, part)

    def _mirror(self, repo: str) -> tuple[Mirror, bool]:
        """The repository, and whether it can be fetched."""
        if repo.startswith(("http://", "https://")):
            return Mirror.of_remote(self._fetched, repo), True
        if self._mirrors.startswith(("http://", "https://")):
            url = f"{self._mirrors.rstrip('/')}/{repo}.git"
            return Mirror.of_remote(self._fetched, url), True
        places = candidates(repo, self._mirrors)
        for place in places:
            if place.is_dir():
                return mirror_history(place, self._scratch / _key(repo)), False
        looked = ", ".join(map(str, places)) or "nowhere"
        raise NoRepository(
            f"the repository {repo} was not found (looked at: {looked}); give the folder or "
            "URL of your mirrors with --mirrors"
        )


def candidates(repo: str, mirrors: str) -> list[Path]:
    """Where a repository may be on this machine, the most likely place first."""
    if repo.startswith("/"):
        return [Path(repo)]
    if not mirrors or ".." in Path(repo).parts:
        return []
    root, flat, name = Path(mirrors), repo.replace("/", "__"), Path(repo).name
    found = [root / form for n in (repo, flat, name) for form in (f"{n}.git", n)]
    return list(dict.fromkeys(found))


def default_branch(output: bytes) -> str:
    """The branch in what `git ls-remote --symref` printed. Raises `NoRepository`."""
    found = re.search(rb"^ref: refs/heads/(\S+)\tHEAD$", output, re.MULTILINE)
    if found is None:
        raise NoRepository("the repository has no default branch; name one with --branch")
    return found[1].decode("utf-8", "replace")


def _key(repo: str) -> str:
    return hashlib.sha256(repo.encode()).hexdigest()[:16]
