"""Limits and endings: decisions on plain records."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from github import GithubException

from app.admission.limits import Go, QueuedRun, Refuse, Wait, admit, queue_place
from app.git.mirror import PushRefused
from app.git.process import GitDenied
from app.git.refusal import Refusal
from app.github.convert import forge_error
from app.github.errors import (
    ConversationLocked,
    ForgeAway,
    ForgeDenied,
    InstallationGone,
    InstallationSuspended,
    RateLimited,
    RepositoryArchived,
    TokenRefused,
)
from app.github.records import IssueThread, Repository
from app.repo_config.effective import Bounds
from app.runs import failures

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def mark(
    number: int, repository: str = "acme/shop", *, live: bool = True, **more: object
) -> QueuedRun:
    return QueuedRun(f"r{number}", repository, NOON + timedelta(minutes=number), live, **more)  # type: ignore[arg-type]


def test_without_bounds_everything_goes() -> None:
    assert admit(mark(9), [mark(n) for n in range(9)], Bounds(), NOON) == Go()


@pytest.mark.parametrize(
    ("bounds", "where"),
    [
        (Bounds(repository_at_once=2), "for this repository"),
        (Bounds(organisation_at_once=2), "for this organisation"),
        (Bounds(at_once=2), "overall"),
    ],
)
def test_at_once(bounds: Bounds, where: str) -> None:
    others = [mark(n) for n in range(4)]
    assert admit(others[1], others, bounds, NOON) == Go()
    assert admit(others[3], others, bounds, NOON) == Wait(2, f"at most 2 runs at once {where}")
    ended = [replace(m, live=False) for m in others[:2]] + others[2:]
    assert admit(others[3], ended, bounds, NOON) == Go()


def test_limits_count_by_id_and_not_by_name() -> None:
    renamed = mark(0, "acme/store", repository_id=5, installation_id=1)
    namesake = mark(1, "acme/shop", repository_id=6, installation_id=2)
    run = mark(2, "acme/shop", repository_id=5, installation_id=1)
    for bounds in (Bounds(repository_at_once=1), Bounds(organisation_at_once=1)):
        assert isinstance(admit(run, [renamed, run], bounds, NOON), Wait)
        assert admit(run, [namesake, run], bounds, NOON) == Go()


def test_runs_without_a_slot_block_nobody_and_started_runs_count_at_any_age() -> None:
    bounds = Bounds(repository_at_once=1)
    older = mark(1, working=False)
    assert admit(mark(2), [older], bounds, NOON) == Go()
    younger = mark(3, begun=True)
    assert admit(mark(2), [younger], bounds, NOON) == Wait(
        1, "at most 1 run at once for this repository"
    )
    assert admit(mark(2), [mark(3)], bounds, NOON) == Go()
    assert isinstance(admit(mark(2), [younger], Bounds(per_day=1), NOON), Refuse)


def test_scopes_are_apart() -> None:
    others = [mark(1, "acme/shop"), mark(2, "ACME/other"), mark(3, "zoo/shop")]
    run = mark(4, "acme/third")
    assert admit(run, others, Bounds(repository_at_once=1), NOON) == Go()
    assert isinstance(admit(run, others, Bounds(organisation_at_once=2), NOON), Wait)
    assert admit(run, others, Bounds(organisation_at_once=3), NOON) == Go()
    assert isinstance(admit(run, others, Bounds(at_once=3), NOON), Wait)


def test_never_more_than_the_bound_and_never_none() -> None:
    """Whatever lives, as many oldest runs go as may."""
    rng = random.Random(7)
    for _ in range(200):
        marks = [mark(n, rng.choice(["a/x", "a/y", "b/x"])) for n in range(rng.randint(1, 12))]
        rng.shuffle(marks)
        bounds = Bounds(
            at_once=rng.randint(0, 4),
            organisation_at_once=rng.randint(0, 3),
            repository_at_once=rng.randint(0, 2),
        )
        going = [m for m in marks if admit(m, marks, bounds, NOON) == Go()]
        assert going
        assert not bounds.at_once or len(going) <= bounds.at_once
        for name in ("a/x", "a/y", "b/x"):
            there = [m for m in going if m.repository == name]
            assert not bounds.repository_at_once or len(there) <= bounds.repository_at_once


def test_within_a_day() -> None:
    bounds = Bounds(repository_per_day=2)
    old = replace(mark(0, live=False), asked_at=NOON - timedelta(hours=25))
    ended = [old, mark(1, live=False), mark(2, live=False)]
    late = NOON + timedelta(hours=1)
    refused = admit(mark(3), ended, bounds, late)
    assert refused == Refuse(
        "The limit of 2 runs within 24 hours for this repository is reached. "
        "Label the issue again after 2026-05-02 12:01 UTC."
    )
    assert admit(mark(3), ended, bounds, NOON + timedelta(hours=24, minutes=1)) == Go()
    was_refused = [*ended[:2], replace(ended[2], refused=True)]
    assert admit(mark(3), was_refused, bounds, late) == Go()
    assert admit(mark(3, "zoo/x"), ended, bounds, late) == Go()
    assert isinstance(admit(mark(3), ended, Bounds(per_day=2), late), Refuse)
    assert isinstance(admit(mark(3, "acme/y"), ended, Bounds(organisation_per_day=2), late), Refuse)
    assert admit(mark(3), [], Bounds(repository_per_day=0), late) == Refuse(
        "No runs are allowed for this repository."
    )


def test_the_place_in_the_queue() -> None:
    marks = [mark(1), mark(2, live=False), mark(3, "zoo/x"), mark(4)]
    assert [queue_place(m, marks) for m in marks if m.live] == [1, 2, 3]


def github(status: int, message: str, **headers: str) -> Exception:
    return forge_error("comment", GithubException(status, {"message": message}, headers))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (github(403, "This installation has been suspended"), "suspended"),
        (InstallationGone("gone"), "removed"),
        (github(403, "Repository was archived so is read-only."), "archived"),
        (github(403, "Unable to create comment because issue is locked."), "locked"),
        (github(401, "Bad credentials"), "token"),
        (GitDenied("no"), "token"),
        (PushRefused("The server takes no x: protected.", Refusal("protected")), "protected"),
    ],
)
def test_each_refusal_has_its_own_end(error: Exception, kind: str) -> None:
    ending = failures.stop_reason_for_error(error)
    assert ending is not None
    assert ending.kind == kind
    assert ending.text.endswith(".")


def test_github_messages_become_errors() -> None:
    assert isinstance(github(403, "This installation has been suspended"), InstallationSuspended)
    assert isinstance(github(403, "Repository was archived so is read-only."), RepositoryArchived)
    assert isinstance(github(403, "issue is locked"), ConversationLocked)
    assert isinstance(github(401, "Bad credentials"), TokenRefused)
    plain = github(403, "Resource not accessible by integration")
    assert type(plain) is ForgeDenied
    assert failures.stop_reason_for_error(plain) is None
    for passing in (ForgeAway("x"), github(502, "x"), ValueError("x")):
        assert failures.stop_reason_for_error(passing) is None


def test_limits_of_github_say_how_long_to_wait() -> None:
    secondary = github(403, "You have exceeded a secondary rate limit", **{"Retry-After": "30"})
    assert isinstance(secondary, RateLimited)
    assert secondary.retry_after == 30
    unnamed = github(429, "slow down")
    assert isinstance(unnamed, RateLimited)
    assert unnamed.retry_after == 60
    reset = str(int(datetime.now(UTC).timestamp()) + 100)
    primary = github(
        403, "API rate limit exceeded", **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    )
    assert isinstance(primary, RateLimited)
    assert 95 <= primary.retry_after <= 102


THREAD = IssueThread(
    number=7,
    title="t",
    body="",
    author="ann",
    open=True,
    locked=False,
    is_pull=False,
    labels=(),
    comments=(),
    url="https://github.com/acme/shop/issues/7",
)
REPOSITORY = Repository("acme/shop", "main", True, False, "", "https://github.com/acme/shop")


def end_of(thread: IssueThread, repository: Repository = REPOSITORY) -> str:
    ending = failures.stop_reason_for_issue(thread, repository, name="acme/shop", number=7)
    return ending.kind if ending else ""


def test_what_became_of_the_issue() -> None:
    assert end_of(THREAD) == ""
    assert end_of(replace(THREAD, open=False)) == "closed"
    assert end_of(replace(THREAD, locked=True)) == "locked"
    assert end_of(THREAD, replace(REPOSITORY, archived=True)) == "archived"
    moved = replace(THREAD, url="https://github.com/acme/other/issues/7")
    assert end_of(moved) == "transferred"
    assert end_of(replace(THREAD, number=3)) == "transferred"


def test_a_renamed_repository_is_not_a_transfer() -> None:
    renamed = replace(REPOSITORY, full_name="acme/store")
    assert end_of(replace(THREAD, url="https://github.com/acme/store/issues/7"), renamed) == ""
