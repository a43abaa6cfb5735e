"""States of runs on the stand-in's shop, to publish."""

from dataclasses import replace

from agent.journal.events import (
    AttemptStarted,
    Check,
    GateJudged,
    ReproductionDeclared,
    Submitted,
)
from agent.journal.state import AttemptState, fold
from tests.support.github.app import PATCH

PROVEN = GateJudged(verdict="proven", patch=PATCH, checks=(Check(name="reproduction", ok=True),))


def state_of(patch: str = PATCH, verdict: GateJudged | None = PROVEN) -> AttemptState:
    state = fold(
        [
            AttemptStarted(
                model="m",
                prompt_version="1",
                base_commit="",
                system_prompt="",
                task_prompt="",
                test_command="pytest -q",
            ),
            ReproductionDeclared(
                command="pytest -q", expected_failure="E", observed="E", accepted=True
            ),
            Submitted(root_cause="Starts at 1.", summary="Start at 0.", patch=patch),
        ]
    )
    return replace(state, verdict=verdict)
