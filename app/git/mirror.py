"""Bare mirrors of repositories: fetch, give a tree out, take a patch in, push.

There is never a checkout, a hook or a filter here, and no program runs on anything that a sandbox
wrote: a patch comes in as text, is checked, and is applied to a temporary index. All methods
block; call them in threads.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from agent.task import GatePolicy
from app.git.history import Order
from app.git.limits import GitLimits, TreeCount, TreeLimits
from app.git.patch_check import PatchUnusable, check_changes, check_text
from app.git.process import (
    MOST_OUTPUT,
    GitDenied,
    GitError,
    GitFailed,
    GitMissing,
    git_output,
    run_git,
    token_settings,
)
from app.git.refusal import Refusal, read_refusal
from sandbox.byte_text import to_bytes, to_text

__all__ = ["BranchTaken", "Identity", "Mirror", "NameInTheWay", "PatchUnusable", "PushRefused"]

# The tree goes out as its bytes are: these take back whatever attributes the repository sets.
PLAIN_ATTRIBUTES = (
    "* -export-ignore -export-subst -text -ident !eol !crlf !filter !working-tree-encoding\n"
)


MOST_PATH, MOST_DEPTH = 4000, 400
_AROUND_A_FILE = 4096
"""Bytes that an archive needs for one file at most: headers and padding."""
_SMALLEST_FILE_BOUND = 1 << 20
DEFAULT_LIMITS = GitLimits()
_LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}


class BranchTaken(GitError):
    """The branch has commits of somebody else; they are never overwritten."""


class NameInTheWay(BranchTaken):
    """Another branch's name makes this one impossible: `a` and `a/b` cannot both exist."""


