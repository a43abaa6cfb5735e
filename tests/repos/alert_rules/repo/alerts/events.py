"""What monitoring reports."""

from dataclasses import dataclass

SEVERITIES = ("info", "warning", "error", "critical")


@dataclass(frozen=True)
class Event:
    host: str
    check: str
    severity: str
    message: str = ""

    def __post_init__(self):
        if self.severity not in SEVERITIES:
            raise ValueError(f"unknown severity {self.severity!r}")


def rank(severity):
    return SEVERITIES.index(severity)


def worst(events):
    """The highest severity among events, or None."""
    return max((e.severity for e in events), key=rank, default=None)
