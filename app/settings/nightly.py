"""Settings about nights, at which a repository's backlog is looked at."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class NightlySettings(BaseSettings):
    """The part of `Settings` about the `schedule` of repositories."""

    nightly_issues: int = Field(
        20,
        ge=0,
        le=200,
        description="Most issues that a night looks at in one repository, whatever the `schedule` "
        "in its file wants; 0: no repository gets nights.",
    )
    nightly_then: Literal["report", "diagnose", "fix"] = Field(
        "fix",
        description="The most that may come of an issue that a night looks at, whatever the "
        "repository's `schedule` wants: a line in the night's report, a comment, or a pull request "
        "with a proven fix.",
    )
    nightly_look_minutes: float = Field(
        60.0,
        gt=0,
        description="How often the repositories are looked through for a `schedule` that is new or "
        "was changed, in minutes. Only files of repositories with new commits are read.",
    )
