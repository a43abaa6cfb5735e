"""`--from-history`: a repository's merged fixes become instances, each proved in the sandbox."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from git import Commit, GitError, InvalidGitRepositoryError, NoSuchPathError, Repo

from agent.evaluation.history import Candidate, Change, Rejection, candidate, proved
from agent.evaluation.instances import Instance
from agent.testing.report import Outcome
from agent.testing.suite import NoTests, find_test_command, run_suite
from app.evaluation.repositories import History, Sources
from app.evaluation.sandboxes import Trees
from app.git.process import run_git
from sandbox.errors import PatchRefused, SandboxGone
from sandbox.setup.records import SetupFailed

RUNS_AFTER = 2
"""Runs of the tests with the fix; what does not pass in each of them is flaky and left out."""
RUN_ID = "eval-history"


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
) -> Mined:
    """Instances of the latest `commits` commits, newest first; at most `limit` (0: all).

    `repo` is an absolute path or an address; what is fetched stands under `fetched`. A commit
    counts as it landed on the branch: a merge is one change, against its first parent. Raises
    `NoHistory`, `GitError` and `SandboxError`.
    """
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
                worth = candidate(change)
                if isinstance(worth, Candidate):
                    waiting.append(worth)
                else:
                    rejected[worth] += 1
            if waiting and (over or len(waiting) >= parallel):
                for said in await asyncio.gather(*map(prover.prove, waiting)):
                    if isinstance(said, Instance):
                        found.append(said)
                        progress(f"{said.instance_id}: {said.problem_statement.splitlines()[0]}")
                    else:
                        rejected[said] += 1
                waiting = []
            over = over or bool(limit and len(found) >= limit)
    return Mined(tuple(found[:limit] if limit else found), looked_at, dict(rejected))


@dataclass(frozen=True, slots=True)
class _Prover:
    repo: str
    trees: Trees
    sources: Sources
    test_command: str
    timeout_s: float

    async def prove(self, found: Candidate) -> Instance | Rejection:
        """Run the commit's tests without and with its change of source."""
        try:
            command, (before,) = await self._run(found, (found.test_patch,), 1)
            if not any(outcome in ("failed", "error") for outcome in before.values()):
                return "no test fails before"
            _, after = await self._run(found, (found.source_patch, found.test_patch), RUNS_AFTER)
        except NoTests:
            return "no tests found"
        except PatchRefused:
            return "patch does not apply"
        except SetupFailed:
            return "set-up failed"
        except SandboxGone:
            return "sandbox died"
        return proved(found, self.repo, command, before, after)

    async def _run(
        self, found: Candidate, patches: Sequence[str], times: int
    ) -> tuple[str, list[dict[str, Outcome]]]:
        tree = await self.sources.tree(self.repo, found.change.parent)
        own = await self.trees.environment(tree, self.repo, found.statement)
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
        raise NoHistory(f"{path} is no git repository") from None
    except (GitError, ValueError) as problem:
        raise NoHistory(f"the history of {branch} in {path} cannot be read: {problem}") from None


def _change(commit: Commit, git_dir: Path) -> Change:
    message = commit.message
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    parent = commit.parents[0].hexsha if commit.parents else ""
    patch = _patch(git_dir, parent, commit.hexsha) if parent else ""
    return Change(commit=commit.hexsha, parent=parent, message=text, patch=patch)


def _patch(git_dir: Path, parent: str, commit: str) -> str:
    # By git itself and not by GitPython: no textconv, no external diff, no renames.
    options = ("-p", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
    diff = run_git(git_dir, "diff-tree", "-r", *options, parent, commit)
    # A file in another encoding does not survive this; its patch will be seen not to apply.
    return diff.decode("utf-8", "replace")
