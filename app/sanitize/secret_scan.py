"""Secrets found in text by detect-secrets' detectors, and masked.

Everything that leaves for GitHub and every exported journal passes here. Only detectors of known
forms are used: the ones that guess by entropy or by names (`password = …`) take commit hashes and
plain code for secrets, and a report full of holes proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from agent.gate.patch.parse import BadPatch, parse_patch
from app.sanitize.secret_patterns import (
    IN_CONTEXT,
    KEY_ON_A_LINE,
    TOKENS,
    UNSEEN,
    looks_random,
)
from app.telemetry.logs import KEY_BEGINS, KEY_ENDS, LONGEST_KEY, redact

MASK = "[secret]"

_DETECTORS: tuple[RegexBasedDetector, ...] = (
    ArtifactoryDetector(),
    AWSKeyDetector(),
    AzureStorageKeyDetector(),
    BasicAuthDetector(),
    DiscordBotTokenDetector(),
    GitHubTokenDetector(),
    GitLabTokenDetector(),
    MailchimpDetector(),
    NpmDetector(),
    PypiTokenDetector(),
    SendGridDetector(),
    SlackDetector(),
    SquareOAuthDetector(),
    StripeDetector(),
    TelegramBotTokenDetector(),
    TwilioKeyDetector(),
)
_WINDOW = 4000
"""Characters that are looked at in one go: some patterns take the square of that."""
_OVERLAP = 400
"""More than the longest secret that is looked for, so that none hides between two windows."""
_REST = re.compile(r"[\w.+/=-]*")
_OF_WEB_TOKENS = re.compile(r"[A-Za-z0-9_=-]+")
_OF_OPENAI = re.compile(r"[A-Za-z0-9_-]+")
_OPENAI = re.compile(r"[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}")
_PASSWORD_OF_A_PLACEHOLDER = re.compile(r"\$\{?\w+\}?|<[^>]*>|\{[^}]*\}|\*+|x+|\[secret\]", re.I)


def mask(text: str) -> str:
    """The text with `[secret]` for whatever looks like a credential."""
    text = redact(text)
    spans = sorted(set(_spans_as_seen(text)))
    if not spans:
        return text
    out = []
    at = 0
    for start, end in spans:
        if start >= at:
            out += [text[at:start], MASK]
        at = max(at, end)
    return "".join([*out, text[at:]])


def mask_start(text: str, limit: int) -> str:
    """The masked beginning of a text, without what could be the first part of a secret.

    Not more than the first `limit` characters are looked at.
    """
    masked = mask(text[:limit])
    if len(text) <= limit:
        return masked
    kept = masked[:-_OVERLAP]
    opened = kept.find(KEY_BEGINS, max(0, len(kept) - LONGEST_KEY))
    return kept if opened < 0 else kept[:opened]


def mask_end(text: str, limit: int) -> str:
    """The masked end of a text, without what could be the last part of a secret.

    Not more than the last `limit` characters are looked at.
    """
    masked = mask(text[-limit:])
    if len(text) <= limit:
        return masked
    kept = masked[_OVERLAP:]
    closed = kept.rfind(KEY_ENDS, 0, LONGEST_KEY)
    return kept if closed < 0 else kept[closed + len(KEY_ENDS) :]


def mask_all(value: Any) -> Any:
    """The same for every string in plain JSON data."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [mask_all(item) for item in value]
    if isinstance(value, dict):
        return {name: mask_all(item) for name, item in value.items()}
    return value


def new_secrets(patch: str) -> int:
    """How many lines a unified diff adds with a secret that it does not also take away."""
    added, removed = _lines(patch)
    brought = [line for line in added if line.strip() not in removed]
    # A private key is one only over several lines.
    whole = "\n".join(brought)
    return sum(mask(line) != line for line in brought) or int(mask(whole) != whole)


def _lines(patch: str) -> tuple[list[str], set[str]]:
    """What is added, and what is taken away without its margins.

    Of a patch that the gate's parser refuses, all that may be an addition, and nothing is believed
    to be taken away.
    """
    try:
        changes = parse_patch(patch)
    except BadPatch:
        return [line[1:] for line in patch.split("\n") if line.startswith("+")], set()
    added = [text for change in changes for _, text in change.added]
    return added, {text.strip() for change in changes for _, text in change.removed}


def _spans_as_seen(text: str) -> Iterator[tuple[int, int]]:
    """Spans of secrets, those among them that characters nobody sees take apart."""
    yield from _spans(text)
    hidden = {at for match in UNSEEN.finditer(text) for at in range(*match.span())}
    if hidden:
        kept = [at for at in range(len(text)) if at not in hidden]
        for first, last in _spans("".join(text[at] for at in kept)):
            if last > first:
                yield kept[first], kept[last - 1] + 1


def _spans(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for line in text.split("\n"):
        for start in range(0, max(len(line), 1), _WINDOW - _OVERLAP):
            window = line[start : start + _WINDOW]
            for first, last in _in_window(window):
                yield at + start + first, at + start + last
        at += len(line) + 1


def _in_window(window: str) -> Iterator[tuple[int, int]]:
    for pattern in (TOKENS, KEY_ON_A_LINE):
        for match in pattern.finditer(window):
            yield match.span()
    for match in IN_CONTEXT.finditer(window):
        group = match.lastindex or 0
        if looks_random(match[group]):
            yield match.span(group)
    yield from _web_tokens(window)
    yield from _openai_keys(window)
    for detector in _DETECTORS:
        if isinstance(detector, NpmDetector) and "_authToken" not in window:
            continue
        for pattern in detector.denylist:
            for match in pattern.finditer(window):
                if isinstance(detector, BasicAuthDetector):
                    # Only the password; the rest tells what it was for.
                    if not _PASSWORD_OF_A_PLACEHOLDER.fullmatch(match[1]):
                        yield match.span(1)
                else:
                    yield match.start(), _rest(window, match.end())


def _web_tokens(window: str) -> Iterator[tuple[int, int]]:
    """What detect-secrets' `JwtTokenDetector` finds, in linear time.

    Its pattern begins anew at each `eyJ` of a text that has many of them.
    """
    covered = 0
    for run in _OF_WEB_TOKENS.finditer(window):
        start, end = window.find("eyJ", run.start(), run.end()), run.end()
        if start < 0 or end == start + 3 or end <= covered:
            continue
        if window[end : end + 1] == "." and _OF_WEB_TOKENS.match(window, end + 1):
            covered = _rest(window, end)
            yield start, covered


def _openai_keys(window: str) -> Iterator[tuple[int, int]]:
    """What detect-secrets' `OpenAIDetector` finds, in linear time, as with `_web_tokens`."""
    for run in _OF_OPENAI.finditer(window):
        start = window.find("sk-", run.start(), run.end())
        if start >= 0 and (found := _OPENAI.search(window, start + 3, run.end())):
            yield start, _rest(window, found.end())


def _rest(window: str, end: int) -> int:
    """Where what goes on at the end of a match ends."""
    rest = _REST.match(window, end)
    return rest.end() if rest else end
