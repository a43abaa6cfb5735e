"""The operator's file about alerts: where they come from, and which repository each belongs to.

TOML, as `docs/alerts.md` shows. Read at each use, so that a change needs no restart.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from app.alerts.records import KINDS, Alert
from app.alerts.sources.plugin import GROUP
from app.github.webhook_events import FullName
from app.plugins.entry_points import check_kind
from app.settings.base import check_url
from app.settings.operator_files import Table, load_file, read_secret

SourceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
LABEL = "label:"
"""Begins the name of a label in `match`."""
_FIELDS = ("project", "environment", "organisation", "level", "release", "title")


class Source(Table):
    """A service that sends alerts, to `/webhooks/alerts/NAME`."""

    name: SourceName
    kind: str
    """One of `KINDS`, or what an installed package adds."""
    secret_file: Path
    """What deliveries are signed with, or the password or token that they bring."""
    api_url: str = ""
    """Sentry's or GlitchTip's own address, for its API; empty: it is asked and told nothing."""
    api_token_file: Path | None = None
    """A token that may read events and write issues (`event:read`, `event:write`)."""
    organisation: str = Field("", pattern=r"^[\w.-]{0,100}$")
    """Its slug there; empty: as the alert says."""

    @field_validator("kind")
    @classmethod
    def _check_kind(cls, value: str) -> str:
        return check_kind(value, KINDS, GROUP)

    @field_validator("api_url")
    @classmethod
    def _check_api_url(cls, value: str) -> str:
        return check_url(value, ("http", "https")) if value else value

    @model_validator(mode="after")
    def _check_api(self) -> Self:
        if self.api_url and self.kind not in ("sentry", "glitchtip"):
            raise ValueError("only sentry and glitchtip have an API that is used")
        if bool(self.api_url) != bool(self.api_token_file):
            raise ValueError("api_url and api_token_file go together")
        return self

    @property
    def secret(self) -> str:
        """The secret now. Raises `SettingsError`."""
        return read_secret(self.secret_file)

    @property
    def api_token(self) -> str:
        """The API's token now; empty: there is none. Raises `SettingsError`."""
        return read_secret(self.api_token_file) if self.api_token_file else ""


class Route(Table):
    """Which alerts belong to a repository, and where their files lie in it."""

    repository: FullName
    source: SourceName | None = None
    """Only alerts of this source."""
    match: dict[str, str] = Field(default_factory=dict)
    """What an alert must say: `project`, `environment`, … or `label:NAME`, each with a pattern."""
    paths: dict[str, str] = Field(default_factory=dict)
    """Where files lay when the program ran, and where they lie in the repository."""
    tags: tuple[str, ...] = ()
    """How a release's tag is called, `{release}` standing for the release or its version."""

    @field_validator("match")
    @classmethod
    def _check_match(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in _FIELDS and not name.startswith(LABEL):
                known = ", ".join(_FIELDS)
                raise ValueError(f"{name} is neither {known} nor {LABEL}NAME")
        return value

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("{release}" not in each for each in value):
            raise ValueError("a tag's form must have {release} in it")
        return value

    @field_validator("paths")
    @classmethod
    def _check_paths(cls, value: dict[str, str]) -> dict[str, str]:
        for inside in value.values():
            if inside.startswith("/") or ".." in inside.split("/"):
                raise ValueError(f"{inside} is not a path within the repository")
        return value

    def fits(self, source: str, alert: Alert) -> bool:
        """Whether an alert belongs here."""
        if self.source is not None and self.source != source:
            return False
        labels = dict(alert.labels)
        return all(
            fnmatchcase(
                labels.get(name.removeprefix(LABEL), "")
                if name.startswith(LABEL)
                else str(getattr(alert, name)),
                pattern,
            )
            for name, pattern in self.match.items()
        )


class AlertsFile(Table):
    """The whole file."""

    source: tuple[Source, ...] = ()
    route: tuple[Route, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [each.name for each in self.source]
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        if lost := {each.source for each in self.route if each.source} - set(names):
            raise ValueError(f"there is no source {sorted(lost)[0]}")
        return self

    def named(self, name: str) -> Source | None:
        """The source of this name."""
        return next((each for each in self.source if each.name == name), None)

    def route_of(self, source: str, alert: Alert) -> Route | None:
        """Where an alert belongs: the first route that fits."""
        return next((each for each in self.route if each.fits(source, alert)), None)


def load(path: Path | None) -> AlertsFile:
    """The file as it is now; without one, no source. Raises `SettingsError`."""
    return load_file(AlertsFile, "ALERTS_FILE", path)