class PushRefused(GitError):
    """The server does not take the push (protected branch, rule, missing permission)."""

    def __init__(self, message: str, refusal: Refusal) -> None:
        super().__init__(message)
        self.refusal = refusal
        """Its kind, and the server's own words."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a commit is by."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Submodule:
    """A link of a tree to a commit of another repository."""

    path: str
    url: str
    """As `.gitmodules` has it: may be relative, may be anything."""
    commit: str


class Mirror:
    """One repository's bare mirror on this machine."""

    def __init__(
        self, git_dir: Path, url: str, *, ca_file: str = "", limits: GitLimits = DEFAULT_LIMITS
    ) -> None:
        self.git_dir = git_dir
        self.limits = limits
        self._url = url
        self._settings: Mapping[str, str] = {"http.sslCAInfo": ca_file} if ca_file else {}

    @classmethod
    def of_remote(
        cls,
        root: Path,
        clone_url: str,
        *,
        ca_file: str = "",
        limits: GitLimits = DEFAULT_LIMITS,
        repository_id: int = 0,
    ) -> Self:
        """The mirror of a repository under `root`; nothing is fetched yet.

        With GitHub's id of the repository it is that repository's, whatever it is called; without
        (0), the address's. Raises `GitError` when the URL is not plain HTTP(S) or holds a password.
        """
        parts = urlsplit(clone_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise GitError("The repository's URL must start with http:// or https://.")
        if parts.username or parts.password:
            raise GitError("The repository's URL must not contain a user name or password.")
        if repository_id:
            name = f"{re.sub(r'[^a-z0-9]+', '-', parts.netloc.lower())}-{repository_id}"
        else:
            slug = re.sub(r"[^a-z0-9]+", "-", f"{parts.netloc}{parts.path}".lower()).strip("-")
            name = f"{slug[:80]}-{hashlib.sha256(clone_url.encode()).hexdigest()[:12]}"
        return cls(root / f"{name}.git", clone_url, ca_file=ca_file, limits=limits)

    def fetch(self, token: str = "", *, pull: int = 0) -> None:
        """Bring all branches and tags up to date, making the mirror at first.

        With `pull` also that pull request's head, which GitHub keeps in the repository wherever
        its branch lies. Raises `GitDenied` for a refused token, `GitAway`, `GitMissing`, and
        `GitError` for a repository that is too large.
        """
        most = self.limits.repository_bytes
        with self._locked():
            if _size_of(self.git_dir) > most:
                # Grown by what was pushed and replaced: what is needed now may well fit.
                shutil.rmtree(self.git_dir)
            self._make()
            # The address stands here alone and not as a remote: there is nothing to keep in step.
            self._git(
                "fetch",
                "--quiet",
                "--prune",
                "--no-tags",
                "--no-write-fetch-head",
                "--end-of-options",
                self._url,
                "+refs/heads/*:refs/heads/*",
                "+refs/tags/*:refs/tags/*",
                *((f"+refs/pull/{pull}/head:refs/pull/{pull}/head",) if pull else ()),
                token=token,
                timeout_s=self.limits.fetch_s,
                most_output=most,
            )

    def forget_pull(self, pull: int) -> None:
        """Let go of a pull request's head, so that git may collect what only it holds."""
        with self._locked():
            self._git("update-ref", "-d", f"refs/pull/{pull}/head")

    def check_access(self, token: str = "") -> None:
        """Ask the server whether this token may read the repository.

        What the mirror holds was given to an earlier token, which says nothing about this one.
        Raises `GitDenied`, `GitMissing`, `GitAway`.
        """
        self._git("ls-remote", "--quiet", "--end-of-options", self._url, "HEAD", token=token)

    def is_on_branch(self, branch: str, commit: str) -> bool:
        """Whether a branch, as last fetched, holds a commit."""
        try:
            self._git("merge-base", "--is-ancestor", commit, f"refs/heads/{branch}")
        except GitFailed:
            return False
        return True

    def is_on_any_branch(self, commit: str) -> bool:
        """Whether one of the branches, as last fetched, holds a commit."""
        try:
            found = self._git("for-each-ref", "--count=1", "--contains", commit, "refs/heads")
        except GitFailed:
            return False
        return bool(found.strip())

    def branches(self) -> tuple[str, ...]:
        """All branches as last fetched."""
        listed = self._git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
        return tuple(listed.decode("utf-8", "replace").splitlines())

    def base_commit(self, branch: str) -> str:
        """The commit at the tip of a branch as last fetched. Raises `GitMissing`."""
        return self._commit(f"refs/heads/{branch}", f"the branch {branch}")

    def has(self, commit: str) -> bool:
        """Whether the mirror holds this commit; a worker that took a run over may have none."""
        try:
            return self._commit(commit, f"the commit {commit}") == commit
        except GitMissing:
            return False

    def tree_tar(
        self,
        commit: str,
        out: Path,
        paths: Sequence[str] = (),
        within: TreeLimits | None = None,
    ) -> TreeCount:
        """Write a commit's tree as an uncompressed tar archive; of `paths` alone, if any.

        Every file with exactly the bytes that git keeps (no line-end conversion, nothing left out),
        symlinks as symlinks, submodules as empty folders, no `.git`. Returns what it holds. Raises
        `GitMissing`, and `GitError` for a tree beyond the limits (`within`, or the mirror's own),
        before anything is written.
        """
        sha = self._commit(commit, f"the commit {commit}")
        count, archive_bytes = self._count(sha, paths, within or self.limits.tree)
        try:
            self._git(
                "archive",
                "--format=tar",
                sha,
                "--",
                *paths,
                stdout_to=out,
                most_output=archive_bytes,
                environment=_LITERAL,
            )
        except GitFailed as error:
            if paths and "did not match" in error.output:
                raise GitMissing(f"Not all of {', '.join(paths)} is in the tree.") from None
            raise
        return count

    def _count(self, sha: str, paths: Sequence[str], within: TreeLimits) -> tuple[TreeCount, int]:
        """What the tree holds, and what it takes up as an archive at most, in bytes.

        A few small objects can stand for a tree without end, so its list is read only as far as the
        limits go. Raises `GitError` beyond them.
        """
        entries = total = archived = 0
        for about, path in self._entries(sha, paths):
            size = about.split()[-1]
            entries += 1
            total += int(size) if size.isdigit() else 0
            archived += _AROUND_A_FILE + len(path) * 2
            within.check(TreeCount(entries, total))
        return TreeCount(entries, total), total + archived + _SMALLEST_FILE_BOUND

    def _bounded(self, sha: str) -> Iterator[tuple[bytes, bytes]]:
        for number, entry in enumerate(self._entries(sha), 1):
            self.limits.tree.check(TreeCount(number))
            yield entry

    def _check_files(self, commit: str) -> None:
        """Raises `GitError` for a tree that git should not work on."""
        for _ in self._bounded(self._commit(commit, f"the commit {commit}")):
            pass

    def _entries(self, sha: str, paths: Sequence[str] = ()) -> Iterator[tuple[bytes, bytes]]:
        """Mode, type, id and size of each file and folder of a tree, and its path, one by one.

        Raises `GitError` where the tree's entries are out of order or there twice.
        """
        listing = ("ls-tree", "-r", "-t", "-l", "-z", "--full-tree", sha, "--", *paths)
        rest, order = b"", Order()
        with git_output(
            self.git_dir,
            *listing,
            environment=_LITERAL,
            timeout_s=self.limits.command_s,
            most_memory=self.limits.memory_bytes,
        ) as pieces:
            for piece in pieces:
                *lines, rest = (rest + piece).split(b"\0")
                for line in lines:
                    about, _, path = line.partition(b"\t")
                    if len(path) > MOST_PATH or path.count(b"/") > MOST_DEPTH:
                        raise GitError("The tree has a path that is too long or too deep.")
                    if not order.is_next(path, about.split()[1] == b"tree"):
                        shown = path.decode("utf-8", "backslashreplace")
                        raise GitError(
                            f"The tree has {shown} twice or out of order, so programs disagree "
                            "about what is in it. Commit the folder again with an up-to-date git."
                        )
                    yield about, path
                if len(rest) > 2 * MOST_PATH:
                    raise GitError("The tree has a path that is too long or too deep.")

    def submodules(self, commit: str) -> tuple[Submodule, ...]:
        """The submodules of a commit that `.gitmodules` knows.

        Raises `GitMissing`, and `GitError` for a tree beyond the limits, as `tree_tar` does.
        """
        sha = self._commit(commit, f"the commit {commit}")
        links = {}
        for about, path in self._bounded(sha):
            mode, _, object_id, _ = about.split()
            if mode == b"160000":
                links[path.decode("utf-8", "replace")] = object_id.decode()
        if not links:
            return ()
        try:
            text = self._git(
                "config", "-z", "--blob", f"{sha}:.gitmodules", "--get-regexp", r"^submodule\."
            ).decode("utf-8", "replace")
        except GitFailed:
            return ()
        named: dict[str, dict[str, str]] = {}
        for entry in text.split("\0"):
            key, _, value = entry.partition("\n")
            name, _, what = key.rpartition(".")
            named.setdefault(name, {})[what] = value
        urls = {each.get("path", ""): each.get("url", "") for each in named.values()}
        return tuple(
            Submodule(path, urls[path], commit) for path, commit in links.items() if path in urls
        )

    def merge_base(self, one: str, other: str) -> str:
        """The commit at which two lines of work parted. Raises `GitMissing`."""
        try:
            return self._git("merge-base", "--end-of-options", one, other).decode().strip()
        except GitFailed:
            raise GitMissing("The branches have no commit in common.") from None

    def conflicts(self, one: str, other: str) -> tuple[str, ...]:
        """The files in which a merge of two commits would conflict.

        Raises `GitError` for a tree beyond the limits.
        """
        for commit in (one, other):
            self._check_files(commit)
        try:
            self._git("merge-tree", "--write-tree", "--name-only", "--no-messages", one, other)
        except GitFailed as error:
            lines = error.output.splitlines()
            return tuple(dict.fromkeys(line for line in lines[1:] if line))
        return ()

    def diff(self, base: str, commit: str) -> str:
        """What leads from one commit to another, as a patch of text.

        Bytes that are not UTF-8 are as `sandbox.byte_text` writes them. Raises `GitError` for a
        tree beyond the limits, or a patch larger than `MOST_OUTPUT`.
        """
        for each in (base, commit):
            self._check_files(each)
        return self._diff(f"{base}^{{tree}}", f"{commit}^{{tree}}")

    def diff_with(self, base: str, commit: str, patch: str) -> str:
        """What leads from `base` to `commit` with a patch on top, as a patch of text.

        Raises `PatchUnusable` when the patch does not apply, otherwise as `diff` does.
        """
        for each in (base, commit):
            self._check_files(each)
        return self._diff(f"{base}^{{tree}}", self._tree_with(commit, patch))

    def _diff(self, base: str, tree: str) -> str:
        options = ("--no-color", "--no-renames", "--no-ext-diff", "--no-textconv", "--full-index")
        text = self._git("diff-tree", "-p", "-r", "--binary", *options, base, tree)
        return to_text(text)

    def commit_patch(
        self,
        base: str,
        patch: str,
        *,
        message: str,
        author: Identity,
        branch: str,
        when: datetime,
        policy: GatePolicy = GatePolicy(),  # noqa: B008 - frozen
        parents: Sequence[str] = (),
    ) -> str:
        """Make a commit of a git-style patch on top of `base`; returns its id.

        The same arguments give the same commit, whenever and wherever. `branch` names it in the
        mirror until it is pushed. Raises `PatchUnusable` when the patch does not apply, changes
        nothing, or touches what no patch may (see `app.git.patch_check`).

        With `parents`, the commit follows these and not `base`; when it would leave the tree of the
        only one as it is, that one is returned.
        """
        check_text(patch, policy)
        sha = self._commit(base, f"the commit {base}")
        tree = self._tree_with(sha, patch)
        changed = self._git("diff-tree", "-r", "-z", "--raw", "--no-renames", sha, tree)
        check_changes(changed, policy)
        if len(parents) == 1 and self.tree_of(parents[0]) == tree:
            return parents[0]
        return self._commit_tree(tree, parents or (sha,), message, author, branch, when)

    def commit_new_file(
        self,
        base: str,
        path: str,
        content: bytes,
        *,
        message: str,
        author: Identity,
        branch: str,
        when: datetime,
    ) -> str:
        """Make a commit on top of `base` that adds a file; returns its id.

        The same arguments give the same commit, as with `commit_patch`. Raises `PatchUnusable`
        where there is something at `path` or where one of its folders would be.
        """
        sha = self._commit(base, f"the commit {base}")
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            at = "/".join(parts[:end])
            found = self._git("ls-tree", "--full-tree", sha, "--", at, environment=_LITERAL)
            if found and (end == len(parts) or not found.startswith(b"040000 ")):
                raise PatchUnusable(f"There is something at {at} already.")
        blob = self._git("hash-object", "-w", "--stdin", stdin=content).decode().strip()
        with tempfile.TemporaryDirectory(prefix="patchwright-index-") as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self._git("read-tree", sha, environment=index)
            entry = f"100644,{blob},{path}"
            self._git("update-index", "--add", "--cacheinfo", entry, environment=index)
            tree = self._git("write-tree", environment=index).decode().strip()
        return self._commit_tree(tree, (sha,), message, author, branch, when)

    def _commit_tree(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        author: Identity,
        branch: str,
        when: datetime,
    ) -> str:
        follows = [word for parent in parents for word in ("-p", parent)]
        date = f"{int(when.timestamp())} +0000"
        who = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", author.name), ("EMAIL", author.email), ("DATE", date))
        }
        made = self._git(
            "commit-tree", tree, *follows, "-F", "-", stdin=message.encode(), environment=who
        )
        commit = made.decode().strip()
        # A name of its own keeps it from being collected; fetch --prune leaves it alone.
        self._git("update-ref", f"refs/patchwright/{branch}", commit)
        return commit

    def tree_of(self, commit: str) -> str:
        """Git's id of a commit's tree: the same content has the same."""
        return self._git("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()

    def _tree_with(self, commit: str, patch: str) -> str:
        """The tree of a commit with a patch applied to it."""
        with tempfile.TemporaryDirectory(prefix="patchwright-index-") as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self._git("read-tree", commit, environment=index)
            try:
                if patch.strip():
                    self._git(
                        "apply",
                        "--cached",
                        "--whitespace=nowarn",
                        "-",
                        stdin=to_bytes(patch),
                        environment=index,
                    )
            except GitFailed as error:
                raise PatchUnusable(f"The patch does not apply: {error.output}") from None
            return self._git("write-tree", environment=index).decode().strip()

    def push(self, branch: str, commit: str, token: str = "", *, after: str = "") -> None:
        """Create the remote branch at `commit` or forward it there; already there is success.

        With `after`, the branch must be at that commit: one that was deleted is not made again.

        Never overwrites: raises `BranchTaken` when the branch has commits that `commit` does not
        build on, also if they come in at the same moment, and `NameInTheWay` when another branch's
        name makes it impossible. Raises `PushRefused`, `GitDenied`, `GitAway`, `GitMissing`.
        """
        try:
            self._git(
                "push",
                "--porcelain",
                "--no-verify",
                *((f"--force-with-lease=refs/heads/{branch}:{after}",) if after else ()),
                "--end-of-options",
                self._url,
                f"{commit}:refs/heads/{branch}",
                token=token,
            )
        except (GitFailed, GitDenied) as error:
            refusal = push_error(branch, error.output)
            if isinstance(error, GitDenied) and not _is_about_repository(refusal):
                raise  # a new token may help
            # Another worker may have pushed the very same commit at the same moment.
            if self._remote_tip(branch, token) != commit:
                raise refusal from None

    def _remote_tip(self, branch: str, token: str) -> str:
        """The remote branch's commit at this moment; empty when there is no such branch."""
        ref = f"refs/heads/{branch}"
        listed = self._git("ls-remote", "--end-of-options", self._url, ref, token=token).decode()
        for line in listed.splitlines():
            sha, _, name = line.partition("\t")
            if name == ref:
                return sha
        return ""

    def _make(self) -> None:
        if (self.git_dir / "HEAD").exists():
            return
        # Made aside and moved in whole: a crash in between leaves nothing half made.
        with tempfile.TemporaryDirectory(dir=self.git_dir.parent, prefix=".new-") as folder:
            fresh = Path(folder) / "mirror"
            run_git(fresh, "init", "--quiet", "--bare", "--template=")
            (fresh / "info").mkdir(exist_ok=True)
            (fresh / "info" / "attributes").write_text(PLAIN_ATTRIBUTES)
            if self.git_dir.exists():
                shutil.rmtree(self.git_dir)
            fresh.rename(self.git_dir)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process (and thread) at a time; the kernel lets go when the holder dies."""
        self.git_dir.parent.mkdir(parents=True, exist_ok=True)
        with self.git_dir.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.utime(file.fileno())  # when it was used last
            yield

    def _commit(self, name: str, what: str) -> str:
        try:
            found = self._git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
            )
        except GitFailed:
            raise GitMissing(f"There is no {what.removeprefix('the ')}.") from None
        return found.decode().strip()

    def _git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        stdout_to: Path | None = None,
        token: str = "",
        timeout_s: float | None = None,
        most_output: int = MOST_OUTPUT,
    ) -> bytes:
        return run_git(
            self.git_dir,
            *arguments,
            stdin=stdin,
            settings={**self._settings, **(token_settings(token) if token else {})},
            environment=environment,
            stdout_to=stdout_to,
            timeout_s=timeout_s or self.limits.command_s,
            most_output=most_output,
            most_memory=self.limits.memory_bytes,
        )


def forget_unused(root: Path, before: float, busy: Collection[int]) -> int:
    """Delete the mirrors under `root` that were fetched into last before a time.

    `before` is in seconds since 1970, `busy` the ids of repositories that are being worked on.
    Returns how many are gone. What is needed again is fetched again.
    """
    gone = 0
    for left in root.glob(".old-*"):  # of a process that died
        shutil.rmtree(left, ignore_errors=True)
    for lock in root.glob("*.lock"):
        git_dir, number = lock.with_suffix(".git"), lock.stem.rpartition("-")[2]
        if not git_dir.exists() or (number.isdecimal() and int(number) in busy):
            continue
        with lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if os.fstat(file.fileno()).st_mtime < before:
                # Not half deleted under its name: it would be taken for whole.
                aside = Path(tempfile.mkdtemp(dir=root, prefix=".old-"))
                git_dir.rename(aside / "git")
                shutil.rmtree(aside)
                gone += 1
    return gone


def _size_of(folder: Path) -> int:
    """Bytes of the files in a folder; 0 if there is none."""
    found = 0
    for top, _, names in os.walk(folder):
        for name in names:
            # A file that git removes meanwhile counts no more.
            with contextlib.suppress(FileNotFoundError):
                found += Path(top, name).lstat().st_size
    return found


def push_error(branch: str, output: str) -> GitError:
    """What a refused push means, from all that git and the server said."""
    refusal = read_refusal(output)
    match refusal.kind:
        case "taken":
            return BranchTaken(f"The branch {branch} already has other commits.")
        case "in_the_way":
            other = f"The branch {refusal.in_the_way}" if refusal.in_the_way else "Another branch"
            return NameInTheWay(f"{other} makes a branch {branch} impossible.")
    return PushRefused(
        f"The server does not accept the branch {branch}: {refusal.reason}.", refusal
    )


def _is_about_repository(refusal: GitError) -> bool:
    """Whether a push that was answered 403 was refused for the repository's state."""
    return isinstance(refusal, PushRefused) and refusal.refusal.kind in ("archived", "unavailable")
