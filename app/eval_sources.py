"""Where the repositories of instances come from: a folder of mirrors, a path, or an address."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from app.git_process import GitError
from app.local_repository import mirror_history
from app.mirror import Mirror


class NoRepository(GitError):
    """An instance's repository is nowhere to be found; the message says where it was looked for."""


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

    def _write(self, repo: str, commit: str, out: Path) -> None:
        mirror, remote = self._mirror(repo)
        part = out.with_suffix(".part")
        try:
            mirror.tree_tar(commit, part)
        except GitError:
            if not remote:
                raise
            mirror.fetch()
            mirror.tree_tar(commit, part)
        part.rename(out)

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
            f"the repository {repo} was not found (looked at: {looked}); name the folder or the "
            "address of your mirrors with --mirrors"
        )


def candidates(repo: str, mirrors: str) -> list[Path]:
    """Where a repository may stand on this machine, the likeliest first. Pure."""
    if repo.startswith("/"):
        return [Path(repo)]
    if not mirrors or ".." in Path(repo).parts:
        return []
    root, flat, name = Path(mirrors), repo.replace("/", "__"), Path(repo).name
    found = [root / form for n in (repo, flat, name) for form in (f"{n}.git", n)]
    return list(dict.fromkeys(found))


def _key(repo: str) -> str:
    return hashlib.sha256(repo.encode()).hexdigest()[:16]
