"""What writes a reproduction for a change that brings no test: a model, from the issue alone."""

from __future__ import annotations

from collections.abc import Callable

from agent.journal.events import ReproductionDeclared
from agent.model import Model
from agent.proving.records import Change
from agent.proving.reproduce import (
    REPRODUCTION_CALLS,
    NothingWritten,
    WriteReproduction,
    write_reproduction,
)
from agent.task import Budget, Issue, Task
from sandbox.protocol import OpenSandbox


def writer_for(
    change: Change,
    issue: Issue,
    budget: Budget,
    make: Callable[[], Model],
    *,
    run_id: str,
    repository: str,
) -> WriteReproduction:
    """Writes what shows the bug of an issue, at the base of a change that it does not see."""

    async def write(open_base: OpenSandbox) -> ReproductionDeclared | NothingWritten:
        task = Task(
            run_id=run_id,
            repository=repository,
            base_commit=change.base,
            issue=issue,
            test_command=change.test_command,
            policy=change.policy,
            budget=budget.model_copy(update={"calls": REPRODUCTION_CALLS}),
        )
        model = make()
        try:
            return await write_reproduction(task, model, open_base)
        finally:
            await model.close()

    return write
