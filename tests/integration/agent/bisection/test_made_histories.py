"""Searches through real git histories whose culprit is known, with the reproduction really run."""

import asyncio
import math
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.bisection.bisect import BisectLimits, find_culprit
from agent.bisection.records import Trial
from sandbox.errors import EngineUnavailable, SandboxGone
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox
from tests.support.agent.histories import BAD, GOOD, REPRODUCTION, GitPast, History


def straight(history: History) -> int:
    history.commits(120)
    culprit = history.commit({"shop/cart.py": BAD})
    history.commits(60)
    return culprit


def the_newest(history: History) -> int:
    history.commits(80)
    return history.commit({"shop/cart.py": BAD})


def the_second(history: History) -> int:
    history.commit()
    culprit = history.commit({"shop/cart.py": BAD})
    history.commits(100)
    return culprit


def often_touched(history: History) -> int:
    for number in range(60):
        history.commit({"shop/cart.py": GOOD + f"# {number}\n"})
    culprit = history.commit({"shop/cart.py": BAD + "# 60\n"})
    for number in range(61, 130):
        history.commit({"shop/cart.py": BAD + f"# {number}\n"})
    return culprit


def behind_a_rename(history: History) -> int:
    history.files = {"shop/prices.py": GOOD, "shop/cart.py": "from shop.prices import total\n"}
    history.commits(50)
    culprit = history.commit({"shop/prices.py": BAD})
    history.commits(30)
    history.commit({"shop/prices.py": None, "shop/cart.py": BAD})
    history.commits(40)
    return culprit


def on_a_side_branch(history: History) -> int:
    history.commits(40)
    fork, files = history.tip, dict(history.files)
    history.commits(15)
    main, main_files = history.tip, dict(history.files)
    history.tip, history.files = fork, files
    history.commits(10)
    culprit = history.commit({"shop/cart.py": BAD})
    history.commits(10)
    side, history.tip = history.tip, main
    history.files = main_files | history.files
    history.commit({"shop/cart.py": BAD}, merge=side)
    history.commits(50)
    return culprit


def by_a_merge(history: History) -> int:
    history.files["shop/rates.py"] = "FIRST = 0\n"
    history.files["shop/cart.py"] = (
        "from shop.rates import FIRST\n\n\ndef total(prices):\n    return sum(prices[FIRST:])\n"
    )
    history.commits(30)
    fork, files = history.tip, dict(history.files)
    history.commits(12)
    main, main_files = history.tip, dict(history.files)
    history.tip, history.files = fork, files
    history.commits(12)
    side, history.tip = history.tip, main
    history.files = main_files | history.files
    culprit = history.commit({"shop/rates.py": "FIRST = 1\n"}, merge=side)
    history.commits(30)
    return culprit


def many_merges(history: History) -> int:
    culprit = 0
    for number in range(20):
        fork, files = history.tip or history.commit(), dict(history.files)
        history.commits(2)
        main, main_files = history.tip, dict(history.files)
        history.tip, history.files = fork, files
        history.commits(2)
        if number == 11:
            culprit = history.commit({"shop/cart.py": BAD})
        side, history.tip = history.tip, main
        history.files = main_files | history.files
        history.commit(merge=side)
    return culprit


def among_commits_that_do_not_load(history: History) -> int:
    history.commits(60)
    culprit = history.commit({"shop/cart.py": BAD})
    history.commits(20)
    history.commit({"shop/cart.py": "def total(prices:\n"})
    history.commits(15)
    history.commit({"shop/cart.py": BAD + "# again\n"})
    history.commits(50)
    return culprit


def before_the_name_existed(history: History) -> int:
    history.files = {"shop/cart.py": "# nothing yet\n"}
    history.commits(70)
    history.commit({"shop/cart.py": GOOD})
    history.commits(40)
    culprit = history.commit({"shop/cart.py": BAD})
    history.commits(40)
    return culprit


def with_another_bug_before(history: History) -> int:
    history.commits(30)
    history.commit({"shop/cart.py": "def total(prices):\n    raise KeyError('other')\n"})
    history.commits(20)
    history.commit({"shop/cart.py": GOOD + "\n"})
    history.commits(40)
    culprit = history.commit({"shop/cart.py": BAD})
    history.commits(40)
    return culprit


def of_forty_lines(history: History) -> int:
    history.commits(200)
    more = "".join(f"\n\ndef other_{n}():\n    return {n}\n" for n in range(10))
    culprit = history.commit({"shop/cart.py": BAD + more})
    history.commits(99)
    return culprit


MADE = (
    straight,
    the_newest,
    the_second,
    often_touched,
    behind_a_rename,
    on_a_side_branch,
    by_a_merge,
    many_merges,
    among_commits_that_do_not_load,
    before_the_name_existed,
    with_another_bug_before,
    of_forty_lines,
)


@pytest.mark.parametrize("make", MADE, ids=lambda make: make.__name__)
async def test_the_culprit_is_exact(make: Callable[[History], int], tmp_path: Path) -> None:
    history = History()
    culprit = make(history)
    ids = history.write(tmp_path / "work")
    past = GitPast(tmp_path / "work")
    found = await find_culprit(past, REPRODUCTION)
    assert (found.finding, found.culprit) == ("found", ids[culprit]), found


