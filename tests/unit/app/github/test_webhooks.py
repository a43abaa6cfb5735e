"""Signature and parsing of deliveries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.github.webhook_events import CheckFailed
from app.github.webhooks import BadPayload, Ignored, Trigger, parse, sign, verify
from tests.support.github.payloads import encoded, labeled


def test_the_signature_is_githubs() -> None:
    # The example of GitHub's documentation on validating webhook deliveries.
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert sign("It's a Secret to Everybody", b"Hello, World!") == signature
    assert verify("It's a Secret to Everybody", b"Hello, World!", signature)


@pytest.mark.parametrize(
    "signature", ["", "sha256=", "sha1=abc", "sha256=" + "0" * 64, "sha256=ü", "x" * 100_000]
)
def test_other_signatures_do_not_fit(signature: str) -> None:
    assert not verify("secret", b"body", signature)


def test_an_empty_secret_verifies_nothing() -> None:
    assert not verify("", b"body", sign("", b"body"))


def test_a_label_is_a_trigger() -> None:
    parsed = parse("issues", encoded(labeled()))
    assert isinstance(parsed, Trigger)
    assert (parsed.repository, parsed.issue_number, parsed.label) == ("octo/calc", 7, "patchwright")
    assert parsed.issue_body == ""
    assert parsed.issue_open
    assert not parsed.sender_is_bot
    assert not parsed.is_pull_request


def test_bots_and_pull_requests_are_seen() -> None:
    payload = labeled()
    payload["sender"] = {"login": "dependabot[bot]", "type": "Bot"}
    payload["issue"]["pull_request"] = {"url": "https://example.test"}
    payload["issue"]["user"] = None
    parsed = parse("issues", encoded(payload))
    assert isinstance(parsed, Trigger)
    assert parsed.sender_is_bot
    assert parsed.is_pull_request
    assert parsed.issue_author == "ghost"


@pytest.mark.parametrize("event", ["ping", "fork", "discussion", "", "nonsense"])
def test_other_events_are_ignored(event: str) -> None:
    assert isinstance(parse(event, b'{"zen": "x"}'), Ignored)


@pytest.mark.parametrize("drop", ["installation", "label"])
def test_without_an_app_or_a_label_it_is_ignored(drop: str) -> None:
    payload = labeled()
    del payload[drop]
    assert isinstance(parse("issues", encoded(payload)), Ignored)


def test_a_check_names_only_pull_requests_of_its_own_repository() -> None:
    def pull(number: int, repository: int) -> dict[str, Any]:
        return {"number": number, "base": {"repo": {"id": repository}}}

    own = labeled()["repository"]["id"]
    check = {
        "id": 5,
        "name": "tests",
        "head_sha": "a" * 40,
        "conclusion": "failure",
        "check_suite": {"head_branch": "main"},
        "pull_requests": [pull(3, own), pull(4, own + 1)],
    }
    body = labeled() | {"action": "completed", "check_run": check}
    parsed = parse("check_run", encoded(body))
    assert isinstance(parsed, CheckFailed)
    assert parsed.pulls == (3,)
    assert parsed.app_id == 0


def test_other_actions_are_ignored() -> None:
    assert isinstance(parse("issues", encoded({**labeled(), "action": "opened"})), Ignored)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nope",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"a": ' + b"9" * 10_000,
        b"payload=%7B%7D",
    ],
)
def test_what_is_no_json_object_is_bad(body: bytes) -> None:
    with pytest.raises(BadPayload):
        parse("issues", body)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("repository", "full_name"), "../../etc/passwd"),
        (("repository", "full_name"), "octo/.."),
        (("repository", "full_name"), "octo/calc\n"),
        (("repository", "full_name"), "octo"),
        (("repository", "full_name"), ["octo/calc"]),
        (("issue", "number"), -1),
        (("issue", "number"), "7"),
        (("issue", "number"), True),
        (("issue", "number"), 10**30),
        (("issue", "title"), None),
        (("issue",), []),
        (("sender",), None),
        (("installation", "id"), 0),
    ],
)
def test_a_labeled_event_of_wrong_shape_is_bad(path: tuple[str, ...], value: object) -> None:
    payload = labeled()
    part = payload
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    with pytest.raises(BadPayload):
        parse("issues", encoded(payload))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(labeled())), value=json_values, nested=st.booleans())
def test_hostile_json_never_raises_anything_else(name: str, value: Any, nested: bool) -> None:
    payload = labeled()
    if nested and isinstance(payload[name], dict):
        payload[name] = dict.fromkeys(payload[name], value)
    else:
        payload[name] = value
    try:
        parsed = parse("issues", encoded(payload))
    except BadPayload:
        return
    assert isinstance(parsed, Trigger | Ignored)
