"""A commit's own history as a `.git` folder: its ancestors and their tags, and nothing else.

A folder is made once for each commit and kept; the next commit adds only what is new. In it are no
branches, remotes, hooks, notes or settings of the repository. Whoever gets it may write to its own
copy, which is never read again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.git import ancestry
from app.git.mirror import Mirror
from app.git.process import GitError, GitMissing, GitTooMuch

MOST_TAGS = 1000
"""Tags that come along, the newest."""
_FEWEST = 16
"""With fewer commits than this within its bytes, a history is left out."""
_KEPT = 4
"""Histories kept for a repository."""
_MOST_PACKS = 12
_TAGS = "tags"
"""Begins the name of the pack that holds tags, which are not taken over by a later commit."""
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
[gc]
\tauto = 0
[maintenance]
\tauto = false
[user]
\tname = Patchwright
\temail = patchwright@localhost
"""
"""A name, because `git stash` and `git commit` ask for one."""


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How much of a history is given."""

    commits: int = 2_000
    size_bytes: int = 200 * 1024**2
    """Of the packed objects."""


@dataclass(frozen=True, slots=True)
class HistoryArchive:
    """A history as a tar file, for unpacking over the commit's tree."""

    file: Path
    commits: int
    is_cut: bool


@dataclass(frozen=True, slots=True)
class CommitHistory:
    """A history that was made."""

    folder: Path
    """What is to be `.git`."""
    commits: int
    is_cut: bool
    """Whether there are older commits that it does not hold."""

    def write_tar(self, out: Path) -> HistoryArchive:
        """Write an archive with the folder as `.git`."""
        with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
            archive.add(self.folder, ".git", filter=_plain)
        return HistoryArchive(out, self.commits, self.is_cut)


