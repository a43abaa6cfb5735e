"""GitHub's own examples of webhooks, as they are and spoilt, through the service.

Source: `@octokit/webhooks-examples`, for GitHub.com and for Enterprise Server 3.1 and 3.5.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.github.webhook_events import WEBHOOK_EVENT, Ignored, Installed, PullAction, Trigger
from app.github.webhooks import EVENTS, parse, sign
from app.settings.schema import Settings
from app.storage.inbox import Inbox
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from tests.doubles.github.description.fetch import kept_file
from tests.doubles.github.description.validation import event_validator, webhook_schemas
from tests.doubles.github.fixtures import require_description

SECRET = "s3cret"
FILES = ("", "-ghes-31", "-ghes-35")
USED = {
    ("issues", "labeled"),
    ("issues", "assigned"),
    ("issue_comment", "created"),
    ("pull_request_review", "submitted"),
    ("pull_request_review_comment", "created"),
    ("check_run", "completed"),
    ("check_run", "rerequested"),
    ("workflow_run", "completed"),
    # Of "edited" no example is published that is valid.
    *(("pull_request", action) for action in {*get_args(PullAction), "closed"} - {"edited"}),
    ("merge_group", "checks_requested"),
    ("push", None),
}
INSTALLATIONS = {("installation", "created"), ("installation_repositories", "added")}
ASKS_NOTHING = {
    "nobody is assigned",
    "the review itself asks for nothing",
    "the check did not fail",
    "the workflow did not fail",
    "no pull request is known with that commit",
    "no branch moved",
}
NOTHING_NAMED = {"no label is named", "nobody is assigned"}
"""What is asked may itself be what the schema calls optional."""
INSTALLATION = {"installation": {"id": 11, "node_id": "x"}}


def examples(where: str) -> list[tuple[str, dict[str, Any]]]:
    require_description()
    listed = json.loads(kept_file(f"webhook-examples{where}.json").read_text())
    return [(entry["name"], payload) for entry in listed for payload in entry["examples"]]


class ServiceUnderTest:
    """The service in this process, asked without a socket."""

    def __init__(self, folder: Path) -> None:
        made = Settings(state_dir=folder, github_webhook_secret=SECRET)
        self.store = SqlStore(made.database)
        self.app = create_app(Web(made, self.store, lambda _run: None))
        self.loop = asyncio.new_event_loop()
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://service"
        )
        self.sent = 0

    def deliver(self, event: str, body: bytes) -> httpx.Response:
        self.sent += 1
        headers = {
            "X-Hub-Signature-256": sign(SECRET, body),
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": f"d-{self.sent}",
        }
        sending = self.client.post("/webhooks/github", content=body, headers=headers)
        return self.loop.run_until_complete(sending)

    def kept(self) -> int:
        return sum(self.store.count_runs().values()) + len(Inbox(self.store.database).unqueued())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceUnderTest]:
    service = ServiceUnderTest(tmp_path)
    yield service
    service.loop.run_until_complete(service.client.aclose())
    service.loop.close()
    service.store.close()


@pytest.mark.parametrize("where", FILES)
def test_every_example_of_the_events_used_is_parsed(where: str) -> None:
    seen: Counter[tuple[str, Any]] = Counter()
    for event, payload in examples(where):
        action = payload.get("action")
        if (event, action) not in USED:
            continue
        seen[event, action] += 1
        bare = {k: v for k, v in payload.items() if k != "installation"}
        assert isinstance(parse(event, json.dumps(bare).encode()), Ignored)
        parsed = parse(event, json.dumps({**payload, **INSTALLATION}).encode())
        if isinstance(parsed, Ignored):
            assert parsed.reason in ASKS_NOTHING, (event, action, parsed)
            continue
        full_name = payload["repository"]["full_name"]
        assert (parsed.repository, parsed.installation_id) == (full_name, 11)
        assert parsed.sender == payload["sender"]["login"]
        if not isinstance(parsed, Trigger):
            assert WEBHOOK_EVENT.validate_json(WEBHOOK_EVENT.dump_json(parsed)) == parsed
    # The Enterprise Servers' examples do not have them all.
    lacking = set(EVENTS) - {event for event, _ in seen}
    assert lacking <= {"": set(), "-ghes-35": {"merge_group"}}.get(where, set(EVENTS))
    assert sum(seen.values()) >= 3


def test_an_installation_names_its_repositories() -> None:
    seen = set()
    for event, payload in examples(""):
        action = payload.get("action")
        if (event, action) not in INSTALLATIONS:
            continue
        seen.add((event, action))
        listed = payload.get("repositories") or payload.get("repositories_added") or []
        parsed = parse(event, json.dumps(payload).encode())
        assert isinstance(parsed, Installed)
        assert [each.full_name for each in parsed.repositories] == [r["full_name"] for r in listed]
        assert parsed.account_id == payload["installation"]["account"]["id"]
        odd = {"id": 1, "full_name": "../..", "private": True}
        spoilt = {**payload, "repositories": [odd, *listed], "repositories_added": []}
        assert parse(event, json.dumps(spoilt).encode()) == parsed
    assert seen == INSTALLATIONS


def test_what_the_schema_calls_optional_may_be_missing_from_every_example() -> None:
    seen: set[tuple[str, Any]] = set()
    left_out = 0
    for event, payload in examples(""):
        action = payload.get("action")
        validator = event_validator(f"{event}${action or 'event'}")
        if (event, action) not in USED or not validator.is_valid(payload):
            continue
        schema = {"$ref": f"#/definitions/{event}${action or 'event'}"}
        bare = required_only(schema, payload)
        assert validator.is_valid(bare), (event, action)
        left_out += len(list(places(payload))) - len(list(places(bare)))
        whole, parsed = (
            parse(event, json.dumps({**each, **INSTALLATION}).encode()) for each in (payload, bare)
        )
        if type(parsed) is not type(whole):
            assert isinstance(parsed, Ignored)
            assert parsed.reason in NOTHING_NAMED, (event, action, parsed)
        seen.add((event, action))
    assert seen == USED
    assert left_out > 20


def required_only(schema: Any, value: Any) -> Any:
    """The value without each property that its schema does not require."""
    if isinstance(value, list):
        items = _resolved(schema).get("items", {})
        return [required_only(items, each) for each in value] if isinstance(items, dict) else value
    if not isinstance(value, dict):
        return value
    parts = list(_parts(schema, value))
    properties = {k: v for part in parts for k, v in part.get("properties", {}).items()}
    required = {name for part in parts for name in part.get("required", ())}
    return {
        name: required_only(properties.get(name, {}), inner)
        for name, inner in value.items()
        if name in required or name not in properties
    }


def _parts(schema: Any, value: Any) -> Iterator[dict[str, Any]]:
    """The schemas that hold for a value together."""
    schema = _resolved(schema)
    yield schema
    for each in schema.get("allOf", ()):
        yield from _parts(each, value)
    for name in ("oneOf", "anyOf"):
        fitting = [each for each in schema.get(name, ()) if _fits(each, value)]
        if fitting:
            yield from _parts(fitting[0], value)


def _resolved(schema: Any) -> dict[str, Any]:
    while isinstance(schema, dict) and "$ref" in schema:
        schema = webhook_schemas()["definitions"][schema["$ref"].rpartition("/")[2]]
    return schema if isinstance(schema, dict) else {}


def _fits(schema: Any, value: Any) -> bool:
    whole = {"definitions": webhook_schemas()["definitions"], "allOf": [schema]}
    return bool(jsonschema.Draft7Validator(whole).is_valid(value))


@pytest.mark.parametrize("where", FILES)
def test_every_event_that_is_not_used_gets_2xx_and_does_nothing(
    where: str, service: ServiceUnderTest
) -> None:
    sent = 0
    for event, payload in examples(where):
        if (event, payload.get("action")) not in USED | INSTALLATIONS:
            sent += 1
            body = json.dumps({**payload, **INSTALLATION}).encode()
            answer = service.deliver(event, body)
            assert answer.status_code == 200, (event, payload.get("action"), answer.text)
            assert answer.json()["result"] == "ignored"
    assert sent > 40
    assert service.kept() == 0


VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**53, 2**63, 10**40, 0.5, 1e308,
    "", " ", "\0", "é\u202e", "x" * 5000, "../../etc/passwd", "octo/calc", "Bot", "labeled",
    "/patchwright fix", "refs/heads/main", "0" * 40,
    [], [[]], [None], {}, {"id": {}}, {"login": None},
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path into a JSON value."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*at, index))


def spoil(rng: random.Random, event: str, payload: dict[str, Any]) -> tuple[str, bytes]:
    """A payload with one to four things wrong, in its values, its shape or its bytes."""
    spoilt: Any = copy.deepcopy({**payload, **INSTALLATION})
    for _ in range(rng.randint(1, 4)):
        # Near the top more often: that is what is read.
        depth = rng.choice((1, 2, 2, 3, 3, 9))
        found = [p for p in places(spoilt) if len(p) <= depth]
        if not found:
            break
        *way, last = rng.choice(found)
        inner = spoilt
        for key in way:
            inner = inner[key]
        match rng.randrange(4):
            case 0:
                del inner[last]
            case 1:
                inner[last] = rng.choice(VALUES)
            case 2:
                inner[last] = [inner[last]] if rng.random() < 0.5 else {"a": inner[last]}
            case _:
                inner[last] = str(inner[last])[::-1]
    body = json.dumps(spoilt).encode()
    if rng.random() < 0.15:
        at = rng.randrange(len(body))
        cut = rng.choice((body[:at], body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]))
        body = rng.choice((cut, body[:at] + b"[" * 2000 + body[at:], b"\xef\xbb\xbf" + body))
    if rng.random() < 0.05:
        event = rng.choice(("", "issues\u00e9"[:6], "x" * 100, "Issues", "push", "check_run"))
    return event, body


BATCH = 50
BATCHES = int(os.environ.get("PATCHWRIGHT_CHECK_PAYLOADS", "3000")) // BATCH


@pytest.mark.slow
def test_spoilt_payloads_get_2xx_or_4xx(service: ServiceUnderTest) -> None:
    chosen = [
        (event, payload) for where in FILES for event, payload in examples(where) if event in EVENTS
    ]
    used = [(e, p) for e, p in chosen if (e, p.get("action")) in USED]
    answers: Counter[int] = Counter()

    @settings(
        max_examples=BATCHES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64))
    def batch(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(BATCH):
            event, payload = rng.choice(used if rng.random() < 0.9 else chosen)
            answer = service.deliver(*spoil(rng, event, payload))
            assert answer.status_code // 100 in (2, 4), (seed, answer.status_code, answer.text)
            answers[answer.status_code] += 1

    batch()
    assert sum(answers.values()) >= BATCH * BATCHES * 0.9, answers
    assert answers[400] > BATCH * BATCHES * 0.05
    assert answers[200] + answers[202] > BATCH * BATCHES * 0.05
