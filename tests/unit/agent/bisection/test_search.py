"""The decisions of a search through the history: what is tried next, and what is said."""

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence

import pytest

from agent.bisection.records import Bisection, Commit, Outcome, Trial
from agent.bisection.search import Search


def line(length: int) -> list[Commit]:
    """A history without merges, the newest first: c<length-1> … c0."""
    return [
        Commit(id=f"c{n}", parents=(f"c{n - 1}",) if n else ()) for n in reversed(range(length))
    ]


def woven(length: int, seed: int) -> list[Commit]:
    """A history with merges: each commit follows one or two of the last few."""
    draw = random.Random(seed)
    made: list[Commit] = []
    open_ends: list[str] = []
    for n in range(length):
        parents = tuple(dict.fromkeys(draw.choice(made[-6:]).id for _ in range(draw.choice((1, 2))))
                        if made else ())  # fmt: skip
        if n == length - 1:
            parents = tuple(open_ends)  # the last one merges all that is open
        made.append(Commit(id=f"c{n}", parents=parents))
        open_ends = [end for end in open_ends if end not in parents] + [f"c{n}"]
    return made[::-1]


def ancestors(commits: Sequence[Commit], of: str) -> set[str]:
    by_id = {commit.id: commit for commit in commits}
    found, stack = set(), [of]
    while stack:
        at = stack.pop()
        if at not in found:
            found.add(at)
            stack += [p for p in by_id[at].parents if p in by_id]
    return found


def searched(
    commits: Sequence[Commit],
    outcome: Callable[[str], Outcome],
    *,
    places: int = 1,
    likely: tuple[str, ...] = (),
    good: str = "",
) -> Bisection:
    search = Search(commits, likely, good_is_known=bool(good))
    trials = [Trial(commit=good, outcome=outcome(good))] if good else []
    while (verdict := search.verdict(trials)) is None:
        chosen = search.next_commits(trials, places)
        assert chosen and len(set(chosen)) == len(chosen) <= places
        assert not {trial.commit for trial in trials} & set(chosen), "nothing is tried twice"
        trials += [Trial(commit=commit, outcome=outcome(commit)) for commit in chosen]
    return verdict


def broken_by(commits: Sequence[Commit], culprit: str) -> Callable[[str], Outcome]:
    return lambda commit: "bad" if culprit in ancestors(commits, commit) else "good"


@pytest.mark.parametrize("places", [1, 2, 3])
def test_every_culprit_of_a_line_is_found(places: int) -> None:
    commits = line(40)
    for n in range(1, 40):
        found = searched(commits, broken_by(commits, f"c{n}"), places=places)
        assert (found.finding, found.culprit, found.last_good) == ("found", f"c{n}", (f"c{n - 1}",))
        outcomes = {trial.commit: trial.outcome for trial in found.trials}
        assert outcomes[f"c{n - 1}"] == "good", "what is certain was seen"


def test_runs_are_few_when_a_good_commit_is_known() -> None:
    commits = line(256)
    runs = [
        searched(commits, broken_by(commits, f"c{n}"), good="c0").runs - 1 for n in range(1, 256)
    ]
    assert statistics.mean(runs) <= math.log2(256) + 2
    assert max(runs) <= math.log2(256) + 3


def test_new_culprits_are_found_in_few_runs_of_new_commits() -> None:
    commits = line(1000)
    runs = [searched(commits, broken_by(commits, f"c{n}")).runs for n in range(960, 1000)]
    assert statistics.mean(runs) <= math.log2(1000) + 2


@pytest.mark.parametrize("seed", range(6))
def test_culprits_behind_merges_are_found_exactly(seed: int) -> None:
    commits = woven(60, seed)
    for commit in commits[:-1]:
        found = searched(commits, broken_by(commits, commit.id), places=1 + seed % 3)
        assert (found.finding, found.culprit) == ("found", commit.id)


def test_a_likely_commit_is_seen_at_once() -> None:
    commits = line(500)
    found = searched(commits, broken_by(commits, "c123"), likely=("c400", "c123"), good="c0")
    assert found.culprit == "c123" and found.runs - 1 <= 5
    misled = searched(commits, broken_by(commits, "c250"), likely=("c400", "c123"), good="c0")
    assert misled.culprit == "c250" and misled.runs - 1 <= math.log2(500) + 6


def test_what_cannot_be_run_is_walked_around_or_said() -> None:
    commits = line(60)
    whole = broken_by(commits, "c30")
    for blocked in (range(20, 29), range(33, 50), (31, 40, 45)):
        names = {f"c{n}" for n in blocked}
        found = searched(commits, lambda c, names=names: "skipped" if c in names else whole(c))
        assert (found.finding, found.culprit) == ("found", "c30")
    around = {f"c{n}" for n in range(27, 33)}
    found = searched(commits, lambda c: "skipped" if c in around else whole(c))
    assert found.finding == "range"
    assert set(found.suspects) == {f"c{n}" for n in range(27, 34)}


def test_a_parent_that_cannot_be_run_leaves_no_certainty() -> None:
    commits = [
        Commit(id="d", parents=("c",)),
        Commit(id="c", parents=("a", "b")),
        Commit(id="b", parents=("r",)),
        Commit(id="a", parents=("r",)),
        Commit(id="r", parents=()),
    ]
    outcomes: dict[str, Outcome] = {
        "d": "bad",
        "c": "bad",
        "a": "good",
        "b": "skipped",
        "r": "good",
    }
    found = searched(commits, outcomes.__getitem__)
    assert found.finding == "range" and set(found.suspects) == {"c", "b"}


def test_a_bug_that_was_always_there_and_one_older_than_what_is_known() -> None:
    commits = line(30)
    found = searched(commits, lambda _: "bad")
    assert (found.finding, found.culprit) == ("since_beginning", "c0")
    cut = commits[:20]
    found = searched(cut, lambda _: "bad")
    assert (found.finding, found.culprit) == ("since_beginning", "c10")


def test_a_bug_that_comes_and_goes_has_no_first_commit() -> None:
    commits = line(30)
    search = Search(commits, good_is_known=False)
    trials = [Trial(commit="c5", outcome="bad"), Trial(commit="c20", outcome="good")]
    found = search.verdict(trials)
    assert found is not None and found.finding == "contradiction"
    assert search.next_commits(trials, 2) == ()


def test_the_limits_leave_what_is_left() -> None:
    commits = line(100)
    trials = [Trial(commit="c10", outcome="good"), Trial(commit="c20", outcome="bad")]
    found = Search(commits, good_is_known=True).verdict(trials, limit_reached=True)
    assert found is not None and found.finding == "unfinished"
    assert found.suspects == tuple(f"c{n}" for n in range(20, 10, -1))


def test_nothing_can_be_run_but_the_newest() -> None:
    found = searched(line(20), lambda _: "skipped")
    assert found.finding == "range" and len(found.suspects) == 20 and found.runs == 19


def test_a_history_of_two_thousand_commits_costs_no_second() -> None:
    commits = line(2000)
    begun = time.process_time()
    searched(commits, broken_by(commits, "c1234"), good="c0")
    assert time.process_time() - begun < 3
