"""Removes secrets from an export, and names if requested.

Anonymising takes out what names people and repositories: `owner/name`, logins, mail addresses and
commit ids. It does not rewrite code, and code can give its owner away.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from app.sanitize.secret_scan import mask

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_MENTION = re.compile(r"(?<![\w/@.])@([A-Za-z\d](?:[A-Za-z\d-]{0,38}))\b")
_SHA = re.compile(r"\b[0-9a-f]{40}\b")


def without_secrets(value: Any) -> Any:
    """JSON data without secrets, in the values of JSON texts inside it too."""
    return _map_strings(value, mask)


def pseudonymise(value: Any, repositories: Iterable[str], people: Iterable[str], key: bytes) -> Any:
    """JSON data with pseudonyms, the same for the same name and key.

    A person that is given as `@name` is replaced only where it is mentioned so.
    """
    names = {name: f"owner/{pseudonym('repository', name, key)}" for name in repositories}
    names |= {
        name: ("@" if name.startswith("@") else "") + pseudonym("person", name.lstrip("@"), key)
        for name in people
        if len(name) > 2
    }
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    known = (
        re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])", re.I)
        if longest_first
        else None
    )
    folded = {name.lower(): new for name, new in names.items()}

    def replaced(text: str) -> str:
        if known is not None:
            text = known.sub(lambda m: folded[m[0].lower()], text)
        text = _MAIL.sub(lambda m: f"{pseudonym('person', m[0], key)}@example.org", text)
        return _SHA.sub(lambda m: pseudonym("", m[0], key, 40), text)

    return _map_strings(value, replaced)


def mentioned_logins(text: str) -> frozenset[str]:
    """Logins that an issue's text mentions, each with its `@`: code has decorators that look so."""
    return frozenset(f"@{m[1]}" for m in _MENTION.finditer(text))


def pseudonym(kind: str, name: str, key: bytes, length: int = 10) -> str:
    """A name's stand-in: `repository-3f2a91c07d`."""
    made = hmac.new(key, name.lower().encode(), hashlib.sha256).hexdigest()[:length]
    return f"{kind}-{made}" if kind else made


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return _text(value, change)
    if isinstance(value, list):
        return [_map_strings(item, change) for item in value]
    if isinstance(value, dict):
        return {name: _map_strings(item, change) for name, item in value.items()}
    return value


def _text(text: str, change: Callable[[str], str]) -> str:
    changed = change(text)
    if not text.startswith(("{", "[")):
        return changed
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return changed
    mapped = _map_strings(inner, change)
    # What needs no change stays as it was written, byte for byte. A change is made inside the
    # values, so that the text stays JSON.
    return text if mapped == inner else json.dumps(mapped, ensure_ascii=False)
