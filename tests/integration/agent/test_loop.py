"""Three hundred tool calls in a real container, driven by a policy that only has a seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.best_of import choose, run_attempts
from agent.gate.judge import Submission
from agent.journal.events import EVENT, GateJudged
from agent.journal.state import AttemptState, fold
from agent.journal.store import MemoryStore
from agent.session import debug
from agent.task import Budget, Issue, Task
from sandbox.docker.engine import DockerEngine, SandboxSpec
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits, OpenSandbox, Sandbox
from tests.doubles.seeded_policy import FILES, TITLE, SeededModel
from tests.support.agent.tool_context import Workbench
from tests.support.sandboxes.fixtures import DockerOpener, tar_of

pytestmark = [pytest.mark.docker]


async def gate_agrees(submission: Submission, open_fresh: OpenSandbox, *_: object) -> GateJudged:
    return GateJudged(verdict="proven", patch=submission.patch)


async def run(
    engine: DockerEngine, tree: Path, model: SeededModel, store: MemoryStore, attempt: int = 1
) -> AttemptState:
    task = Task(
        run_id="seeded",
        repository="o/shop",
        base_commit="c0",
        issue=Issue(title=TITLE, body=""),
        budget=Budget(calls=400),
    )

    async def open_sandbox() -> Sandbox:
        spec = SandboxSpec(
            image=BASE_IMAGE,
            limits=Limits(),
            run_id="seeded",
            purpose=f"attempt-{attempt}",
            installation="seeded",
        )
        return await engine.open(spec, tree)

    return await debug(
        task,
        model=model,
        store=store,
        open_sandbox=open_sandbox,
        attach=engine.attach,
        open_fresh=open_sandbox,
        attempt=attempt,
        judge_with=gate_agrees,
    )


def common_prefix(a: Sequence[str], b: Sequence[str]) -> int:
    """Characters that two prompts share from their start."""
    shared = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            same = itertools.takewhile(
                lambda pair: pair[0] == pair[1], zip(left, right, strict=False)
            )
            return shared + sum(1 for _ in same)
        shared += len(left)
    return shared


def reused_share(prompts: Sequence[Sequence[str]]) -> float:
    """Of all that was sent after the first prompt's turn, how much the turn before had sent."""
    pairs = list(itertools.pairwise(prompts))
    return sum(common_prefix(a, b) for a, b in pairs) / sum(sum(map(len, a)) for a, _ in pairs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("window", "least", "cuts"), [(10_000_000, 0.99, False), (64_000, 0.97, True)]
)
async def test_three_hundred_calls_with_errors_timeouts_and_huge_outputs(
    engine: DockerEngine,
    tmp_path: Path,
    window: int,
    least: float,
    cuts: bool,
):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    model = SeededModel(seed=seed, steps=300, window=window)
    store = MemoryStore()
    state = await run(engine, tar_of(FILES, tmp_path / "tree.tar"), model, store)

    assert state.outcome == "proven", state.diagnosis
    assert state.calls_used == 300
    assert "+    return amount - amount * discount / 100" in state.verdict.patch
    assert "notes.txt" not in state.verdict.patch, "refuted hypotheses left nothing behind"

    events = [r.event for r in store.events("seeded")]
    statuses = {e.status for e in events if e.type == "tool_finished"}
    assert statuses >= {"ok", "refused", "timeout"}
    folded = reread = AttemptState()
    for i, event in enumerate(events):
        folded = fold([event], folded)
        # As another process reads it from the database.
        reread = fold([EVENT.validate_json(EVENT.dump_json(event))], reread)
        assert reread == folded, f"at event {i}"
        if i % 50 == 0:
            assert fold(events[: i + 1]) == folded
    assert folded == state

    announced = [e for e in events if e.type == "context_cut"]
    assert bool(announced) is cuts
    if cuts:
        assert len(announced) >= 2
    broken = sum(1 for a, b in itertools.pairwise(model.prompts) if tuple(b[: len(a)]) != tuple(a))
    assert broken == len(announced), "the prefix changes at announced cuts and nowhere else"
    share = reused_share(model.prompts)
    print(f"reused share {share:.4f}, cuts {len(announced)}")
    assert share >= least


async def test_search_finds_and_explains(open_docker: DockerOpener):
    call = Workbench(await open_docker(dict(FILES)))
    reply = await call("search", pattern="def total", glob="*.py")
    assert reply.text == "shop/prices.py:1:def total(prices, discount=0):"
    assert (await call("search", pattern="no such words")).text == "nothing found"
    assert (await call("search", pattern="(")).status == "error"


async def test_attempts_run_side_by_side_in_sandboxes_of_their_own(
    engine: DockerEngine, tmp_path: Path
):
    tree = tar_of(FILES, tmp_path / "tree.tar")
    store = MemoryStore()

    async def one(number: int) -> AttemptState:
        model = SeededModel(seed=number, steps=14, slow_commands=False)
        return await run(engine, tree, model, store, number)

    states = await run_attempts(2, one)
    assert [s.outcome for s in states] == ["proven", "proven"]
    assert choose(states).number == 1
    assert len({s.sandbox_id for s in states}) == 2
    assert await engine.sweep((), installation="seeded") == [], "both were closed"
