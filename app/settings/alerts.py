"""Settings about alerts of monitoring services, which open issues and may start runs."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class AlertSettings(BaseSettings):
    """The part of `Settings` about alerts."""

    alerts_file: Path | None = Field(
        None,
        description="File (TOML) that names the sources of alerts, their secrets, and the "
        "repositories that alerts belong to; read at each use. Empty: no alerts are taken.",
    )
    alert_issues_per_day: int = Field(
        20,
        ge=0,
        description="Issues that alerts may open within a day (UTC) in one repository; further "
        "alerts are counted and shown on the pages, and open theirs when they come again on "
        "another day. 0: none are opened.",
    )
    alert_edits_per_day: int = Field(
        24,
        ge=1,
        description="How often an alert that comes again may bring its issue up to date within a "
        "day (UTC). What comes in between is counted, and shown by the next edit.",
    )
    alert_edit_minutes: float = Field(
        15.0, ge=0, description="Least time between two such edits of one issue, in minutes."
    )

    @field_validator("alerts_file")
    @classmethod
    def _check_alerts_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value