@pytest.mark.long
async def test_without_a_stack_trace_it_is_exact_too_and_runs_are_few(tmp_path: Path) -> None:
    blind, spent = REPRODUCTION.model_copy(update={"observed": "wrong total"}), []
    for make in MADE:
        history = History()
        culprit = make(history)
        ids = history.write(tmp_path / make.__name__)
        past = GitPast(tmp_path / make.__name__)
        found = await find_culprit(past, blind)
        assert (found.finding, found.culprit) == ("found", ids[culprit]), make.__name__
        spent.append(found.runs - math.log2(len(past.commits)))
    assert statistics.mean(spent) <= 2, spent


async def test_side_by_side_it_is_the_same_answer(tmp_path: Path) -> None:
    history = History()
    culprit = straight(history)
    ids = history.write(tmp_path / "work")
    seen: list[Trial] = []
    past = GitPast(tmp_path / "work")
    past.places = 3
    found = await find_culprit(past, REPRODUCTION, on_trial=seen.append)
    assert found.culprit == ids[culprit] and tuple(seen) == found.trials


async def test_each_commit_is_tried_in_its_turn(tmp_path: Path) -> None:
    history = History()
    straight(history)
    history.write(tmp_path / "work")
    held: list[int] = []

    class Counting(GitPast):
        at_once = 0

        @asynccontextmanager
        async def turn(self) -> AsyncIterator[None]:
            async with one:
                self.at_once += 1
                yield
                self.at_once -= 1

        async def open(self, commit: str) -> Sandbox:
            held.append(self.at_once)
            return await super().open(commit)

    one = asyncio.Semaphore(1)
    past = Counting(tmp_path / "work")
    past.places = 3
    found = await find_culprit(past, REPRODUCTION)
    assert found.finding == "found"
    assert set(held) == {1}


async def test_an_error_at_one_commit_leaves_no_sandbox_of_another_open(tmp_path: Path) -> None:
    history = History()
    straight(history)
    history.write(tmp_path / "work")
    at_work = asyncio.Event()
    left: list[str] = []

    class Failing(GitPast):
        async def open(self, commit: str) -> LocalSandbox:
            if commit == self.commits[0].id:
                return await super().open(commit)
            if not at_work.is_set():
                at_work.set()
                try:
                    await asyncio.sleep(3600)
                finally:
                    left.append(commit)
            raise EngineUnavailable("The engine is gone.")

    past = Failing(tmp_path / "work")
    past.places = 2
    with pytest.raises(EngineUnavailable):
        await find_culprit(past, REPRODUCTION.model_copy(update={"observed": "wrong total"}))
    assert len(left) == 1


async def test_what_a_worker_that_died_had_tried_is_not_tried_again(tmp_path: Path) -> None:
    history = History()
    culprit = straight(history)
    ids = history.write(tmp_path / "work")
    past = GitPast(tmp_path / "work")
    good = ids[1]
    whole = await find_culprit(past, REPRODUCTION, good=good)
    seen: list[Trial] = []
    found = await find_culprit(
        past, REPRODUCTION, good=good, known=whole.trials[:2], on_trial=seen.append
    )
    assert found.culprit == whole.culprit == ids[culprit]
    assert [t.commit for t in seen] == [t.commit for t in whole.trials[2:]]


async def test_environments_that_cannot_be_made_are_skipped_and_told(tmp_path: Path) -> None:
    history = History()
    culprit = straight(history)
    ids = history.write(tmp_path / "work")
    blocked = {ids[mark] for mark in range(100, 121)}
    found = await find_culprit(GitPast(tmp_path / "work", blocked.__contains__), REPRODUCTION)
    assert found.finding == "range"
    assert set(found.suspects) == blocked | {ids[culprit]}
    why = {trial.why for trial in found.trials if trial.outcome == "skipped"}
    assert why == {"Its environment cannot be made: no such package."}


async def test_a_sandbox_that_dies_is_replaced(tmp_path: Path) -> None:
    history = History()
    culprit = straight(history)
    ids = history.write(tmp_path / "work")
    deaths = [0]

    class Dying(GitPast):
        async def open(self, commit: str) -> LocalSandbox:
            deaths[0] += 1
            if deaths[0] % 3 == 0:
                raise SandboxGone("The container is gone.")
            return await super().open(commit)

    found = await find_culprit(Dying(tmp_path / "work"), REPRODUCTION)
    assert found.culprit == ids[culprit]


async def test_the_limit_of_runs_holds(tmp_path: Path) -> None:
    history = History()
    straight(history)
    history.write(tmp_path / "work")
    blind = REPRODUCTION.model_copy(update={"observed": "wrong total"})
    found = await find_culprit(GitPast(tmp_path / "work"), blind, BisectLimits(runs=2))
    assert found.runs == 2 and found.finding == "unfinished" and len(found.suspects) > 1


async def test_a_set_up_without_end_is_broken_off_when_the_time_is_up(tmp_path: Path) -> None:
    history = History()
    straight(history)
    history.write(tmp_path / "work")

    class Slow(GitPast):
        async def open(self, commit: str) -> LocalSandbox:
            if commit != self.commits[0].id:
                await asyncio.sleep(3600)
            return await super().open(commit)

    limits = BisectLimits(minutes=0.02)
    found = await find_culprit(Slow(tmp_path / "work"), REPRODUCTION, limits)
    assert (found.finding, found.runs) == ("unfinished", 0)
