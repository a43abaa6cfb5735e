"""What a run's sandboxes start from: the tree of a commit as a file, and the environment's image.

The environment is made, repaired if need be, and noted in the run's journal.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from agent.cancellation import unless_stopped
from agent.journal.events import EnvironmentPrepared, SetupTried
from app.git.commit_history import CommitHistories, HistoryArchive
from app.git.mirror import Mirror
from app.git.process import GitError
from app.git.tree_archive import TreeSource, write_tree
from app.github.forge import Forge
from app.publishing import publish
from app.publishing.commits import with_token
from app.publishing.facts import RECIPE_LOG
from app.repo_config.effective import EffectiveConfig
from app.runs.active_run import ISSUE_LOG, ActiveRun
from app.runs.results import Prepared
from app.runs.services import Services
from app.sandboxes.environment import (
    PreparedEnvironment,
    SetupRepairer,
    TestedEnvironment,
    environment_request,
    proposal,
)
from app.sandboxes.setup_repair import is_found_by_model
from app.spending.account import Payer
from app.storage.atomic_file import atomic_file
from app.storage.records import Run
from app.storage.store import SqlStore
from app.telemetry import logs

_LONGEST = 2_000
_log = logs.get(__name__)


async def tree_file(run: ActiveRun, commit: str, clone_url: str) -> Path:
    """The tree of a commit as a file, created if it does not exist."""
    path = run.trees_dir / f"{run.record.id}-{commit}.tar"
    if not path.exists():
        mirror = await mirror_with(run, commit, clone_url)
        config = await run.services.config(run.forge)
        await write_tree_of(run.services, run.forge, config, mirror, commit, clone_url, path)
    await _ensure_environment(run, path, commit, clone_url)
    return path


async def history_file(run: ActiveRun, commit: str, clone_url: str) -> HistoryArchive | None:
    """The history up to a commit as a file; None where none is wanted or can be given."""
    config = await run.services.config(run.forge)
    if not config.history:
        return None
    mirror = await mirror_with(run, commit, clone_url)
    settings = run.services.settings
    folder = settings.state_dir / "histories" / mirror.git_dir.stem
    histories = CommitHistories(mirror, folder, settings.history_limits)
    path = run.trees_dir / f"{run.record.id}-{commit}-history.tar"

    def write() -> HistoryArchive | None:
        with histories.held(commit, config.tree.sparse) as found:
            if found is None:
                return None
            with atomic_file(path) as part:
                made = found.write_tar(part)
            return replace(made, file=path)

    try:
        return await asyncio.to_thread(write)
    except GitError as error:  # the tree is there: the run can do without
        _log.warning("no history for the sandbox", run=run.record.id, why=str(error))
        return None


async def write_tree_of(
    services: Services,
    forge: Forge,
    config: EffectiveConfig,
    mirror: Mirror,
    commit: str,
    clone_url: str,
    path: Path,
) -> None:
    """Write the tree of a commit, with what the repository wants of it, to a tar file."""
    shape, ca_file = config.tree, str(services.settings.github_ca_file or "")
    with atomic_file(path) as path_written:

        def write(token: str) -> None:
            source = TreeSource(mirror, clone_url, services.mirror, token, ca_file)
            write_tree(source, commit, path_written, shape)

        if shape.is_plain:
            await asyncio.to_thread(mirror.tree_tar, commit, path_written)
        else:
            await with_token(forge, write)


async def _ensure_environment(run: ActiveRun, path: Path, commit: str, clone_url: str) -> None:
    """Ensure that the image exists from which the tree's sandboxes start."""
    if run.services.prepare is None:
        return
    config = await run.services.config(run.forge)
    issue_text = (run.store.get_log(run.record.id, ISSUE_LOG) or b"").decode("utf-8", "replace")
    default = (await run.forge.repository()).default_branch
    mirror = run.mirror(clone_url)
    on_default = await asyncio.to_thread(mirror.is_on_branch, default, commit)
    environment = prepare_environment(
        run.services, run.store, run.record, config, path, issue_text, on_default=on_default
    )
    await unless_stopped(lambda: run.store.stop_reason(run.record.id), environment)


