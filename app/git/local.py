"""A repository folder of the person who runs `patchwright fix`, read as it is at HEAD."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.git.limits import GitLimits
from app.git.mirror import DEFAULT_LIMITS, PLAIN_ATTRIBUTES, Mirror
from app.git.process import GitError, run_git

SHOWN = 10
"""How many dirty files an error names."""
MESSAGES = 20
"""How many commits' messages are read."""


class RepositoryRefused(GitError):
    """The folder cannot be worked on as it is; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LocalMirror:
    """A mirror that shares the folder's objects, with the commit that is checked out there."""

    mirror: Mirror
    commit: str


def mirror_local(path: Path, scratch: Path, limits: GitLimits = DEFAULT_LIMITS) -> LocalMirror:
    """Mirror a local repository into the folder `scratch`, without writing to the repository.

    Objects are borrowed (git's alternates), not copied. Raises `RepositoryRefused` when the path
    does not exist, is no git repository's top folder, has no commits, or has changes that are not
    committed.
    """
    if not path.is_dir():
        raise RepositoryRefused(f"There is no folder {path}.")
    path = path.resolve()
    top = _git_output(path, "rev-parse", "--show-toplevel")
    if top is None:
        raise RepositoryRefused(_refusal_reason(path))
    if Path(top) != path:
        raise RepositoryRefused(f"{path} is inside the repository {top}. Use that folder.")
    commit = _git_output(path, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if commit is None:
        raise RepositoryRefused(f"{path} has no commits yet. Commit its files first.")
    dirty = _uncommitted_changes(path)
    if dirty:
        more = f" and {len(dirty) - SHOWN} more" if len(dirty) > SHOWN else ""
        raise RepositoryRefused(
            f"{path} has changes that are not committed: {', '.join(dirty[:SHOWN])}{more}. "
            "Commit or stash them first."
        )
    return LocalMirror(_share_objects(path, scratch, limits), commit)


def mirror_history(path: Path, scratch: Path) -> Mirror:
    """Mirror all commits of a local repository, bare or checked out, as `mirror_local` does.

    What is not committed does not matter here. Raises `RepositoryRefused`.
    """
    if not path.is_dir():
        raise RepositoryRefused(f"There is no folder {path}.")
    if _git_output(path, "rev-parse", "--git-dir") is None:
        raise RepositoryRefused(_refusal_reason(path))
    return _share_objects(path, scratch, DEFAULT_LIMITS)


def default_branch_commit(path: Path, commit: str) -> str:
    """The commit at the tip of the default branch of where a clone came from.

    `commit` where there is none that is known here. What was said by whoever made another branch
    is not the maintainers' word.
    """
    ref = "refs/remotes/origin/HEAD^{commit}"
    return _git_output(path, "rev-parse", "--verify", "--quiet", ref) or commit


@dataclass(frozen=True, slots=True)
class LocalChange:
    """What lies between two commits of a local repository."""

    base: str
    """The commit at which the two parted."""
    head: str
    message: str
    """The messages of the commits in between, the oldest first."""


def local_change(path: Path, base: str, head: str) -> LocalChange:
    """The change that leads to `head` since it parted from `base`; both as git takes them.

    Raises `RepositoryRefused` when there is no such commit, or nothing that both build on.
    """
    if not path.is_dir():
        raise RepositoryRefused(f"There is no folder {path}.")
    path = path.resolve()
    if _git_output(path, "rev-parse", "--git-dir") is None:
        raise RepositoryRefused(_refusal_reason(path))
    one, other = (named_commit(path, name) for name in (base, head))
    parted = _git_output(path, "merge-base", one, other)
    if not parted:
        raise RepositoryRefused(
            f"{base} and {head} have no commit in common. In a shallow clone, fetch more of the "
            "history: git fetch --unshallow"
        )
    log = ("log", "--reverse", f"--max-count={MESSAGES}", "--format=%B", f"{parted}..{other}")
    return LocalChange(parted, other, _git_output(path, *log) or "")


def named_commit(path: Path, name: str) -> str:
    """The id of a commit of a local repository. Raises `RepositoryRefused`."""
    if not path.is_dir():
        raise RepositoryRefused(f"There is no folder {path}.")
    if _git_output(path, "rev-parse", "--git-dir") is None:
        raise RepositoryRefused(_refusal_reason(path))
    found = _git_output(
        path, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
    )
    if not found:
        raise RepositoryRefused(f"There is no commit {name} in {path}.")
    return found


def _share_objects(path: Path, scratch: Path, limits: GitLimits) -> Mirror:
    """A mirror of all objects, with the tags and, of a shallow clone, where its history ends."""
    objects, shallow = (_place(path, name) for name in ("objects", "shallow"))
    scratch.mkdir(parents=True, exist_ok=True)
    git_dir = scratch / "local.git"
    run_git(git_dir, "init", "--quiet", "--bare", "--template=")
    for folder in ("info", "objects/info"):
        (git_dir / folder).mkdir(parents=True, exist_ok=True)
    (git_dir / "info" / "attributes").write_text(PLAIN_ATTRIBUTES)
    (git_dir / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    form = "--format=%(objectname) %(refname)"
    tags = _git_output(path, "for-each-ref", "--sort=refname", form, "refs/tags/")
    (git_dir / "packed-refs").write_text(f"{tags}\n" if tags else "", errors="surrogateescape")
    if shallow.is_file():
        shutil.copyfile(shallow, git_dir / "shallow")
    return Mirror(git_dir, "", limits=limits)


def _place(path: Path, name: str) -> Path:
    """Where git keeps something of a repository."""
    return Path(_git_output(path, "rev-parse", "--path-format=absolute", "--git-path", name) or "")


def _uncommitted_changes(path: Path) -> list[str]:
    listed = _git_output(
        path, "status", "--porcelain=v1", "-z", "--no-renames", "--ignore-submodules"
    )
    return [entry[3:] for entry in (listed or "").split("\0") if entry]


def _refusal_reason(path: Path) -> str:
    stderr = _run(path, "rev-parse", "--show-toplevel").stderr.decode("utf-8", errors="replace")
    if "dubious ownership" in stderr:
        return (
            f"{path} belongs to another user. Run as its owner, or first run: "
            f"git config --global --add safe.directory {path}"
        )
    return f"{path} is not a git repository with files checked out. Run `git init` and commit."


def _git_output(path: Path, *arguments: str) -> str | None:
    done = _run(path, *arguments)
    if done.returncode != 0:
        return None
    return done.stdout.decode("utf-8", errors="surrogateescape").strip("\n")


_FILTERS = r"^(filter\..*\.(clean|smudge|process|required)|lfs\..*)$"
_PLAIN_LFS = re.compile(
    r"lfs\.(?:(?!extension\.|customtransfer\.).*\.)?(?:access|locksverify|url|pushurl)"
    r"|lfs\.(?:repositoryformatversion|fetchinclude|fetchexclude|concurrenttransfers|url|pushurl)"
)
"""Settings of Git LFS that name no program and no place for its files."""


def _run(path: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Git in the person's own repository, with the person's own configuration.

    What is ignored, and whose repositories are trusted, is there. Of what the repository itself
    configures nothing is run: it may have come in an archive from anyone. Filters of its own are
    off, and an object that it lacks is not fetched, by which it could name a program. The person's
    own Git LFS is off too where the repository configures more for it than addresses: it would run
    the repository's `lfs.extension`.
    """
    found = _git(path, ("config", "-z", "--show-scope", "--get-regexp", _FILTERS), {})
    return _git(path, arguments, _without_filters(found.stdout))


def _without_filters(listed: bytes) -> dict[str, str]:
    """Settings that turn off the filters that run what the repository itself configures.

    `listed`: scope, and name and value of each setting, each with a zero byte at its end.
    """
    parts = listed.decode("utf-8", errors="surrogateescape").split("\0")
    drivers: set[str] = set()
    for scope, setting in zip(parts[::2], parts[1::2], strict=False):
        name = setting.partition("\n")[0]
        if scope in ("local", "worktree") and name.startswith("filter."):
            drivers.add(name.rpartition(".")[0])
        elif scope in ("local", "worktree") and not _PLAIN_LFS.fullmatch(name):
            drivers.add("filter.lfs")
    off: dict[str, str] = {}
    for driver in sorted(drivers):
        off |= {f"{driver}.{kind}": "" for kind in ("clean", "smudge", "process")}
        off[f"{driver}.required"] = "false"
    return off


def _git(
    path: Path, arguments: Sequence[str], settings: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    environment |= {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
    environment |= {k: v for k, v in os.environ.items() if k == "GIT_CONFIG_GLOBAL"}
    off = {"core.fsmonitor": "false", "core.hooksPath": "", **settings}
    environment["GIT_CONFIG_COUNT"] = str(len(off))
    for number, (key, value) in enumerate(off.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    try:
        return subprocess.run(  # noqa: S603
            ["git", "-C", str(path), *arguments],  # noqa: S607
            env=environment,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise RepositoryRefused("The git program is missing. Install git.") from None
