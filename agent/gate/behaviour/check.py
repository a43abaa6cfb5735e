"""Evidence about what a patched program does: examples, inputs nearby, and its strength."""

from __future__ import annotations

from collections.abc import Sequence

from agent.gate.behaviour.documented_examples import check_examples
from agent.gate.behaviour.similar_inputs import check_nearby
from agent.gate.behaviour.strength import (
    EvidenceToRun,
    StrengthLimits,
    measure_strength,
    naming_tests,
    strength_check,
)
from agent.gate.changed import ChangedFile
from agent.gate.proof import opened
from agent.gate.steps import Evidence, HeldPatch

_LEFT_OUT = "How strong the evidence is: the time for evidence was used up."


async def behaviour(held: HeldPatch) -> Evidence:
    """Run documented examples, inputs near the reproduction's, and variants of the patch.

    What contradicts the patch ends it: variants of a wrong patch say nothing. Both sides run in
    fresh sandboxes, without the patch nothing of the model's is there.
    """
    case, declared = held.case, held.case.reproduction
    async with opened(held.open_fresh) as clean, opened(held.open_fresh) as patched:
        await patched.apply(held.patch)
        settled = await patched.snapshot()
        seen, examples = await check_examples(
            clean, patched, held.files, case.base_files, case.issue, declared
        )
        same = await check_nearby(clean, patched, held.files, declared)
        checks = tuple(check for check in (seen, same) if check is not None)
        if not all(check.ok for check in checks) or held.policy.strength_variants == 0:
            return Evidence(checks=checks)
        if held.allowance.used_up:
            return Evidence(checks=checks, left_out=(_LEFT_OUT,))
        await patched.restore(settled)
        limits = StrengthLimits(
            most=held.policy.strength_variants,
            total_s=min(held.policy.strength_time_s, held.allowance.left_s),
            least_share=held.policy.strength_least_share,
        )
        tests = (*case.base_files, *_new(held.files))
        evidence = EvidenceToRun(
            reproduction=declared,
            test_command=case.test_command,
            test_files=await naming_tests(patched, held.files, tests),
            examples=examples,
        )
        strength = await measure_strength(patched, held.files, evidence, limits)
    if strength is None:
        return Evidence(checks=checks)
    return Evidence(checks=(*checks, strength_check(strength, limits)), strength=(strength,))


def _new(files: Sequence[ChangedFile]) -> tuple[str, ...]:
    return tuple(file.path for file in files if file.base is None and file.patched is not None)
