"""Several attempts side by side, and which of them is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from agent.errors import AgentError, LostLease, ModelAway
from agent.journal.state import AttemptState
from sandbox.errors import EngineUnavailable, SandboxError

RunAttempt = Callable[[int], Awaitable[AttemptState]]
"""Runs the attempt with this number (from 1) to its end."""

_OF_ALL = (ModelAway, LostLease, EngineUnavailable)
"""What would befall the other attempts too, or must end them."""

_RANK = {"proven": 0, "draft": 1, "diagnosis": 2, "stopped": 3, "failed": 4}
_UNPROVEN = ("draft", "diagnosis", "failed")
"""After such ends another attempt may do better."""


@dataclass(frozen=True, slots=True)
class ChosenAttempt:
    """The attempt that is taken, with its number."""

    number: int
    state: AttemptState


async def run_attempts(count: int, run_attempt: RunAttempt) -> tuple[AttemptState, ...]:
    """Run `count` attempts at once and give their states in order.

    An attempt that fails for reasons of its own does not spoil the others: its state says why, and
    its error is raised only if all failed. When one raises anything else (a server or engine that
    is away, a lost lease), the others are cancelled with their model requests and commands and the
    error is raised.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_result_or_error(run_attempt, n)) for n in range(1, count + 1)
            ]
    except ExceptionGroup as failed:
        # The first is why the others were cancelled; callers know errors by their own class.
        raise failed.exceptions[0] from None
    results = [task.result() for task in tasks]
    errors = [result for result in results if isinstance(result, Exception)]
    if len(errors) == count:
        raise errors[0]
    return tuple(
        AttemptState(outcome="failed", diagnosis=str(result))
        if isinstance(result, Exception)
        else result
        for result in results
    )


async def climb(
    rungs: int,
    count: int,
    run_attempt: RunAttempt,
    may_begin: Callable[[int], bool] = lambda _: True,
) -> tuple[AttemptState, ...]:
    """Run `count` attempts at once on each rung of a ladder, until one is proven; all their states.

    The next rung is only begun where all attempts of the one before ended without a proof: none
    after one that was stopped, or that waits for an answer, or where `may_begin` denies it, which
    is given the number of attempts before. Raises what `run_attempts` does, from any rung: what no
    attempt of a rung can begin with, a dearer model does not repair.
    """
    states: tuple[AttemptState, ...] = ()
    for rung in range(rungs):
        if rung and not may_begin(rung * count):
            break

        async def on_this_rung(number: int, before: int = rung * count) -> AttemptState:
            return await run_attempt(before + number)

        states += await run_attempts(count, on_this_rung)
        if any(state.outcome not in _UNPROVEN for state in states[-count:]):
            break
    return states


async def _result_or_error(run_attempt: RunAttempt, number: int) -> AttemptState | Exception:
    try:
        return await run_attempt(number)
    except _OF_ALL:
        raise
    except (AgentError, SandboxError) as error:
        return error


def choose(states: Sequence[AttemptState]) -> ChosenAttempt:
    """The gate decides, then fewer changed lines, then fewer files, then the earlier attempt."""
    best = min(range(len(states)), key=lambda i: (*preference(states[i]), i))
    return ChosenAttempt(best + 1, states[best])


def preference(state: AttemptState) -> tuple[int, int, int]:
    """How an attempt compares with others; smaller is better."""
    lines, files = size(final_patch(state))
    return _RANK.get(state.outcome or "failed", 4), lines, files


def final_patch(state: AttemptState) -> str:
    """The patch that the attempt ended with: as the gate left it, else as it was submitted."""
    if state.verdict is not None and state.verdict.patch:
        return state.verdict.patch
    return state.submitted.patch if state.submitted is not None else ""


def size(patch: str) -> tuple[int, int]:
    """Changed lines and files of a patch; an unreadable one counts as very large."""
    try:
        files = PatchSet(patch)
    except UnidiffParseError:
        return 10**9, 10**9
    return sum(f.added + f.removed for f in files), len(files)
