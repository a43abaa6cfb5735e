"""Where a redirect leads, and what counts as success."""

from __future__ import annotations

import pytest

from app.github.answers import OddAnswer
from app.github.transport import check_success, redirect_target

HERE = "https://api.github.com:443/repos/acme/shop/issues?per_page=100&page=2"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://api.github.com/repositories/5/issues?page=2", "/repositories/5/issues?page=2"),
        ("/repositories/5/issues", "/repositories/5/issues?per_page=100&page=2"),
    ],
)
def test_a_redirect_is_followed_with_its_query(location: str, target: str) -> None:
    assert redirect_target(HERE, location) == target


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "https://elsewhere.test/repositories/5",
        "http://api.github.com/repositories/5",
        "https://api.github.com:8443/repositories/5",
        "//elsewhere.test/",
    ],
)
def test_the_token_goes_to_no_other_server(location: str | None) -> None:
    with pytest.raises(OddAnswer):
        redirect_target(HERE, location)


@pytest.mark.parametrize(
    ("verb", "status", "body"),
    [("POST", 201, "{}"), ("GET", 200, " []"), ("DELETE", 204, ""), ("PATCH", 422, "<html>")],
)
def test_documented_answers_pass(verb: str, status: int, body: str) -> None:
    check_success(verb, status, body)


@pytest.mark.parametrize(
    ("verb", "status", "body"),
    [
        ("POST", 307, "{}"),
        ("PATCH", 304, ""),
        ("PATCH", 202, "{}"),
        ("GET", 201, "{}"),
        ("POST", 201, "<html>Sign in</html>"),
        ("GET", 200, ""),
    ],
)
def test_nothing_else_is_a_success(verb: str, status: int, body: str) -> None:
    with pytest.raises(OddAnswer):
        check_success(verb, status, body)
