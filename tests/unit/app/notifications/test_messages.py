"""What is said on each channel: nothing calls people, runs or leads away, and no code is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.notifications import config
from app.notifications.config import Channel
from app.notifications.messages import body_of, email_of, message_of
from app.notifications.send import NotSent, is_public, wait_before
from app.settings.base import SettingsError
from app.storage.notices import Notice

TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
EVIL = (
    f"@channel <!everyone> <script>x</script> [x](https://evil.example) {TOKEN}\nBcc: x@y.example"
)
SECRET_CODE = "def secret_sauce(): return 42"
HOOK = "https://hooks.example.com/x"


def notice(**more: Any) -> Notice:
    told = {
        "id": "run1-1-proven",
        "kind": "proven",
        "run_id": "run1",
        "repository": "acme/shop",
        "issue_number": 12,
        "title": EVIL,
        "pull_request": "https://github.com/acme/shop/pull/13",
        "words": f"```\n{SECRET_CODE}\n```\n@channel {TOKEN}",
        "at": datetime(2026, 11, 20, 21, 6, tzinfo=UTC),
    } | more
    return Notice.model_validate(told)


def channel(kind: str, **more: Any) -> Channel:
    parts: dict[str, Any] = {"name": "c", "kind": kind}
    if kind == "email":
        parts |= {"server": "mail.example.com", "sender": "pw@acme.example", "to": ["a@b.example"]}
    else:
        parts["url"] = HOOK
    if kind in ("webhook", "matrix"):
        parts |= {"secret_file": "s", **({"room": "!r:example.com"} if kind == "matrix" else {})}
    return Channel.model_validate(parts | more)


def said(kind: str, **more: Any) -> str:
    to = channel(kind, **more)
    told = message_of(notice(), to, base_url="https://pw.example", web_url="https://github.com")
    if kind == "email":
        return email_of(to, notice(), told).as_string()
    return body_of(to.kind, notice(), told).decode()


KINDS = ("webhook", "slack", "teams", "mattermost", "matrix", "email")


@pytest.mark.parametrize("kind", KINDS)
def test_no_channel_gets_code_or_secrets(kind: str) -> None:
    text = said(kind)
    assert "secret_sauce" not in text
    assert TOKEN not in text
    for part in ("acme/shop", "12", "https://pw.example/runs/run1", "acme/shop/pull/13"):
        assert part in text, text


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_that_may_have_code_gets_it_without_secrets(kind: str) -> None:
    text = said(kind, code=True)
    assert "secret" in text and "sauce" in text
    assert TOKEN not in text


def test_nothing_calls_people_or_leads_away() -> None:
    slack = json.loads(said("slack"))["text"]
    assert "<!everyone>" not in slack and "@channel" not in slack
    assert slack.count("<https://") == 3
    mattermost = json.loads(said("mattermost"))["text"]
    assert "@channel" not in mattermost and "[x](https://evil" not in mattermost
    matrix = json.loads(said("matrix"))
    assert (matrix["m.mentions"], matrix["msgtype"]) == ({}, "m.notice")
    teams = json.loads(said("teams"))
    assert "[x](" not in json.dumps(teams)
    mail = said("email")
    assert "\nBcc:" not in mail


def test_the_card_for_teams_is_a_workflows() -> None:
    found = json.loads(said("teams"))
    [attachment] = found["attachments"]
    assert found["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"TextBlock"}
    assert {action["type"] for action in card["actions"]} == {"Action.OpenUrl"}


def test_a_mail_has_the_same_id_whenever_it_is_sent() -> None:
    assert "Message-ID: <run1-1-proven.c@acme.example>" in said("email")
    assert said("email").split("MIME")[0] == said("email").split("MIME")[0]


def test_what_is_wanted_where() -> None:
    chosen = channel("slack", events=["failed"], repositories=["ACME/*"])
    assert not chosen.wants(notice())
    assert chosen.wants(notice(kind="failed"))
    assert not chosen.wants(notice(kind="failed", repository="other/shop"))
    assert channel("slack").wants(notice(kind="over_budget", repository="", issue_number=0))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"kind": "slack", "url": "http://hooks.example.com"}, "https"),
        ({"kind": "slack", "url": "ftp://hooks.example.com", "internal": True}, "begin with"),
        ({"kind": "slack", "url": "https://u:p@hooks.example.com"}, "password"),
        ({"kind": "slack"}, "url_file"),
        ({"kind": "slack", "url": HOOK, "url_file": "x"}, "either"),
        ({"kind": "webhook", "url": HOOK}, "signed"),
        ({"kind": "matrix", "url": HOOK, "room": "!r"}, "secret_file"),
        ({"kind": "teams", "url": "https://acme.webhook.office.com/webhookb2/x"}, "retired"),
        ({"kind": "email", "server": "m", "sender": "a@b.example"}, "to"),
        ({"kind": "email", "server": "m", "sender": "a@b\n.c", "to": ["a@b.c"]}, "sender"),
        ({"kind": "slack", "url": HOOK, "evnts": []}, "evnts"),
        ({"kind": "slack", "url": HOOK, "events": ["done"]}, "events"),
    ],
)
def test_mistakes_in_the_file_are_named(wrong: dict[str, Any], word: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        Channel.model_validate({"name": "c"} | wrong)
    assert word in str(caught.value)


def test_an_address_that_is_a_secret_is_in_no_error(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://hooks.example.com/T0P-S3CRET\n")
    (tmp_path / "n.toml").write_text(
        f"[[channel]]\nname = 'c'\nkind = 'slack'\nurl_file = '{tmp_path}/url'\n"
    )
    found = config.load(tmp_path / "n.toml").named("c")
    assert found is not None
    with pytest.raises(ValueError, match="https") as caught:
        _ = found.address
    assert "T0P" not in str(caught.value)
    (tmp_path / "n.toml").write_text("[[channel]]\nname = 'c'\nkind = 'irc'\n")
    with pytest.raises(SettingsError, match="NOTIFICATIONS_FILE"):
        config.load(tmp_path / "n.toml")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fd00::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_waits_grow_and_end() -> None:
    waits = [wait_before(n, NotSent("x")) for n in range(1, 8)]
    seconds = [each.total_seconds() for each in waits if each is not None]
    assert seconds == [10, 60, 300, 900, 3600, 3600, 3600]
    assert wait_before(1, NotSent("x", again=False)) is None
