"""The block of a run's patch, and of anybody's change: only what this program computed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Literal

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from agent.journal.events import (
    Check,
    GateJudged,
    HunkEvidence,
    ReproductionDeclared,
    SideCounts,
    Strength,
)
from agent.proving.records import ChangeProof
from app.proof_block.schema import (
    CHECK_NAME,
    MOST_CHECKS,
    BlockCheck,
    BlockEnvironment,
    BlockGate,
    BlockHunks,
    BlockPatch,
    BlockRepository,
    BlockReproduction,
    BlockSide,
    BlockStrength,
    BlockSuite,
    BlockTimes,
    ProofBlock,
    moment,
)

REPRODUCTION, SUITE = "reproduction", "test suite"
_NO_COMMIT = "0" * 40


@dataclass(frozen=True, slots=True)
class Subject:
    """What a proof is of, and when it was made."""

    id: str
    """Of the run or of the proof."""
    repository: str
    repository_id: int
    base: str
    head: str
    asked_at: datetime
    judged_at: datetime | None
    degraded: bool


def block_of_fix(
    about: Subject, patch: str, judged: GateJudged | None, declared: ReproductionDeclared | None
) -> ProofBlock:
    """The block of a patch that a run wrote; `judged` is None where the gate saw none."""
    checks = judged.checks if judged else ()
    held = {check.name: check.ok for check in checks}
    return _block(
        about,
        "fix",
        patch,
        judged,
        verdict=judged.verdict if judged else "unproven",
        shows="a bug" if held.get(REPRODUCTION) else "",
        reproduction=_reproduction(checks, declared, "run"),
        image=judged.image if judged else "",
    )


def block_of_change(about: Subject, found: ChangeProof) -> ProofBlock:
    """The block of somebody's change."""
    judged = found.judged
    return _block(
        about,
        "change",
        judged.patch if judged else "",
        judged,
        verdict=found.verdict,
        shows=found.shows,
        reproduction=_reproduction(
            judged.checks if judged else (), found.written, "model" if found.written else "change"
        ),
        image=found.image,
    )


def _block(
    about: Subject,
    kind: Literal["fix", "change"],
    patch: str,
    judged: GateJudged | None,
    *,
    verdict: Literal["proven", "contested", "unproven", "refused", "failed"],
    shows: Literal["", "a bug", "something new"],
    reproduction: BlockReproduction | None,
    image: str,
) -> ProofBlock:
    return ProofBlock(
        version=1,
        kind=kind,
        id=re.sub(r"[^A-Za-z0-9_-]", "_", about.id)[:64] or "_",
        repository=BlockRepository(id=about.repository_id, name=about.repository),
        base=about.base or _NO_COMMIT,
        head=about.head or _NO_COMMIT,
        verdict=verdict,
        shows=shows,
        contested=len(judged.contested) if judged else 0,
        patch=_patch(patch),
        reproduction=reproduction,
        suite=_suite(judged.checks if judged else ()),
        hunks=_hunks(judged.hunks if judged else ()),
        strength=_strength(judged.strength if judged else ()),
        checks=tuple(
            BlockCheck(name=check.name, held=check.ok, advice=check.advice)
            for check in (judged.checks if judged else ())
            if re.fullmatch(CHECK_NAME, check.name)
        )[:MOST_CHECKS],
        gate=BlockGate(program="patchwright", version=version("patchwright")),
        environment=BlockEnvironment(
            image=_digest(image),
            degraded=about.degraded,
        ),
        times=BlockTimes(
            asked=moment(about.asked_at),
            judged=moment(about.judged_at) if about.judged_at else None,
        ),
    )


def _digest(image: str) -> str:
    """An image's digest: where it is from is nobody's business."""
    found = re.search(r"sha256:[0-9a-f]{64}\Z", image)
    return found[0] if found else ""


def _patch(patch: str) -> BlockPatch:
    try:
        files = PatchSet(patch)
        count = (len(files), sum(f.added for f in files), sum(f.removed for f in files))
    except UnidiffParseError:
        count = (0, 0, 0)
    return BlockPatch(sha256=_sha256(patch), files=count[0], added=count[1], removed=count[2])


def _reproduction(
    checks: Sequence[Check],
    declared: ReproductionDeclared | None,
    by: Literal["run", "change", "model"],
) -> BlockReproduction | None:
    """What shows the bug; None where nothing does."""
    seen = _last(checks, REPRODUCTION)
    command = declared.command if declared else seen.command if seen else ""
    if not command:
        return None
    files = declared.files if declared else {}
    return BlockReproduction(
        id=_sha256(json.dumps([command, files], sort_keys=True)),
        by=by,
        before=_side(seen.counts_before) if seen else None,
        after=_side(seen.counts_after) if seen else None,
    )


def _suite(checks: Sequence[Check]) -> BlockSuite | None:
    seen = _last(checks, SUITE)
    before, after = (_side(seen.counts_before), _side(seen.counts_after)) if seen else (None, None)
    return BlockSuite(before=before, after=after) if before and after else None


def _side(counts: SideCounts | None) -> BlockSide | None:
    return BlockSide(**counts.model_dump()) if counts else None


def _hunks(hunks: Sequence[HunkEvidence]) -> BlockHunks | None:
    if not hunks:
        return None
    needed = sum(bool(hunk.needed_by) for hunk in hunks)
    untried = sum(not hunk.tried and not hunk.needed_by for hunk in hunks)
    return BlockHunks(needed=needed, unneeded=len(hunks) - needed - untried, untried=untried)


def _strength(measured: Sequence[Strength]) -> BlockStrength | None:
    """The last measurement, if it measured anything."""
    if not measured or measured[-1].void:
        return None
    return BlockStrength(tried=measured[-1].tried, told_apart=measured[-1].told_apart)


def _last(checks: Sequence[Check], name: str) -> Check | None:
    """Where a pull request grew, its whole change is judged last."""
    return next((check for check in reversed(checks) if check.name == name), None)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()