async def fetch(run: ActiveRun) -> publish.Fetched:
    """Bring the mirror up to date; the tip of the branch that the run works from."""
    mirror = run.mirror((await run.repository()).clone_url)
    return await publish.fetch(run.forge, mirror, run.record.trigger.base_branch)


async def at_its_place(run: ActiveRun, prepared: Prepared) -> Prepared:
    """The same, with the repository's address and branch as they are called now."""
    repository = await run.repository()
    return replace(
        prepared,
        clone_url=repository.clone_url,
        base_branch=run.record.trigger.base_branch or repository.default_branch,
    )


async def mirror_with(run: ActiveRun, commit: str, clone_url: str) -> Mirror:
    """The mirror, with this commit fetched: another machine may have started the run."""
    mirror = run.mirror(clone_url)
    if await asyncio.to_thread(mirror.has, commit):
        await with_token(run.forge, mirror.check_access)
    else:
        await publish.fetch(run.forge, mirror, run.record.trigger.base_branch)
    return mirror


async def prepare_environment(
    services: Services,
    store: SqlStore,
    run: Run,
    config: EffectiveConfig,
    tree_file: Path,
    issue_text: str,
    *,
    on_default: bool,
) -> None:
    """Ensure that the image exists from which the tree's sandboxes start. Raises `SandboxError`.

    `on_default` says whether the tree is a commit of the default branch.
    """
    if services.prepare is None:
        return

    def note(tried: SetupTried) -> None:
        store.append(run.id, [tried])

    async def waiting(reason: str, seconds: float) -> None:
        """The model tells of it when it continues."""

    settings = services.settings
    repairer = SetupRepairer(
        model=lambda: services.model(Payer.of(run), 0, waiting, looking=True),
        tries=settings.setup_tries if settings.profile != "offline" else 0,
        note=note,
        test_command=config.test_command,
        test_timeout_s=config.budget.test_timeout_s,
    )
    # With the id: a later repository of the same name must get nothing of this one.
    repository = f"{run.repository} [{run.repository_id}]"
    request = environment_request(repository, config, issue_text, on_default=on_default)
    prepared = await services.prepare(
        run.id, tree_file, request, repairer if repairer.tries else None
    )
    if prepared is not None:
        event = environment_event(prepared)
        if isinstance(prepared, TestedEnvironment) and prepared.trial is not None:
            kept = prepared.trial.run.model_dump_json()
            store.put_log(run.id, base_run_log(tree_file), kept.encode())
        if event.recipe and is_found_by_model(event.source):
            store.put_log(run.id, RECIPE_LOG, event.recipe.encode())
        store.append(run.id, [event])


def base_run_log(tree_file: Path) -> str:
    """The log id under which the suite's run on a tree is kept, as its environment was chosen."""
    return f"suite:{tree_file.stem}"


def environment_event(prepared: PreparedEnvironment) -> EnvironmentPrepared:
    """What the journal records about an environment."""
    tested = prepared if isinstance(prepared, TestedEnvironment) else None
    trial = tested.trial if tested else None
    return EnvironmentPrepared(
        attempt=0,
        source=prepared.environment.source,
        image=prepared.image,
        cached=prepared.cached,
        duration_ms=round(prepared.duration_s * 1000),
        failed=tuple(str(failure)[:_LONGEST] for failure in prepared.failed),
        recipe=proposal(prepared.environment),
        degraded=prepared.degraded,
        speaks_in_part=tested.speaks_in_part if tested else False,
        tests=trial.readiness.summary if trial else "",
        others=tuple(line[:_LONGEST] for line in tested.others) if tested else (),
    )
