"""What is said on each kind of channel. Words from outside are escaped as each reads them.

Facts: Slack escapes `&`, `<` and `>` (docs.slack.dev, "Formatting message text"); Mattermost's
incoming webhooks take Markdown, and mention people by `@name` (docs.mattermost.com); a workflow of
Teams takes an Adaptive Card as the attachment of a message (learn.microsoft.com, "Create incoming
webhooks with Workflows"; the cards of connectors are retired); Matrix has `m.notice`, and
`m.mentions` for who is called (spec.matrix.org, client-server API). No channel gets code, patches
or a run's own words unless it is allowed them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Protocol, TypeVar, cast

from agent.model import Record
from app.notifications.config import GROUP, Channel
from app.plugins.entry_points import PluginFailed, load_plugin
from app.sanitize.markdown import GAP, head_and_tail, shorten, visible
from app.storage.notices import Notice, NoticeKind

SAID: Mapping[NoticeKind, str] = {
    "queued": "A run is queued",
    "needs_you": "A run needs you: it asks something, or found no proven fix",
    "proven": "A fix is proven",
    "draft": "A draft waits for you: its fix is not proven",
    "failed": "A run failed",
    "near_budget": "Most of a budget is spent",
    "over_budget": "A budget is used up",
    "test": "This is a test",
}
Value = TypeVar("Value")
LONGEST_TITLE = 200
LONGEST_WORDS = 1_500
VERSION = 1
"""Of the signed webhook's form."""


class Links(Record):
    """Addresses that a message may lead to; empty: there is none."""

    run: str = ""
    issue: str = ""
    pull: str = ""


class Message(Record):
    """What is said, apart from how."""

    said: str
    where: str
    """`owner/name#12`; empty: of no issue."""
    title: str
    words: str
    links: Links


def message_of(notice: Notice, channel: Channel, *, base_url: str, web_url: str) -> Message:
    """What a channel is told. `base_url` is the service's address, `web_url` GitHub's."""
    place = f"{notice.repository}#{notice.issue_number}" if notice.issue_number else ""
    issue = f"{web_url}/{notice.repository}/issues/{notice.issue_number}" if place else ""
    words = head_and_tail(notice.words, LONGEST_WORDS) if channel.code and notice.words else ""
    return Message(
        said=SAID[notice.kind],
        where=place,
        title=shorten(_one_line(notice.title), LONGEST_TITLE),
        words=words,
        links=Links(
            run=f"{base_url}/runs/{notice.run_id}" if notice.run_id else "",
            issue=issue,
            pull=notice.pull_request if notice.pull_request.startswith("https://") else "",
        ),
    )


class ChannelPlugin(Protocol):
    """A kind of channel that an installed package adds; `docs/plug-ins.md` has an example."""

    def body(self, notice: Notice, message: Message) -> bytes:
        """What is posted, as JSON. Words in it are others': escape them as the receiver reads."""
        ...

    def headers(self, secret: str) -> Mapping[str, str]:
        """Headers besides; `secret` is what `secret_file` holds, empty if there is none."""
        ...


def added_headers(kind: str, secret: str) -> Mapping[str, str]:
    """The headers of a kind that an installed package adds. Raises `ValueError`."""
    return _of_plugin(kind, lambda plugin: plugin.headers(secret))


def _of_plugin(kind: str, ask: Callable[[ChannelPlugin], Value]) -> Value:
    try:
        return ask(cast("ChannelPlugin", load_plugin(GROUP, kind)))
    except PluginFailed as problem:
        raise ValueError(str(problem)) from None
    except Exception as problem:  # noqa: BLE001 - its words could hold the secret
        raise ValueError(f"the plug-in for {kind} failed ({type(problem).__name__})") from None


