"""The cached share of a run's prompts by window and length of outputs, with the cuts in effect.

    python -m bench.context_cuts
    python -m bench.context_cuts --high 0.75 --low 0.40     # fixed shares of the window instead

Each run has 300 calls whose thinking and outputs have log-normal lengths. The real `plan_cut`
decides, the real fold applies what it decided. Counted in characters of what is sent: what is the
same as in the turn before, with what the model wrote, is cached; a token is four characters.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unittest.mock import patch

from agent.decisions import context_cut
from agent.journal.events import AttemptStarted, ModelTurned, ToolFinished
from agent.journal.state import fold, step
from agent.model import Message, ToolCall, Usage

CHARS_PER_TOKEN = 4
CALLS = 300
SYSTEM_CHARS = 40_000
"""System prompt, tools and task."""
THINKING_CHARS, OUTPUT_CHARS = 1_150, 2_100
"""Means of a turn. The run of `make check-templates` has the same."""
LONGEST_OUTPUT = 16_000
WINDOWS = (131_072, 196_608, 262_144, 1_048_576)


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of run."""

    window: int
    preserves_thinking: bool
    longer: float = 1.0
    """Outputs are so many times as long."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one run."""

    cached: float
    """Share of all prompts' characters."""
    cuts: int
    kept: float
    """Share of the outputs' characters that were whole, on average over the turns."""


def run(case: Case, seed: int, foresight: bool = True) -> Seen:
    """One run of `CALLS` calls. `foresight`: cuts know how many calls are left."""
    rng = random.Random(seed)
    state = fold([_started()])
    cached = total = cuts = 0
    whole: list[float] = []
    before: tuple[Message, ...] = ()
    outputs = 0
    for number in range(CALLS):
        planned = context_cut.plan_cut(
            state,
            case.window,
            case.preserves_thinking,
            calls_left=CALLS - number if foresight else None,
        )
        if planned is not None:
            cuts += 1
            state = step(state, planned)
        size = _chars(state.messages)
        total += size
        same = 0
        for one, other in zip(before, state.messages, strict=False):
            if one != other:
                break
            same += _chars((one,))
        cached += same
        shown = sum(len(m.content) for m in state.messages if m.role == "tool")
        whole.append(shown / outputs if outputs else 1.0)
        call = ToolCall(id=f"functions.bash:{number}", name="bash", arguments="x" * 80)
        usage = Usage(prompt_tokens=size // CHARS_PER_TOKEN, completion_tokens=300)
        thinking = "t" * _length(rng, THINKING_CHARS, 0.8, 40_000)
        turned = ModelTurned(reasoning=thinking, tool_calls=(call,), usage=usage)
        state = step(state, turned)
        # With what the model wrote: the server keeps it.
        before = state.messages
        output = "o" * _length(rng, OUTPUT_CHARS * case.longer, 1.2, LONGEST_OUTPUT)
        outputs += len(output)
        done = ToolFinished(call_id=call.id, name="bash", status="ok", output=output)
        state = step(state, done)
    return Seen(cached / total, cuts, statistics.mean(whole))


def _started() -> AttemptStarted:
    return AttemptStarted(
        model="m",
        prompt_version="1",
        base_commit="c",
        system_prompt="s" * SYSTEM_CHARS,
        task_prompt="t",
        test_command="",
    )


def _length(rng: random.Random, mean: float, sigma: float, most: int) -> int:
    return min(most, round(rng.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)))


def _chars(messages: Sequence[Message]) -> int:
    calls = (c for m in messages for c in m.tool_calls)
    return sum(len(m.content) + len(m.reasoning) + 40 for m in messages) + sum(
        len(c.arguments) for c in calls
    )


def cases() -> Iterator[Case]:
    """Every window, with and without preserved thinking, and outputs of three lengths."""
    for window in WINDOWS:
        for preserves in (False, True):
            for longer in (1.0, 1.16, 1.4):
                yield Case(window, preserves, longer)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--high", type=float, help="cut beyond this share of the window")
    parser.add_argument("--low", type=float, help="down to this share")
    asked = parser.parse_args()
    if asked.high:
        patch.object(context_cut, "high_water", lambda window: asked.high * window).start()
    if asked.low:
        patch.object(context_cut, "low_water", lambda window: asked.low * window).start()
    print("| window | thinking kept | outputs | cached share | cuts | outputs seen |")
    print("|---|---|---|---|---|---|", flush=True)
    for case in cases():
        seen = [run(case, seed, not asked.high) for seed in range(asked.seeds)]
        shares = [one.cached for one in seen]
        print(
            f"| {case.window:,} | {'yes' if case.preserves_thinking else 'no'} | {case.longer:g} "
            f"| {statistics.mean(shares):.4f} ({min(shares):.4f} to {max(shares):.4f}) "
            f"| {statistics.mean(one.cuts for one in seen):.1f} "
            f"| {statistics.mean(one.kept for one in seen):.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
