"""Evidence about what a patched program does: examples, inputs nearby, and its strength."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from agent.gate.background import Background
from agent.gate.behaviour.documented_examples import check_examples
from agent.gate.behaviour.similar_inputs import check_nearby
from agent.gate.behaviour.strength import (
    EvidenceToRun,
    StrengthLimits,
    measure_strength,
    naming_tests,
    strength_check,
)
from agent.gate.patch.changed_file import ChangedFile
from agent.gate.proof import fresh_sandbox
from agent.gate.steps import Evidence, HeldPatch
from sandbox.protocol import Sandbox

_LEFT_OUT = "How strong the evidence is: the time for evidence was used up."


async def behaviour(held: HeldPatch) -> Evidence:
    """Run documented examples, inputs near the reproduction's, and variants of the patch.

    What contradicts the patch ends it: variants of a wrong patch say nothing. The patched side runs
    in a fresh sandbox, opened when something is to run there; the other is the one in which nothing
    but the base has run.
    """
    case, declared = held.case, held.case.reproduction
    held.progress.begins("documented examples and inputs nearby")
    async with AsyncExitStack() as stack:

        async def open_patched() -> tuple[Sandbox, str]:
            sandbox = await stack.enter_async_context(fresh_sandbox(held.open_fresh))
            await sandbox.apply(held.patch)
            return sandbox, await sandbox.snapshot()

        opening = Background(open_patched)

        async def patched() -> Sandbox:
            return (await opening.result())[0]

        seen, examples = await check_examples(
            held.clean, patched, held.files, case.base_files, case.issue, declared
        )
        same = await check_nearby(held.clean, patched, held.files, declared)
        checks = tuple(check for check in (seen, same) if check is not None)
        if not all(check.ok for check in checks) or held.policy.strength_variants == 0:
            return Evidence(checks=checks)
        if held.allowance.used_up:
            return Evidence(checks=checks, left_out=(_LEFT_OUT,))
        sandbox, settled = await opening.result()
        await sandbox.restore(settled)
        limits = StrengthLimits(
            most=held.policy.strength_variants,
            total_s=min(held.policy.strength_time_s, held.allowance.left_s),
            least_share=held.policy.strength_least_share,
        )
        tests = (*case.base_files, *_new(held.files))
        evidence = EvidenceToRun(
            reproduction=declared,
            test_command=case.test_command,
            test_files=await naming_tests(sandbox, held.files, tests),
            examples=examples,
        )
        strength = await measure_strength(sandbox, held.files, evidence, limits)
    if strength is None:
        return Evidence(checks=checks)
    return Evidence(checks=(*checks, strength_check(strength, limits)), strength=(strength,))


def _new(files: Sequence[ChangedFile]) -> tuple[str, ...]:
    return tuple(file.path for file in files if file.base is None and file.patched is not None)