def body_of(kind: str, notice: Notice, message: Message) -> bytes:
    """The body of a request to a channel of this kind. Not for e-mail. Raises `ValueError`."""
    match kind:
        case "webhook":
            found = _webhook(notice, message)
        case "slack":
            found = {"text": _slack(message), "unfurl_links": False}
        case "mattermost":
            found = {"text": _markdown(message)}
        case "teams":
            found = _teams(message)
        case "matrix":
            found = {"msgtype": "m.notice", "body": plain_text(message), "m.mentions": {}}
        case "email":
            raise ValueError("e-mail has no body of this kind")
        case _:
            return _of_plugin(kind, lambda plugin: plugin.body(notice, message))
    return json.dumps(found, ensure_ascii=False).encode()


def email_of(channel: Channel, notice: Notice, message: Message) -> EmailMessage:
    """The mail; the same id whenever it is sent, so that receivers know it again."""
    mail = EmailMessage()
    mail["Subject"] = _one_line(f"[Patchwright] {message.said}: {message.where or message.title}")
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.to)
    mail["Date"] = format_datetime(notice.at)
    host = (channel.sender or "").rpartition("@")[2]
    mail["Message-ID"] = f"<{re.sub(r'[^A-Za-z0-9.-]', '-', notice.id)}.{channel.name}@{host}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(plain_text(message))
    return mail


def plain_text(message: Message) -> str:
    """The message as plain text."""
    links = message.links
    lines = [
        f"{message.said}.",
        " ".join(part for part in (message.where, message.title) if part),
        *(f"{name}: {url}" for name, url in _named(links) if url),
    ]
    if message.words:
        lines += ["", message.words]
    return "\n".join(lines)


def _webhook(notice: Notice, message: Message) -> dict[str, Any]:
    return {
        "version": VERSION,
        "id": notice.id,
        "event": notice.kind,
        "at": notice.at.isoformat(),
        "text": message.said,
        "repository": notice.repository,
        "issue": notice.issue_number,
        "title": message.title,
        "run": notice.run_id,
        "run_url": message.links.run,
        "issue_url": message.links.issue,
        "pull_request_url": message.links.pull,
        "words": message.words,
    }


def _slack(message: Message) -> str:
    links = [f"<{_slack_escape(url)}|{name}>" for name, url in _named(message.links) if url]
    lines = [
        f"*{_slack_escape(message.said)}*",
        _slack_escape(f"{message.where} {message.title}".strip()),
        " · ".join(links),
    ]
    if message.words:
        lines.append(f"```{_slack_escape(message.words.replace('```', GAP.join('```')))}```")
    return "\n".join(line for line in lines if line)


def _slack_escape(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("@", f"@{GAP}")


def _markdown(message: Message) -> str:
    links = [f"[{name}](<{url}>)" for name, url in _named(message.links) if url]
    where = _escaped(f"{message.where} {message.title}".strip())
    lines = [f"**{message.said}**", where, " · ".join(links)]
    if message.words:
        fence = "`" * (1 + max([2, *(len(run) for run in re.findall("`+", message.words))]))
        lines += [fence, message.words, fence]
    return "\n".join(line for line in lines if line)


def _escaped(text: str) -> str:
    text = re.sub(r"([\\`*_{}\[\]()<>#+!|~:-])", r"\\\1", text)
    return text.replace("@", f"@{GAP}")


def _teams(message: Message) -> dict[str, Any]:
    body: list[dict[str, Any]] = [
        _block(message.said, size="Medium", weight="Bolder"),
        _block(f"{message.where} {message.title}".strip()),
    ]
    if message.words:
        body.append(_block(message.words, fontType="Monospace"))
    actions = [
        {"type": "Action.OpenUrl", "title": name, "url": url}
        for name, url in _named(message.links)
        if url
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": actions,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _block(text: str, **more: str) -> dict[str, Any]:
    # Text blocks read some Markdown: links, emphasis, lists.
    safe = re.sub(r"([\[\]*_~`])", rf"{GAP}\1{GAP}", text)
    return {"type": "TextBlock", "text": safe, "wrap": True} | more


def _named(links: Links) -> tuple[tuple[str, str], ...]:
    return ("Pull request", links.pull), ("Issue", links.issue), ("Run", links.run)


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())
