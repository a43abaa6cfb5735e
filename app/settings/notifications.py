"""Settings about notifications."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class NotificationSettings(BaseSettings):
    """The part of `Settings` about notifications."""

    notifications_file: Path | None = Field(
        None,
        description="File (TOML) that names the channels on which people are told of runs: a "
        "signed webhook, Slack, Teams, Mattermost, Matrix or e-mail; read at each use. Empty: no "
        "notifications.",
    )

    @field_validator("notifications_file")
    @classmethod
    def _check_notifications_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value
