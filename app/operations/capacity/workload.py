"""What teams ask for, and what an attempt does: turns, and the time its tools take between them.

Units: tokens, seconds.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from statistics import NormalDist

from agent.decisions.context_cut import high_water, low_water
from agent.models.profiles import KIMI_WINDOW

LENGTHS = ((0.25, 0.4), (0.5, 1.0), (0.25, 1.6))
"""Probability and length of short, usual and long runs, as multiples of the mean."""
MEDIAN_S, MEAN_S, LONGEST_S = 0.8, 4.0, 600.0
"""Of a tool call, where no journals tell: most are short, a few run a whole suite. Assumed."""
QUANTILES = 400


@dataclass(frozen=True)
class ToolTimes:
    """Seconds between two turns, as equally likely values in ascending order."""

    seconds: tuple[float, ...]

    @cached_property
    def mean(self) -> float:
        """Their mean."""
        return math.fsum(self.seconds) / len(self.seconds)

    @cached_property
    def _sums(self) -> tuple[float, ...]:
        return (0.0, *accumulate(self.seconds))

    def share_within(self, limit_s: float) -> float:
        """Share of the pauses that are not longer."""
        return bisect.bisect_right(self.seconds, limit_s) / len(self.seconds)

    def mean_up_to(self, limit_s: float) -> float:
        """Mean of the pauses, each counted up to that length."""
        if limit_s <= 0:
            return 0.0
        below = bisect.bisect_right(self.seconds, limit_s)
        return (self._sums[below] + (len(self.seconds) - below) * limit_s) / len(self.seconds)

    def scaled(self, mean_s: float) -> ToolTimes:
        """The same shape with another mean."""
        factor = mean_s / self.mean
        return ToolTimes(tuple(value * factor for value in self.seconds))

    @classmethod
    def of(cls, seen: Sequence[float]) -> ToolTimes:
        """The distribution of what was seen, as so many quantiles at most."""
        ordered = sorted(seen)
        if len(ordered) <= QUANTILES:
            return cls(tuple(ordered))
        size = len(ordered) / QUANTILES
        parts = (ordered[int(n * size) : int((n + 1) * size)] for n in range(QUANTILES))
        return cls(tuple(math.fsum(part) / len(part) for part in parts))


def _assumed() -> ToolTimes:
    """A log-normal distribution with that median and mean, cut off at the longest."""
    shape = NormalDist(math.log(MEDIAN_S), math.sqrt(2 * math.log(MEAN_S / MEDIAN_S)))
    points = (math.exp(shape.inv_cdf((n + 0.5) / QUANTILES)) for n in range(QUANTILES))
    return ToolTimes(tuple(min(LONGEST_S, point) for point in points)).scaled(MEAN_S)


ASSUMED_TOOL_TIMES = _assumed()


@dataclass(frozen=True, slots=True)
class Workload:
    """What teams ask for, and what a usual run does."""

    runs_per_day: float
    peak: float = 3.0
    """The busiest hour has this many times the day's mean: 3 is a day of eight hours."""
    attempts: int = 1
    """Attempts side by side per run."""
    calls: float = 150.0
    """Model turns of a usual attempt, one tool call each."""
    lengths: tuple[tuple[float, float], ...] = LENGTHS
    start_tokens: float = 8_000.0
    """System prompt, tools and issue."""
    read_tokens: float = 600.0
    """New prompt tokens per turn: the tool's output."""
    written_tokens: float = 400.0
    """Thinking and call."""
    tool_times: ToolTimes = ASSUMED_TOOL_TIMES
    """Between two turns."""
    window: int = KIMI_WINDOW
    """Of the model, tokens."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """The prompts of attempts of all lengths, each turn counted once."""

    turns: float
    """Of an attempt, on average."""
    turns_cv: float
    """Standard deviation of that number over its mean."""
    prompt: float
    """Tokens of a turn's prompt, on average."""
    prompt_squared: float
    context: float
    """Tokens that a turn's prompt and answer hold, on average."""
    context_sd: float
    longest: float
    changed: float
    """Share of the turns whose prompt was cut, or is the first."""
    changed_tokens: float
    """Tokens that such a turn has to read even with everything in the cache, on average."""
    left: float
    """Tokens that an attempt leaves in the cache for nobody: by its cuts and at its end."""


def prompts(work: Workload, written: float, calls: int) -> Iterator[tuple[float, float]]:
    """Each turn's prompt, and how much of it no cache can hold: what is new in it."""
    context, new = work.start_tokens, work.start_tokens
    for _ in range(calls):
        yield context, new
        context += written + work.read_tokens
        # What the model wrote stays in the server's cache.
        new = work.read_tokens
        if context > high_water(work.window):
            context = low_water(work.window)
            # Everything after the first changed message is read again.
            new = context - work.start_tokens


def contexts(work: Workload, written: float) -> Contexts:
    """Means over attempts of all lengths. `written`: tokens of an answer."""
    turns = turns_squared = prompt = prompt_squared = context = context_squared = 0.0
    changed = changed_tokens = longest = left = 0.0
    for probability, length in work.lengths:
        calls = max(1, round(work.calls * length))
        turns += probability * calls
        turns_squared += probability * calls**2
        last = 0.0
        for tokens, new in prompts(work, written, calls):
            if tokens < last:
                left += probability * (last - work.start_tokens)
            last = tokens + written
            prompt += probability * tokens
            prompt_squared += probability * tokens**2
            context += probability * (tokens + written)
            context_squared += probability * (tokens + written) ** 2
            longest = max(longest, tokens + written)
            if new != work.read_tokens:
                changed += probability
                changed_tokens += probability * new
        left += probability * last
    mean = context / turns
    return Contexts(
        turns=turns,
        turns_cv=math.sqrt(max(0.0, turns_squared - turns**2)) / turns,
        prompt=prompt / turns,
        prompt_squared=prompt_squared / turns,
        context=mean,
        context_sd=math.sqrt(max(0.0, context_squared / turns - mean**2)),
        longest=longest,
        changed=changed / turns,
        changed_tokens=changed_tokens / changed if changed else 0.0,
        left=left,
    )
