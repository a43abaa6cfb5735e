"""What of an alert is kept: nothing secret, and never more than so many bytes.

A source may bring many alerts, each as large as a delivery, and they are kept for months.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.alerts.records import Alert, AlertFrame
from app.sanitize.secret_scan import mask, mask_all, mask_start

LONGEST_KEPT = 32_000
"""Bytes of one alert as JSON."""
LONGEST_MESSAGE = 4_000
"""Characters."""
LONGEST_WORDS = 650
"""Characters of any other text; those of a longer one that cannot be a part of a secret stay."""
LARGEST_FRAMES = 16_000
"""Bytes of an alert's frames as JSON."""
MOST_FRAMES = 50
"""More than an issue shows."""
LARGEST_LABELS = 4_000
"""Characters of an alert's labels."""
MOST_LABELS = 50


def kept(alert: Alert) -> Alert:
    """The alert as it may be kept.

    Of what is too much, the innermost frames stay, and the shortest labels: they tell whose it is.
    It has no fingerprint, of which only a hash is kept.
    """
    cut = Alert(
        fingerprint="",
        title=words(alert.title),
        is_over=alert.is_over,
        is_regression=alert.is_regression,
        message=mask_start(alert.message, LONGEST_MESSAGE),
        level=words(alert.level),
        culprit=words(alert.culprit),
        project=words(alert.project),
        organisation=words(alert.organisation),
        environment=words(alert.environment),
        release=words(alert.release),
        count=alert.count,
        first_seen=alert.first_seen,
        last_seen=alert.last_seen,
        url=mask(alert.url),
        source_issue=words(alert.source_issue),
        frames=_frames(alert.frames),
        labels=_labels(alert.labels),
    )
    if _size(cut) <= LONGEST_KEPT:
        return cut
    # Texts of characters that take several bytes.
    return cut.model_copy(update={"frames": (), "labels": (), "message": ""})


def words(text: str) -> str:
    """A short text, masked."""
    return mask_start(text, LONGEST_WORDS)


def _frames(frames: tuple[AlertFrame, ...]) -> tuple[AlertFrame, ...]:
    found: list[AlertFrame] = []
    room = LARGEST_FRAMES
    for frame in reversed(frames[-MOST_FRAMES:]):
        room -= _size(frame)
        if room < 0:
            break
        found.append(AlertFrame.model_validate(mask_all(frame.model_dump(mode="json"))))
    return tuple(reversed(found))


def _labels(labels: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    found: dict[int, tuple[str, str]] = {}
    room = LARGEST_LABELS
    shortest = sorted(range(len(labels)), key=lambda at: sum(map(len, labels[at])))
    for at in shortest[:MOST_LABELS]:
        name, value = labels[at]
        found[at] = (words(name), words(value))
        room -= sum(map(len, found[at]))
        if room < 0:
            del found[at]
            break
    return tuple(found[at] for at in sorted(found))


def _size(record: Alert | AlertFrame) -> int:
    return len(record.model_dump_json().encode())
