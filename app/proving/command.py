"""The proof of a local repository's change, from its commits to the gate's verdict."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.evaluation.history import problem_statement
from agent.proving.prove import prove_change
from agent.proving.records import Change, ChangeProof
from agent.proving.reproduce import WriteReproduction
from agent.task import Issue
from app.git.local import LocalChange, local_change, mirror_history
from app.llm.factory import make_model
from app.proving.reproduction import writer_for
from app.sandboxes.base import present_image, spec_of
from app.sandboxes.kept_base import FOLDER, kept_base
from app.sandboxes.local_environment import LocalEnvironment, prepare_local_environment
from app.sandboxes.orphans import own_sandboxes
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Sandbox


@dataclass(frozen=True, slots=True)
class ProveRequest:
    """What was asked on the command line."""

    path: Path
    base: str
    head: str = "HEAD"
    issue: Issue | None = None
    """None: what the commits' messages say."""
    test_command: str = ""
    strength: int = 0
    """Small variants of the change that its evidence is tried on."""


async def prove_local(
    request: ProveRequest, settings: Settings, say: Callable[[str], None]
) -> ChangeProof:
    """Prove the change between two commits of a repository on this machine.

    The environment is that of the base: what the change says about its set-up is not followed.
    `say` is told what is done. Raises `GitError`, `SettingsError`, `SandboxError`.
    """
    found = await asyncio.to_thread(local_change, request.path, request.base, request.head)
    engine = DockerEngine(settings.docker_url)
    try:
        with tempfile.TemporaryDirectory(prefix="patchwright-") as folder:
            scratch, tree = Path(folder), Path(folder) / "tree.tar"
            mirror = await asyncio.to_thread(mirror_history, request.path, scratch)
            patch = await asyncio.to_thread(mirror.diff, found.base, found.head)
            await asyncio.to_thread(mirror.tree_tar, found.base, tree)
            await present_image(engine, settings)
            async with own_sandboxes(engine) as own:
                return await _prove(engine, settings, request, found, patch, tree, own, say)
    finally:
        await engine.close()


async def _prove(
    engine: DockerEngine,
    settings: Settings,
    request: ProveRequest,
    found: LocalChange,
    patch: str,
    tree: Path,
    own: str,
    say: Callable[[str], None],
) -> ChangeProof:
    repository, run_id = str(request.path.resolve()), f"prove-{uuid.uuid4().hex[:12]}"
    issue = request.issue or issue_of(found.message)
    environment = await prepare_local_environment(
        engine,
        settings,
        tree,
        repository,
        issue.body,
        run_id=run_id,
        installation=own,
        say=say,
        test_command=request.test_command,
    )
    image = environment.image or settings.sandbox_image or BASE_IMAGE
    if environment.degraded:
        say(f"The environment is degraded: {environment.degraded}")

    async def open_base() -> Sandbox:
        return await engine.open(spec_of(settings, image, run_id, "prove", own), tree)

    folder = settings.state_dir / FOLDER
    kept = await kept_base(folder, repository, tree, await engine.image_id(image))
    change = Change(
        base=found.base,
        head=found.head,
        patch=patch,
        issue=issue,
        test_command=_test_command(request, environment),
        policy=environment.policy.model_copy(update={"strength_variants": request.strength}),
        test_timeout_s=settings.budget.test_timeout_s,
        degraded="" if environment.speaks_in_part else environment.degraded,
        kept_base=kept,
        at_once=settings.gate_at_once(1),
    )
    writing = reproduction_writer(settings, request, change, run_id)
    return await prove_change(change, open_base, say, writing)


def reproduction_writer(
    settings: Settings, request: ProveRequest, change: Change, run_id: str
) -> WriteReproduction | None:
    """What writes a reproduction from the issue that was given; None without issue or model."""
    if request.issue is None or settings.profile == "offline":
        return None
    return writer_for(
        change,
        request.issue,
        settings.budget,
        lambda: make_model(settings, run_id=run_id, looking=True),
        run_id=run_id,
        repository=request.path.resolve().name,
    )


def _test_command(request: ProveRequest, environment: LocalEnvironment) -> str:
    """The command that was asked for, the base's own, or the one that its environment was tried
    with; empty: it is found out."""
    tried = environment.trial.command if environment.trial is not None else ""
    return request.test_command or environment.test_command or tried


def issue_of(message: str) -> Issue:
    """What commits' messages say that a change is about."""
    title, _, body = problem_statement(message).partition("\n")
    return Issue(title=title.strip() or "A change without a message", body=body.strip())
