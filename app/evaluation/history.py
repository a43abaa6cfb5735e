"""`--from-history`: a repository's merged fixes become instances, each proved in the sandbox."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from git import Commit, GitError, InvalidGitRepositoryError, NoSuchPathError, Repo

from agent.evaluation.history import Candidate, Change, Rejection, candidate, proven_instance
from agent.evaluation.instances import Instance
from agent.testing.report import Outcome
from agent.testing.suite import NoTests, find_test_command, run_suite
from app.evaluation.folder import MinedCommit
from app.evaluation.repositories import History, Sources
from app.evaluation.sandboxes import Trees
from app.git.process import GitError as HostGitError
from app.git.process import GitFailed, run_git
from sandbox.errors import PatchRefused, SandboxGone
from sandbox.setup.records import SetupFailed

RUNS_AFTER = 2
"""Runs of the tests with the fix; what does not pass in each of them is flaky and left out."""
RUN_ID = "eval-history"


class _NetworkAway(Exception):
    """A set-up failed because of the network, which says nothing of the commit."""


class NoHistory(Exception):
    """A repository's history cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Mined:
    """What a history gave."""

    instances: tuple[Instance, ...]
    looked_at: int
    rejected: Mapping[Rejection, int]


async def mine(
    repo: str,
    trees: Trees,
    fetched: Path,
    *,
    branch: str = "HEAD",
    limit: int = 0,
    commits: int = 2000,
    parallel: int = 1,
    test_command: str = "",
    timeout_s: float = 600.0,
    progress: Callable[[str], None] = lambda _: None,
    known: Mapping[str, MinedCommit] | None = None,
    keep: Callable[[MinedCommit], None] = lambda _: None,
) -> Mined:
    """Instances of the latest `commits` commits, newest first; at most `limit` (0: all).

    `repo` is an absolute path or an address; what is fetched stands under `fetched`. A commit
    counts as it landed on the branch: a merge is one change, against its first parent. `keep` gets
    what became of each commit as soon as that is known; commits in `known`, from an earlier call
    that was cut off, are not tried again. Raises `NoHistory`, `GitError` and `SandboxError`.
    """
    known = known or {}
    found: list[Instance] = []
    rejected: Counter[Rejection] = Counter()
    looked_at = 0
    with tempfile.TemporaryDirectory(prefix="patchwright-history-") as folder:
        scratch = Path(folder)
        sources = Sources(scratch, fetched)
        prover = _Prover(repo, trees, sources, test_command, timeout_s)
        waiting: list[Candidate] = []
        changes = _changes(await sources.history(repo, branch), commits)
        over = False
        while not over:
            change = await asyncio.to_thread(next, changes, None)
            over = change is None
            if change is not None:
                looked_at += 1
                before = known.get(change.commit)
                worth = _earlier(before) if before is not None else candidate(change)
                if isinstance(worth, Candidate):
                    waiting.append(worth)
                elif isinstance(worth, Instance):
                    found.append(worth)
                else:
                    rejected[worth] += 1
            if waiting and (over or len(waiting) >= parallel):
                for tried, outcome in await asyncio.gather(*map(prover.prove, waiting)):
                    keep(_outcome(repo, tried, outcome))
                    if isinstance(outcome, Instance):
                        found.append(outcome)
                        progress(
                            f"{outcome.instance_id}: {outcome.problem_statement.splitlines()[0]}"
                        )
                    else:
                        rejected[outcome] += 1
                waiting = []
            over = over or bool(limit and len(found) >= limit)
    return Mined(tuple(found[:limit] if limit else found), looked_at, dict(rejected))


def _earlier(before: MinedCommit) -> Instance | Rejection:
    return before.instance or before.rejected or "cannot be read"


def _outcome(repo: str, tried: Candidate, outcome: Instance | Rejection) -> MinedCommit:
    commit = tried.change.commit
    if isinstance(outcome, Instance):
        return MinedCommit(repo=repo, commit=commit, instance=outcome)
    return MinedCommit(repo=repo, commit=commit, rejected=outcome)


@dataclass(frozen=True, slots=True)
class _Prover:
    repo: str
    trees: Trees
    sources: Sources
    test_command: str
    timeout_s: float

    async def prove(self, found: Candidate) -> tuple[Candidate, Instance | Rejection]:
        """Run the commit's tests without and with its change of source.

        What a real history holds is a reason to leave a commit out, and ends nothing. Raises
        `SandboxError` when the engine is unavailable.
        """
        try:
            return found, await self._prove_candidate(found)
        finally:
            await self.sources.drop(self.repo, found.change.parent)

    async def _prove_candidate(self, found: Candidate) -> Instance | Rejection:
        try:
            command, (before,) = await self._run(found, (found.test_patch,), 1)
            if not any(outcome in ("failed", "error") for outcome in before.values()):
                return "no test fails before"
            _, after = await self._run(found, (found.source_patch, found.test_patch), RUNS_AFTER)
        except NoTests:
            return "no tests found"
        except PatchRefused:
            return "patch does not apply"
        except SetupFailed as error:
            return "network away" if error.is_network_fault else "set-up failed"
        except _NetworkAway:
            return "network away"
        except SandboxGone:
            return "sandbox died"
        except HostGitError:
            return "cannot be read"
        return proven_instance(found, self.repo, command, before, after)

    async def _run(
        self, found: Candidate, patches: Sequence[str], times: int
    ) -> tuple[str, list[dict[str, Outcome]]]:
        tree = await self.sources.tree(self.repo, found.change.parent)
        own = await self.trees.environment(tree, self.repo, found.statement)
        if own.network_away:
            raise _NetworkAway
        sandbox = await self.trees.open(
            run_id=RUN_ID, purpose="history", image=own.image, tree=tree
        )
        try:
            for patch in patches:
                await sandbox.apply(patch)
            command = self.test_command or own.test_command or await find_test_command(sandbox)
            runs = [
                (await run_suite(sandbox, command, timeout_s=self.timeout_s)).outcomes
                for _ in range(times)
            ]
        finally:
            await sandbox.close()
        return command, runs


def _changes(history: History, most: int) -> Iterator[Change]:
    """The latest changes of a branch, newest first."""
    path, branch = history.place, history.branch
    try:
        with Repo(path) as repo:
            for commit in repo.iter_commits(branch, first_parent=True, max_count=most):
                yield _change(commit, history.git_dir)
    except (InvalidGitRepositoryError, NoSuchPathError):
        raise NoHistory(f"{path} is not a git repository") from None
    except (GitError, ValueError) as problem:
        raise NoHistory(f"the history of {branch} in {path} cannot be read: {problem}") from None


def _change(commit: Commit, git_dir: Path) -> Change:
    message = commit.message
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    parent = commit.parents[0].hexsha if commit.parents else ""
    change = Change(commit=commit.hexsha, parent=parent, message=text, patch="")
    if not parent:
        return change
    try:
        return change.model_copy(update={"patch": _patch(git_dir, parent, commit.hexsha)})
    except UnicodeDecodeError:
        return change.model_copy(update={"unusable": "is not UTF-8 text"})
    except GitFailed:
        return change.model_copy(update={"unusable": "cannot be read"})


def _patch(git_dir: Path, parent: str, commit: str) -> str:
    # By git itself and not by GitPython: no textconv, no external diff, no renames.
    options = ("-p", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
    return run_git(git_dir, "diff-tree", "-r", *options, parent, commit).decode("utf-8")