class CommitHistories:
    """The histories of one mirror's commits, kept in a folder. All methods block."""

    def __init__(
        self, mirror: Mirror, folder: Path, limits: HistoryLimits = HistoryLimits()
    ) -> None:
        self._mirror = mirror
        self._folder = folder
        self._limits = limits

    def of(
        self, commit: str, sparse: Sequence[str] = (), tags_until: int | None = None
    ) -> CommitHistory | None:
        """The history up to a commit of the mirror; None where its bytes allow almost nothing.

        With `sparse`, git takes the files outside of these paths for not checked out. With
        `tags_until` (seconds since 1970), tags that were made later are left out. Raises
        `GitMissing`, `GitError`.
        """
        with self.held(commit, sparse, tags_until) as found:
            return found

    @contextmanager
    def held(
        self, commit: str, sparse: Sequence[str] = (), tags_until: int | None = None
    ) -> Iterator[CommitHistory | None]:
        """As `of`, and no other commit's takes its place on the disk meanwhile."""
        if not self._mirror.has(commit):
            raise GitMissing(f"There is no commit {commit}.")
        shape = json.dumps([sorted(sparse), tags_until])
        plain = not sparse and tags_until is None
        digest = "" if plain else f"-{hashlib.sha256(shape.encode()).hexdigest()[:12]}"
        folder = self._folder / f"{commit}{digest}"
        with self._locked():
            if not (folder / "HEAD").exists():
                self._make(commit, folder, sparse, tags_until)
            if not (folder / "HEAD").exists():
                yield None
                return
            os.utime(folder)
            self._forget_oldest()
            yield _described(folder)

    def _make(
        self, commit: str, folder: Path, sparse: Sequence[str], tags_until: int | None
    ) -> None:
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".new-") as scratch:
            made = Path(scratch) / "git"
            if not self._extended(commit, made) and not self._whole(commit, made):
                return
            self._add_tags(commit, made, tags_until)
            ancestry.write_index(self._mirror, commit, made / "index", sparse)
            (made / "config").write_text(_CONFIG)
            (made / "refs" / "heads").mkdir(parents=True)
            (made / "HEAD").write_text(f"{commit}\n")
            made.rename(folder)

    def _whole(self, commit: str, made: Path) -> bool:
        most = self._limits.commits
        while most >= _FEWEST:
            shutil.rmtree(made, ignore_errors=True)
            (made / "objects" / "pack").mkdir(parents=True)
            found, boundary = self._newest(commit, most)
            boundary += [each for each in ancestry.cut_at(self._mirror) if each in found]
            _write_shallow(made, boundary)
            try:
                self._pack(made, [commit])
            except GitTooMuch:
                most = min(most, len(found)) // 2
                continue
            (made / "patchwright-commits").write_text(f"{len(found)}\n")
            return True
        return False

    def _extended(self, commit: str, made: Path) -> bool:
        """Add what is new to the history of an earlier commit, if one is kept that will do."""
        for kept in self._kept():
            earlier, known = kept.name.partition("-")[0], _described(kept)
            packs = list((kept / "objects" / "pack").glob("*.pack"))
            if len(packs) >= _MOST_PACKS or not ancestry.follows(self._mirror, earlier, commit):
                continue
            shutil.rmtree(made, ignore_errors=True)
            (made / "objects" / "pack").mkdir(parents=True)
            if known.is_cut:
                os.link(kept / "shallow", made / "shallow")
            new = ancestry.count(self._mirror, earlier, commit, _shallow(made))
            # A little more than asked for, so that not every commit is a new beginning.
            if known.commits + new > self._limits.commits * 5 // 4:
                continue
            for file in (kept / "objects" / "pack").iterdir():
                if not file.name.startswith(_TAGS):  # the tags of that day
                    os.link(file, made / "objects" / "pack" / file.name)
            try:
                self._pack(made, [commit, f"^{earlier}"])
            except GitTooMuch:
                continue
            if sum(f.stat().st_size for f in made.rglob("*.pack")) > self._limits.size_bytes:
                continue
            (made / "patchwright-commits").write_text(f"{known.commits + new}\n")
            return True
        return False

    def _newest(self, commit: str, most: int) -> tuple[set[str], list[str]]:
        """The commits to give, and those whose parents are left out.

        Generation by generation, as `git clone --depth` does it: by date, the merge of an old
        branch would have to be the last commit.
        """
        parents: dict[str, list[str]] = {}
        seen, generation = {commit}, [commit]
        while True:
            if unknown := [each for each in generation if each not in parents]:
                parents |= ancestry.parents(self._mirror, unknown, most=2 * most)
            following = [p for each in generation for p in parents[each] if p not in seen]
            following = list(dict.fromkeys(following))
            if not following:
                return seen, []
            if len(seen) + len(following) > most:
                return seen, [each for each in generation if parents[each]]
            seen.update(following)
            generation = following

    def _pack(self, made: Path, revisions: Sequence[str], kind: str = "pack") -> None:
        """Pack the objects of these revisions. Raises `GitTooMuch`."""
        most = self._limits.size_bytes
        name = made / "objects" / "pack" / kind
        ancestry.pack(self._mirror, revisions, name, _shallow(made), most)

    def _add_tags(self, commit: str, made: Path, until: int | None) -> None:
        """Add the tags whose commits are there."""
        inside = set(ancestry.ancestors(self._mirror, commit, _shallow(made)))
        tags = [
            tag
            for tag in ancestry.tags(self._mirror, commit)
            if tag.commit in inside and (until is None or tag.made_at <= until)
        ][:MOST_TAGS]
        if annotated := [tag.id for tag in tags if tag.id != tag.commit]:
            self._pack(made, [*annotated, f"^{commit}"], _TAGS)
        lines = ["# pack-refs with: peeled fully-peeled sorted "]
        for tag in sorted(tags, key=lambda each: each.name.encode()):
            lines.append(f"{tag.id} refs/tags/{tag.name}")
            if tag.id != tag.commit:
                lines.append(f"^{tag.commit}")
        (made / "packed-refs").write_text("\n".join(lines) + "\n", errors="surrogateescape")

    def _kept(self) -> list[Path]:
        """Histories that were made before, the last used first."""
        found = [each.parent for each in self._folder.glob("*/HEAD")]
        return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)

    def _forget_oldest(self) -> None:
        for old in self._kept()[_KEPT:]:
            _forget(old)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process (and thread) at a time; the kernel lets go when the holder dies."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for left in self._folder.glob(".new-*"):  # of a process that died
                shutil.rmtree(left, ignore_errors=True)
            yield


def forget_unused(folder: Path, before: float) -> int:
    """Delete the histories in a repository's folder that were used last before a time.

    `before` is in seconds since 1970. Returns how many are gone; none while one is being read or
    made there.
    """
    gone = 0
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        for left in folder.glob(".old-*"):  # of a process that died
            shutil.rmtree(left, ignore_errors=True)
        for old in (head.parent for head in folder.glob("*/HEAD")):
            if old.stat().st_mtime < before:
                _forget(old)
                gone += 1
    return gone


def _forget(history: Path) -> None:
    # Not half deleted under its name: it would be taken for whole.
    aside = Path(tempfile.mkdtemp(dir=history.parent, prefix=".old-"))
    history.rename(aside / "git")
    shutil.rmtree(aside)


def _shallow(folder: Path) -> Path | None:
    """The file that says where the history ends, if it does not end by itself."""
    file = folder / "shallow"
    return file if file.exists() else None


def _write_shallow(folder: Path, boundary: Sequence[str]) -> None:
    if boundary:
        (folder / "shallow").write_text("".join(f"{each}\n" for each in sorted(boundary)))


def _described(folder: Path) -> CommitHistory:
    commits = int((folder / "patchwright-commits").read_text())
    return CommitHistory(folder, commits, _shallow(folder) is not None)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nobody's, and writable: packs are read-only on the host, where they are shared."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    if member.islnk():
        raise GitError(f"{member.name} is a link.")
    return member
