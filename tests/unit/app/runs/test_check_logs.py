"""A failed check's log is good to have: what keeps it away ends no run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.github.errors import ForgeAway, ForgeDenied, ForgeError, ForgeRefused
from app.github.records import FailedCheck
from app.runs.active_run import ActiveRun
from app.runs.attachments import ci_logs, keep_check_log


def run_with(answers: dict[int, bytes | ForgeError | None]) -> tuple[ActiveRun, dict[str, bytes]]:
    kept: dict[str, bytes] = {}

    async def check_log(check: int) -> bytes | None:
        answer = answers[check]
        if isinstance(answer, ForgeError):
            raise answer
        return answer

    def put_log(_: str, log: str, data: bytes) -> None:
        kept[log] = data

    forge, store = SimpleNamespace(check_log=check_log), SimpleNamespace(put_log=put_log)
    run = SimpleNamespace(forge=forge, store=store, record=SimpleNamespace(id="r"))
    return cast(ActiveRun, cast(Any, run)), kept


async def test_a_log_that_the_app_may_not_read_is_left_out() -> None:
    denied = ForgeDenied("Resource not accessible by integration")
    run, kept = run_with({1: denied, 2: b"E  assert", 3: None, 4: ForgeRefused("200")})
    attached = await ci_logs(run, (1, 2, 3, 4))
    assert [each.id for each in attached] == ["attached:ci-2"]
    assert kept == {"attached:ci-2": b"E  assert"}
    assert await keep_check_log(run, FailedCheck(1, "tests", "failure", "")) == ""


async def test_github_that_is_away_is_asked_again() -> None:
    run, _ = run_with({1: ForgeAway("away")})
    with pytest.raises(ForgeAway):
        await ci_logs(run, (1,))
