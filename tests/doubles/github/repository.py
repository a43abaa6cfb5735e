"""Git on the bare repositories of the stand-in: refs, commits, diffs, merges."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

ZERO = "0" * 40


class GitRefused(Exception):
    """git said no; the text is git's own."""


@dataclass(frozen=True)
class Person:
    """Name, address and time of an author or committer (time as ISO 8601)."""

    name: str
    email: str
    date: str


@dataclass(frozen=True)
class Commit:
    """A commit as the API shows it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True)
class FileChange:
    """One file of a comparison; ``status`` as the REST API spells it."""

    path: str
    old_path: str
    status: str
    additions: int
    deletions: int
    sha: str
    patch: str


def environment() -> dict[str, str]:
    """For every git that the stand-in runs: without the machine's or user's configuration."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_CONFIG_KEY_1": "core.quotePath",
        "GIT_CONFIG_VALUE_1": "false",
        "LC_ALL": "C.UTF-8",
    }


def run(git: Path, *arguments: str, extra: dict[str, str] | None = None) -> str:
    """The output of a git command in that repository; raises GitRefused with git's own words."""
    return raw(git, *arguments, extra=extra).decode(errors="replace").rstrip("\n")


def raw(git: Path, *arguments: str, extra: dict[str, str] | None = None) -> bytes:
    """Like ``run``, but the bytes."""
    done = subprocess.run(
        ["git", "-C", str(git), *arguments],
        env=environment() | (extra or {}),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise GitRefused((done.stderr or done.stdout).decode(errors="replace").strip())
    return done.stdout


def create_bare(git: Path, default_branch: str) -> None:
    """An empty bare repository that accepts pushes over HTTP."""
    git.mkdir(parents=True)
    run(git, "init", "-q", "--bare", f"--initial-branch={default_branch}")
    run(git, "config", "http.receivepack", "true")
    # "deny updating a hidden ref", as GitHub answers a push to a pull request's own refs.
    run(git, "config", "receive.hideRefs", "refs/pull")
    run(git, "config", "uploadpack.allowAnySHA1InWant", "true")


def import_repository(git: Path, source: Path) -> None:
    """All branches and tags of an existing repository."""
    run(git, "fetch", "-q", str(source), "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


def import_folder(git: Path, folder: Path, branch: str, message: str, when: datetime) -> None:
    """One commit with the folder's files; a ``.git`` or ``__pycache__`` in it is left out."""
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "tree"
        ignored = shutil.ignore_patterns(".git", "__pycache__", ".pytest_cache")
        shutil.copytree(folder, tree, symlinks=True, ignore=ignored)
        run(tree, "init", "-q", f"--initial-branch={branch}")
        run(tree, "add", "-A", "--force")
        identity = _identity("Maintainer", "maintainer@example.com", when)
        run(tree, "commit", "-q", "--allow-empty", "-m", message, extra=identity)
        import_repository(git, tree)


def keep_pull_head(git: Path, source: Path, number: int, sha: str) -> None:
    """Let ``refs/pull/N/head`` be that commit, which may have to come from a fork."""
    ref = f"refs/pull/{number}/head"
    if source == git:
        set_ref(git, ref, sha)
    else:
        run(git, "fetch", "-q", str(source), f"+{sha}:{ref}")


def drop_pull_head(git: Path, number: int) -> None:
    """Take that ref away again: the pull request was not made."""
    run(git, "update-ref", "-d", f"refs/pull/{number}/head")


def refs(git: Path) -> dict[str, str]:
    """Every ref with the object it names."""
    lines = run(git, "for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    return {name: sha for sha, _, name in (line.partition(" ") for line in lines)}


def resolve(git: Path, name: str) -> str | None:
    """The commit that a branch, tag or SHA names, or None."""
    if name.startswith("-"):
        return None
    for candidate in (f"refs/heads/{name}", f"refs/tags/{name}", name):
        try:
            return run(git, "rev-parse", "--verify", "--quiet", f"{candidate}^{{commit}}")
        except GitRefused:
            continue
    return None


def branch_tip(git: Path, branch: str) -> str | None:
    """The commit at the end of a branch, or None."""
    return refs(git).get(f"refs/heads/{branch}")


def is_ref_name(name: str) -> bool:
    """Whether git takes this name of a ref, and GitHub, which has two rules of its own (GH002)."""
    short = name.removeprefix("refs/heads/").removeprefix("refs/tags/")
    if len(short.encode()) > 255 or re.fullmatch(r"[0-9a-f]{40}", short):
        return False
    checked = subprocess.run(["git", "check-ref-format", name], check=False)
    return checked.returncode == 0


def set_ref(git: Path, ref: str, sha: str, old: str | None = None) -> None:
    """Create or move a ref; with ``old`` only from there (ZERO: it must be new)."""
    run(git, "update-ref", ref, sha, *([] if old is None else [old]))


def delete_ref(git: Path, ref: str) -> None:
    """Remove a ref."""
    run(git, "update-ref", "-d", ref)


def is_ancestor(git: Path, older: str, newer: str) -> bool:
    """Whether ``newer`` contains ``older``."""
    try:
        run(git, "merge-base", "--is-ancestor", older, newer)
    except GitRefused:
        return False
    return True


def commit(git: Path, sha: str) -> Commit:
    """Read one commit."""
    form = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"
    text = run(git, "log", "-1", f"--format={form}", sha)
    full, tree, parents, an, ae, ai, cn, ce, ci, body = text.split("\0", 9)
    return Commit(
        sha=full,
        tree=tree,
        parents=tuple(parents.split()),
        author=Person(an, ae, ai),
        committer=Person(cn, ce, ci),
        message=body.rstrip("\n"),
    )


def commits_between(git: Path, base: str, head: str) -> list[str]:
    """Commits of ``head`` that ``base`` has not, oldest first."""
    return run(git, "rev-list", "--reverse", f"{base}..{head}").split()


def history(git: Path, start: str, limit: int) -> list[str]:
    """The newest commits from ``start`` on."""
    return run(git, "rev-list", f"--max-count={limit}", start).split()


def merge_base(git: Path, base: str, head: str) -> str | None:
    """The best common ancestor, or None for unrelated histories."""
    try:
        return run(git, "merge-base", base, head)
    except GitRefused:
        return None


def diff(git: Path, base: str, head: str) -> str:
    """The text of ``git diff base...head``."""
    return raw(git, "diff", "--no-color", f"{base}...{head}").decode(errors="replace")


_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied"}


def changes(git: Path, base: str, head: str) -> list[FileChange]:
    """Each file that differs between the merge base and ``head``."""
    span = f"{base}...{head}"
    rows = run(git, "diff", "--raw", "-M", "--no-abbrev", "-z", span).split("\0")
    patches = _patches(diff(git, base, head))
    found, index = [], 0
    while index < len(rows) and rows[index].startswith(":"):
        fields = rows[index].split(" ")
        moved = fields[4][0] in "RC"
        old, new = rows[index + 1], rows[index + 2 if moved else index + 1]
        patch = patches.get(new, patches.get(old, ""))
        lines = patch.splitlines()
        found.append(
            FileChange(
                path=new,
                old_path=old,
                status=_STATUS.get(fields[4][0], "changed"),
                additions=sum(line.startswith("+") for line in lines),
                deletions=sum(line.startswith("-") for line in lines),
                sha=fields[3],
                patch=patch,
            )
        )
        index += 3 if moved else 2
    return found


def _patches(text: str) -> dict[str, str]:
    """Hunks by path, from the text of a diff."""
    found = {}
    for part in re.split(r"(?m)^diff --git ", text)[1:]:
        names = re.findall(r"(?m)^(?:---|\+\+\+) [ab]/(.*?)\t?$", part.partition("\n@@")[0])
        start = part.find("\n@@")
        if names and start >= 0:
            found[names[-1]] = part[start + 1 :].rstrip("\n")
    return found


def merge_tree(git: Path, base: str, head: str) -> str | None:
    """The tree of merging ``head`` into ``base``; None when they conflict (needs git 2.38)."""
    try:
        return run(git, "merge-tree", "--write-tree", base, head).split()[0]
    except GitRefused:
        return None


def commit_tree(
    git: Path, tree: str, parents: list[str], message: str, who: tuple[str, str], when: datetime
) -> str:
    """A new commit of that tree."""
    options = [option for parent in parents for option in ("-p", parent)]
    identity = _identity(*who, when)
    return run(git, "commit-tree", tree, *options, "-m", message, extra=identity)


def tree_with(git: Path, commit: str, files: dict[str, bytes | None]) -> str:
    """The tree of a commit with these files as plain ones; None removes, and must be there."""
    with tempfile.TemporaryDirectory() as work:
        index = {"GIT_INDEX_FILE": f"{work}/index"}
        run(git, "read-tree", commit, extra=index)
        for path, content in files.items():
            if content is None:
                if not run(git, "ls-tree", commit, "--", path):
                    raise GitRefused(
                        f"A path was requested for deletion which does not exist as of commit oid "
                        f"`{commit}`"
                    )
                run(git, "update-index", "--force-remove", "--", path, extra=index)
                continue
            file = Path(work) / "content"
            file.write_bytes(content)
            blob = run(git, "hash-object", "-w", "--", str(file))
            entry = f"100644,{blob},{path}"
            run(git, "update-index", "--add", "--cacheinfo", entry, extra=index)
        return run(git, "write-tree", extra=index)


def signed_commit(
    git: Path,
    tree: str,
    parent: str,
    message: str,
    author: tuple[str, str],
    committer: tuple[str, str],
    when: datetime,
) -> str:
    """A commit that the stand-in signs itself: an SSH key stands for GitHub's PGP key."""
    key = git.parent / "web-flow"
    if not key.exists():
        made = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "web-flow", "-f", str(key))
        subprocess.run(made, check=True, capture_output=True)
    register_signer(git, committer[1], key.with_suffix(".pub").read_text())
    identity = _identity(*committer, when) | {
        "GIT_AUTHOR_NAME": author[0],
        "GIT_AUTHOR_EMAIL": author[1],
    }
    settings = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}")
    asked = ("commit-tree", tree, "-p", parent, "-S", "-m", message)
    return run(git, *settings, *asked, extra=identity)


def signature(git: Path, sha: str) -> tuple[str, str]:
    """A commit's signature, and what was signed; both empty where it has none."""
    text = run(git, "cat-file", "commit", sha) + "\n"
    found = re.search(r"^gpgsig (.*(?:\n .*)*)\n", text, re.M)
    if found is None:
        return "", ""
    return found[1].replace("\n ", "\n"), text[: found.start()] + text[found.end() :]


def register_signer(git: Path, email: str, public_key: str) -> None:
    """Let signatures with this key be verified for commits of this address."""
    known = git / "allowed_signers"
    line = f'{email} namespaces="git" {" ".join(public_key.split()[:2])}\n'
    text = known.read_text() if known.exists() else ""
    if line not in text:
        known.write_text(text + line)


def _identity(name: str, email: str, when: datetime) -> dict[str, str]:
    date = f"{int(when.timestamp())} +0000"
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": email,
        "GIT_COMMITTER_DATE": date,
    }
