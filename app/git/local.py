"""A repository folder of the person who runs `patchwright fix`, read as it is at HEAD."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.git.limits import GitLimits
from app.git.mirror import DEFAULT_LIMITS, PLAIN_ATTRIBUTES, Mirror
from app.git.process import GitError, run_git

SHOWN = 10
"""How many dirty files an error names."""


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
    objects = _git_output(path, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    return LocalMirror(_share_objects(Path(objects or ""), scratch, limits), commit)


def mirror_history(path: Path, scratch: Path) -> Mirror:
    """Mirror all commits of a local repository, bare or checked out, as `mirror_local` does.

    What is not committed does not matter here. Raises `RepositoryRefused`.
    """
    if not path.is_dir():
        raise RepositoryRefused(f"There is no folder {path}.")
    objects = _git_output(path, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    if objects is None:
        raise RepositoryRefused(_refusal_reason(path))
    return _share_objects(Path(objects), scratch, DEFAULT_LIMITS)


def _share_objects(objects: Path, scratch: Path, limits: GitLimits) -> Mirror:
    scratch.mkdir(parents=True, exist_ok=True)
    git_dir = scratch / "local.git"
    run_git(git_dir, "init", "--quiet", "--bare", "--template=")
    for folder in ("info", "objects/info"):
        (git_dir / folder).mkdir(parents=True, exist_ok=True)
    (git_dir / "info" / "attributes").write_text(PLAIN_ATTRIBUTES)
    (git_dir / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    return Mirror(git_dir, "", limits=limits)


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


def _run(path: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Git in the person's own repository, with the person's own configuration.

    What is ignored, and whose repositories are trusted, is there. Nothing configured is run
    but a clean filter, as `git status` by hand would do.
    """
    command = ["git", "-C", str(path), "-c", "core.fsmonitor=false", "-c", "core.hooksPath="]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    environment |= {k: v for k, v in os.environ.items() if k == "GIT_CONFIG_GLOBAL"}
    try:
        return subprocess.run(  # noqa: S603
            [*command, *arguments], env=environment, capture_output=True, check=False
        )
    except FileNotFoundError:
        raise RepositoryRefused("The git program is missing. Install git.") from None
