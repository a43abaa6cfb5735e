"""The pure parts of the stand-in GitHub: signatures, hunks, permissions, faults, descriptions."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.doubles.github.description import fetch as description
from tests.doubles.github.faults import Fault, Faults, RateLimit
from tests.doubles.github.hooks import headers
from tests.doubles.github.operations.operation import at_least, grants
from tests.doubles.github.operations.reviews import hunk_at
from tests.doubles.github.state import Delivery, from_node_id, node_id

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PATCH = "@@ -1,4 +1,5 @@ def f():\n a\n-b\n+B\n+C\n d\n@@ -20,2 +21,2 @@\n x\n-y\n+z"


def test_a_delivery_is_signed_as_githubs_documentation_shows() -> None:
    delivery = Delivery(1, "guid", "issues", "opened", {}, NOW, False, None, None)
    sent = headers(7, "It's a Secret to Everybody", delivery, b"Hello, World!")
    assert sent["X-Hub-Signature-256"] == (
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )
    assert sent["X-GitHub-Event"] == "issues"
    assert sent["X-GitHub-Delivery"] == "guid"


@pytest.mark.parametrize(
    ("side", "line", "last"),
    [
        ("RIGHT", 1, " a"),
        ("RIGHT", 2, "+B"),
        ("RIGHT", 3, "+C"),
        ("RIGHT", 4, " d"),
        ("LEFT", 2, "-b"),
        ("RIGHT", 22, "+z"),
        ("LEFT", 21, "-y"),
    ],
)
def test_a_hunk_ends_at_the_line_that_was_commented(side: str, line: int, last: str) -> None:
    hunk = hunk_at(PATCH, side, line)
    assert hunk is not None
    assert hunk.splitlines()[-1] == last
    assert hunk.startswith("@@")


@pytest.mark.parametrize(("side", "line"), [("RIGHT", 9), ("LEFT", 4), ("RIGHT", 23)])
def test_lines_outside_of_the_diff_have_no_hunk(side: str, line: int) -> None:
    assert hunk_at(PATCH, side, line) is None


def test_permissions_and_roles_contain_the_lesser_ones() -> None:
    assert grants({"issues": "write"}, "issues:read")
    assert not grants({"issues": "read"}, "issues:write")
    assert not grants({}, "contents:read")
    assert grants({}, "metadata:read")
    assert at_least("write", "triage")
    assert not at_least("read", "triage")


def test_a_fault_strikes_as_often_as_asked_and_only_where_it_matches() -> None:
    faults = Faults()
    faults.add(Fault("POST .*/pulls$", times=2))
    assert faults.take("GET /repos/a/b/pulls", by_app=True) is None
    assert faults.take("POST /repos/a/b/pulls", by_app=False) is None
    struck = [faults.take("POST /repos/a/b/pulls", by_app=True) is not None for _ in range(3)]
    assert struck == [True, True, False]


@pytest.mark.parametrize("fault", [Fault("(", 1), Fault("x", 1, kind="explode")])
def test_a_fault_that_makes_no_sense_is_refused(fault: Fault) -> None:
    with pytest.raises(ValueError):
        Faults().add(fault)


def test_the_rate_limit_runs_out_and_fills_up_again() -> None:
    limit = RateLimit()
    limit.set_remaining(1, 60, NOW)
    assert limit.spend(NOW)
    assert not limit.spend(NOW)
    assert limit.headers(NOW)["X-RateLimit-Remaining"] == "0"
    assert limit.spend(NOW + timedelta(seconds=61))


def test_node_ids_read_back() -> None:
    assert from_node_id(node_id("PullRequest", 4711)) == ("PullRequest", 4711)


def test_without_npm_the_description_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATCHWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not description.is_cached()
    with pytest.raises(description.DescriptionMissing, match=r"install Node\.js with npm"):
        description.fetch()


def test_another_tarball_than_the_pinned_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho forged > package.tgz\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATCHWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(description.DescriptionMissing, match="not the pinned one"):
        description.fetch()
    assert not description.is_cached()
