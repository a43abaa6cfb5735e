"""Which commits to try next, and what the outcomes say: decisions of a search, without any I/O.

As with `git bisect`, what comes before a good commit is good and what follows a bad one, up to the
newest, is bad. The history may have merges: a set of commits and all that is before them is an
integer with a bit for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from agent.bisection.records import Bisection, Commit, Trial

LIKELY_SHARE = 0.8
"""How sure it is at first that the culprit is among the likely commits, if there are any."""
_TURNS = (0.5, 0.25, 0.75, 0.125, 0.375, 0.625, 0.875)
"""Where to look after so many commits in a row that could not be run: their neighbours may be no
better."""


class Search:
    """A search among commits, the newest (which is bad) first. Its methods change nothing."""

    def __init__(
        self, commits: Sequence[Commit], likely: Collection[str] = (), *, good_is_known: bool
    ) -> None:
        """`good_is_known`: whether one will be told; else the newest commits are likelier."""
        self._commits = commits
        self._place = {commit.id: number for number, commit in enumerate(commits)}
        self._before = _reachable(commits, self._place)
        self._sums = _sums_of_bytes(_weights(commits, likely, steep=not good_is_known))

    def next_commits(self, trials: Sequence[Trial], places: int) -> tuple[str, ...]:
        """Up to `places` commits to try side by side; none when there is a verdict."""
        known = {trial.commit for trial in trials} | {self._commits[0].id}
        left = self._left(trials)
        untried = [n for n in _bits(left) if self._commits[n].id not in known]
        if not untried:
            # One alone is the culprit if its parents are seen to pass, and not only those after.
            alone = self._commits[left.bit_length() - 1] if left.bit_count() == 1 else None
            parents = alone.parents if alone else ()
            return tuple(p for p in parents if p in self._place and p not in known)[:places]
        shares = self._shares(left, untried)
        skipped = _skipped_at_the_end(trials)
        chosen: list[int] = []
        for number in range(1, places + 1):
            aim = number / (places + 1) if places > 1 else _TURNS[skipped % len(_TURNS)]
            rest = [n for n in untried if n not in chosen]
            if rest:
                chosen.append(min(rest, key=lambda n: (abs(shares[n] - aim), n)))
        return tuple(self._commits[n].id for n in chosen)

    def verdict(self, trials: Sequence[Trial], *, limit_reached: bool = False) -> Bisection | None:
        """What the outcomes say; None while more of them are needed and allowed."""
        left = self._left(trials)
        end = Bisection(finding="contradiction", commits=len(self._commits), trials=tuple(trials))
        if not left:
            return end
        suspects = tuple(self._commits[n].id for n in _bits(left))
        if self.next_commits(trials, 1):
            unfinished = {"finding": "unfinished", "suspects": suspects}
            return end.model_copy(update=unfinished) if limit_reached else None
        if len(suspects) > 1:
            return end.model_copy(update={"finding": "range", "suspects": suspects})
        culprit = self._commits[self._place[suspects[0]]]
        if not culprit.parents or any(p not in self._place for p in culprit.parents):
            oldest = {"finding": "since_beginning", "culprit": culprit.id}
            return end.model_copy(update=oldest)
        outcomes = {trial.commit: trial.outcome for trial in trials}
        if any(outcomes.get(parent) != "good" for parent in culprit.parents):
            # A parent that cannot be run, though something after it passes.
            near = (culprit.id, *culprit.parents)
            return end.model_copy(update={"finding": "range", "suspects": near})
        found = {"finding": "found", "culprit": culprit.id, "last_good": culprit.parents}
        return end.model_copy(update=found)

    def _left(self, trials: Iterable[Trial]) -> int:
        """The commits that may be the culprit: before every bad one, and before no good one."""
        left = self._before[0]
        for trial in trials:
            if (place := self._place.get(trial.commit)) is None:
                continue
            if trial.outcome == "bad":
                left &= self._before[place]
            elif trial.outcome == "good":
                left &= ~self._before[place]
        return left

    def _shares(self, left: int, places: Iterable[int]) -> Mapping[int, float]:
        """For each commit: how probable it is that the culprit is this one or one before it."""
        whole = self._weight(left) or 1.0
        return {place: self._weight(self._before[place] & left) / whole for place in places}

    def _weight(self, members: int) -> float:
        parts = members.to_bytes(len(self._sums), "little")
        return sum(sums[part] for sums, part in zip(self._sums, parts, strict=True))


def _reachable(commits: Sequence[Commit], place: Mapping[str, int]) -> list[int]:
    """For each commit the set of itself and all that is before it."""
    before = [0] * len(commits)
    done = [False] * len(commits)
    for start in range(len(commits)):
        stack = [start]
        while stack:
            at = stack[-1]
            above = [place[p] for p in commits[at].parents if p in place]
            waiting = [n for n in above if not done[n]]
            if waiting and not done[at]:
                stack.extend(waiting)
                continue
            if not done[at]:
                before[at] = 1 << at
                for n in above:
                    before[at] |= before[n]
                done[at] = True
            stack.pop()
    return before


def _weights(commits: Sequence[Commit], likely: Collection[str], *, steep: bool) -> list[float]:
    weights = [1 / (number + 8) if steep else 1.0 for number in range(len(commits))]
    chosen = [number for number, commit in enumerate(commits) if commit.id in likely]
    rest = sum(weights) - sum(weights[n] for n in chosen)
    if chosen and rest > 0:
        factor = rest * LIKELY_SHARE / (1 - LIKELY_SHARE) / sum(weights[n] for n in chosen)
        for number in chosen:
            weights[number] *= max(factor, 1.0)
    return weights


def _sums_of_bytes(weights: Sequence[float]) -> list[list[float]]:
    """For each eight commits: the weight of every choice of them. Adding up single bits is slow."""
    tables = []
    for start in range(0, len(weights), 8):
        sums = [0.0]
        for weight in [*weights[start : start + 8], *[0.0] * 8][:8]:
            sums += [each + weight for each in sums]
        tables.append(sums)
    return tables


def _bits(members: int) -> Iterable[int]:
    """The numbers in a set, the lowest first."""
    while members:
        lowest = members & -members
        yield lowest.bit_length() - 1
        members ^= lowest


def _skipped_at_the_end(trials: Sequence[Trial]) -> int:
    count = 0
    for trial in reversed(trials):
        if trial.outcome != "skipped":
            break
        count += 1
    return count
