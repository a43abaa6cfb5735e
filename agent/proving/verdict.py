"""What the gate's checks mean for a change that people or other programs made."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.gate.compare import file_of
from agent.journal.events import JUSTIFIABLE, UNREAD, Check, GateJudged
from agent.proving.records import Finding, ProofVerdict

HONEST_REPRODUCTION = "honest reproduction"
RULES = frozenset(
    {
        *("patch", "tests are kept", "test options are kept", "no module is shadowed"),
        *("honest code", HONEST_REPRODUCTION, UNREAD, *JUSTIFIABLE),
    }
)
"""Checks of what is written, not of what runs show: broken ones are findings."""
SUITE = "test suite"
REPRODUCTION = "reproduction"


def findings_of(judged: GateJudged) -> tuple[Finding, ...]:
    """The broken rules, and the tests that were changed as they contradict the change."""
    broken = [
        Finding(rule=check.name, detail=check.detail)
        for check in judged.checks
        if check.name in RULES and check.detail
    ]
    if judged.contested:
        named = ", ".join(claim.test for claim in judged.contested)
        said = f"What these existing tests asked for is no longer so, and they were edited: {named}"
        broken.append(Finding(rule="changed tests", detail=said))
    return tuple(broken)


def of_written(judged: GateJudged) -> GateJudged:
    """The gate's verdict where a model wrote the reproduction: its rules hold for that as ever.

    People may break rules with their changes; a reproduction that does shows nothing.
    """
    checks = tuple(
        check.model_copy(update={"ok": False})
        if check.name == HONEST_REPRODUCTION and check.detail
        else check
        for check in judged.checks
    )
    if all(check.ok for check in checks):
        return judged
    return judged.model_copy(update={"checks": checks, "verdict": "unproven"})


def suspected(judged: GateJudged, test_files: Collection[str]) -> tuple[str, ...]:
    """Tests that passed without the change and did not with it.

    One that no longer runs counts where its file is not among those that the change edits
    (`test_files`): there it may have been removed or renamed.
    """
    return tuple(
        test.name
        for check in judged.checks
        if check.name == SUITE
        for test in check.tests
        if test.before == "passed"
        and (
            test.after in ("failed", "error")
            or (not test.after and file_of(test.name) not in test_files)
        )
    )


def verdict_of(judged: GateJudged, *, shows_a_bug: bool, broken: Collection[str]) -> ProofVerdict:
    """The verdict on a change from the gate's on its patch."""
    if broken:
        return "failed"
    good = judged.verdict in ("proven", "contested")
    return "proven" if good and shows_a_bug else "unproven"


def missing_in(judged: GateJudged, nothing_shown: Sequence[str]) -> tuple[str, ...]:
    """What a change lacks for a proof, in sentences. `nothing_shown`: why no test shows a bug."""
    if not nothing_shown and judged.verdict in ("proven", "contested"):
        return ()
    return (*nothing_shown, *(c.detail for c in judged.checks if _lacks(c, bool(nothing_shown))))


def _lacks(check: Check, nothing_shown: bool) -> bool:
    """Whether a check says what is missing; that no reproduction was declared is said already."""
    return not check.ok and not (nothing_shown and check.name == REPRODUCTION)
