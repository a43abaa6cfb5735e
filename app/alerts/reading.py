"""Reads values out of other services' JSON, where anything may be missing or of another kind."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.alerts.records import BadAlert

LONGEST = 8_000
"""Characters of one text that are kept."""
MOST_LABELS = 100
_CONTROL = dict.fromkeys({*range(32)} - {*map(ord, "\t\n\r")})
"""Nobody sees them, a database refuses one of them, and as JSON each takes six bytes."""


def parse(body: bytes) -> Mapping[str, Any]:
    """The object that a body is. Raises `BadAlert`."""
    try:
        found = json.loads(body.decode("utf-8"))
    except RecursionError:
        raise BadAlert("the JSON is nested too deep") from None
    except ValueError:
        raise BadAlert("the body is not JSON in UTF-8") from None
    if not isinstance(found, Mapping):
        raise BadAlert("the body is not a JSON object")
    return found


def text(value: object, most: int = LONGEST) -> str:
    """A text, or a number as one; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # Half characters that JSON can spell cannot be written to a database.
    return str(value)[:most].encode("utf-8", "replace").decode().translate(_CONTROL).strip()


def number(value: object) -> int:
    """A whole number from 0, also if it is spelt as text; 0 for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value.strip()):
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(0, min(int(value), 10**15))


def table(value: object) -> Mapping[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def items(value: object, most: int) -> Sequence[Any]:
    """A list, the first so many of it; an empty one for anything else."""
    return value[:most] if isinstance(value, list) else ()


def moment(value: object) -> datetime | None:
    """A time in ISO 8601 or in seconds since 1970; None for anything else, and for the year 1."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value, UTC)
        else:
            found = datetime.fromisoformat(text(value, 60).replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.astimezone(UTC) if 1970 <= found.year < 9000 else None


def labels(value: object) -> dict[str, str]:
    """Names with their texts."""
    found = {text(name, 200): text(each, 1000) for name, each in table(value).items()}
    return dict(sorted(found.items())[:MOST_LABELS])
