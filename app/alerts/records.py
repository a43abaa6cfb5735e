"""An alert in one form, whatever service it came from. All text in it is untrusted."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from agent.model import Record

Kind = Literal["sentry", "glitchtip", "alertmanager", "grafana", "generic"]
"""What a source sends, and how it proves that it is the one; installed packages may add others."""
KINDS: tuple[str, ...] = get_args(Kind)


class AlertFrame(Record):
    """One place of a stack trace, as the source tells it."""

    path: str
    """Relative to the program, where the source knows that."""
    absolute: str = ""
    """Where the file lay when the program ran; may be an address."""
    module: str = ""
    function: str = ""
    line: int = 0
    """0: not told."""
    column: int = 0
    code: str = ""
    """The text of the line as it ran; empty: not told."""
    in_app: bool | None = None
    """Whether the source takes it for the program's own; None: it does not say."""


class Alert(Record):
    """Something that a source says went wrong, or is over."""

    fingerprint: str
    """By which the source tells it from others; the same whenever it comes again."""
    title: str
    is_over: bool = False
    is_regression: bool = False
    """The source had it as resolved."""
    message: str = ""
    level: str = ""
    culprit: str = ""
    """The place in the source's own words."""
    project: str = ""
    organisation: str = ""
    environment: str = ""
    release: str = ""
    count: int = 0
    """How often, as the source counts; 0: it does not say."""
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    url: str = ""
    """Its page at the source."""
    source_issue: str = ""
    """Its id at the source's API; empty: it has none."""
    frames: tuple[AlertFrame, ...] = ()
    """The innermost last."""
    labels: tuple[tuple[str, str], ...] = ()


class BadAlert(Exception):
    """The body is no JSON, or not what this kind of source sends; the message says what."""
