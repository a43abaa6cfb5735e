"""Webhook payloads as GitHub sends them."""

from __future__ import annotations

import json
from typing import Any

from app.github.webhook_events import Commented


def labeled() -> dict[str, Any]:
    return {
        "action": "labeled",
        "issue": {
            "number": 7,
            "title": "It breaks",
            "body": None,
            "state": "open",
            "user": {"login": "reporter", "type": "User", "id": 3},
            "labels": [],
        },
        "label": {"id": 1, "name": "patchwright", "color": "ededed"},
        "repository": {
            "id": 5,
            "full_name": "octo/calc",
            "default_branch": "main",
            "archived": False,
            "private": True,
        },
        "installation": {"id": 11, "node_id": "x"},
        "sender": {"login": "maintainer", "type": "User"},
        "new_thing_of_github": {"a": [1]},
    }


def encoded(payload: object) -> bytes:
    return json.dumps(payload).encode()


SOURCE = {
    "installation_id": 11,
    "repository": "octo/calc",
    "repository_id": 5,
    "default_branch": "main",
    "archived": False,
    "sender": "ann",
    "sender_is_bot": False,
}


def comment(body: str = "/patchwright fix") -> Commented:
    return Commented(**SOURCE, issue_number=7, is_pull_request=False, comment_id=3, body=body)


STOP = Commented(
    installation_id=1,
    repository="octo/calc",
    repository_id=5,
    default_branch="main",
    archived=False,
    sender="maint",
    sender_is_bot=False,
    is_pull_request=False,
    issue_number=7,
    comment_id=1,
    body="/patchwright stop",
)
