"""What failures of a run mean, and what log lines must not hold."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Literal

import pytest

from agent.errors import LostLease, ModelAway, ModelRefused
from app.git.process import GitAway
from app.github.errors import ForgeAway, ForgeDenied, RateLimited
from app.runs.failures import (
    LONGEST_WAIT_S,
    PATIENCE_S,
    first_error,
    public_message,
    returns_to_queue,
    wait_before_retry,
    was_dropped,
    was_interrupted,
)
from app.telemetry import logs
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxGone

TOKEN = "ghs_" + "a" * 36


@pytest.mark.parametrize(
    ("error", "back"),
    [
        (ForgeAway("x"), True),
        (GitAway("x"), True),
        (EngineUnavailable("x"), True),
        (SandboxGone("x"), False),  # it may well be what runs in it
    ],
)
def test_what_is_away_is_waited_for_ever_longer_and_then_goes_back(
    error: Exception, back: bool
) -> None:
    waits = [wait_before_retry(error, n) for n in range(1, len(PATIENCE_S) + 2)]
    assert waits == [*PATIENCE_S, None]
    assert returns_to_queue(error) == back


@pytest.mark.parametrize(
    "error", [ForgeDenied("x"), ModelRefused("x"), ModelAway("x"), ImageMissing("x"), KeyError()]
)
def test_what_waiting_does_not_fix_is_not_waited_for(error: Exception) -> None:
    assert wait_before_retry(error, 1) is None


def test_github_says_itself_how_long_to_wait() -> None:
    assert wait_before_retry(RateLimited("x", 90), 1) == 90
    assert wait_before_retry(RateLimited("x", 0), 2) == PATIENCE_S[1]
    assert wait_before_retry(RateLimited("x", 10**9), 1) == LONGEST_WAIT_S


@pytest.mark.parametrize("error", [ForgeDenied("x"), ImageMissing("x"), OSError("disk")])
def test_what_no_outage_explains_ends_a_run(error: Exception) -> None:
    assert not returns_to_queue(error)


def test_the_cause_is_found_in_groups() -> None:
    lost = LostLease("x")
    assert first_error(ExceptionGroup("a", [ExceptionGroup("b", [lost]), ValueError()])) is lost


def test_only_errors_written_for_people_are_shown() -> None:
    assert public_message(ImageMissing("Build the image."), "r1") == "Build the image."
    assert TOKEN not in public_message(ForgeDenied(f"refused {TOKEN}"), "r1")
    hidden = public_message(OSError(2, "No such file", "/root/secret"), "r1")
    assert "secret" not in hidden
    assert "r1" in hidden


@pytest.mark.parametrize("form", ["text", "json"])
def test_log_lines_hold_no_secret(
    form: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    root, workflow_engine = logging.getLogger(), logging.getLogger("dbos")
    before = (root.handlers[:], root.level, workflow_engine.handlers[:], workflow_engine.propagate)
    try:
        logs.configure("info", form)
        logs.get("test").info(
            "asked",
            url=f"https://x-access-token:{TOKEN}@github.test/o/r",
            api_key="hunter2",
            run="r1",
        )
        logging.getLogger("library").warning("sent Authorization: Bearer %s", "x" * 40)
        logging.getLogger("dbos").warning("token %s", TOKEN)
        logging.getLogger("dbos").info("DBOS launched!")
        try:
            raise ValueError(f"bad {TOKEN}")
        except ValueError:
            logs.get("test").exception("failed")
    finally:
        root.handlers[:], workflow_engine.handlers[:] = before[0], before[2]
        root.setLevel(before[1])
        workflow_engine.propagate = before[3]
    text = capsys.readouterr().err
    for secret in (TOKEN, "hunter2", "x" * 40):
        assert secret not in text
    assert "r1" in text
    assert "bad [secret]" in text
    assert "launched" not in text
    if form == "json":
        lines = [json.loads(line) for line in text.splitlines()]
        assert lines[0]["run"] == "r1"
        assert lines[0]["event"] == "asked"


def test_a_run_whose_model_is_away_goes_back_to_the_queue() -> None:
    assert returns_to_queue(ModelAway("x"))
    assert not returns_to_queue(ModelRefused("x"))


async def test_what_comes_up_while_the_process_ends_is_no_failure_of_a_run() -> None:
    found: dict[str, bool] = {}

    async def work(name: str) -> None:
        try:
            try:
                await asyncio.Event().wait()
            finally:
                raise AssertionError("no context any more")  # as a library's clean-up may
        except AssertionError as error:
            found[name] = was_interrupted(error)

    cancelled = asyncio.create_task(work("cancelled"))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    dropped = work("dropped")
    dropped.send(None)
    dropped.close()
    try:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    except TimeoutError as error:
        found["timeout"] = was_interrupted(error)
    ignored = RuntimeError("coroutine ignored GeneratorExit")
    found["ignored"] = was_interrupted(ignored) and was_dropped(ignored)
    assert found == {"cancelled": True, "dropped": True, "timeout": False, "ignored": True}


def test_the_engines_address_is_told_to_nobody() -> None:
    told = public_message(
        EngineUnavailable("No engine answers at unix:///var/run/docker.sock."), "r1"
    )
    assert "docker.sock" not in told
    assert "r1" in told
