"""Strangers cannot use up the answers that GitHub gives the App."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import ExitStack

import pytest
from fastapi import HTTPException

from app.github.records import Permission
from app.web.auth.question_budget import (
    EXCHANGES_A_MINUTE,
    EXCHANGES_AT_ONCE,
    MOST_OF_ALL,
    MOST_OF_ONE,
    WINDOW_S,
    ExchangeBudget,
    QuestionBudget,
)


class Github:
    def __init__(self) -> None:
        self.asked = 0
        self.now = 0.0
        self.budget = QuestionBudget(self.role_of, lambda: self.now)

    async def role_of(self, repository: Hashable, login: Hashable) -> Permission:
        self.asked += 1
        role = "read" if (repository, login) == ("o/mine", "member") else "none"
        return Permission(role, role)


async def test_one_stranger_is_asked_about_only_so_often() -> None:
    github = Github()
    for number in range(2 * MOST_OF_ONE):
        assert not (await github.budget(f"o/{number}", "stranger")).at_least("read")
    assert github.asked == MOST_OF_ONE
    assert (await github.budget("o/mine", "member")).at_least("read")
    github.now = WINDOW_S
    await github.budget("o/0", "stranger")
    assert github.asked == MOST_OF_ONE + 2


async def test_many_strangers_take_nothing_from_those_who_may_read() -> None:
    github = Github()
    assert (await github.budget("o/mine", "member")).at_least("read")
    for number in range(MOST_OF_ALL + 100):
        await github.budget("o/r", f"stranger-{number}")
    assert github.asked == MOST_OF_ALL + 1
    assert (await github.budget("o/mine", "member")).at_least("read")


def test_github_is_asked_about_so_many_sign_ins_at_once_and_in_a_minute() -> None:
    now = [0.0]
    budget = ExchangeBudget(lambda: now[0])
    with ExitStack() as running:
        for _ in range(EXCHANGES_AT_ONCE):
            running.enter_context(budget.one())
        with pytest.raises(HTTPException) as refused, budget.one():
            pass
    assert refused.value.status_code == 429
    for _ in range(EXCHANGES_A_MINUTE - EXCHANGES_AT_ONCE):
        with budget.one():
            pass
    with pytest.raises(HTTPException), budget.one():
        pass
    now[0] += 2
    with budget.one():
        pass
