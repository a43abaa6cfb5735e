"""The operator's file about notifications: the channels, and what is told on each.

TOML, as `docs/notifications.md` shows. Read at each use, so that a change needs no restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from app.plugins.entry_points import check_kind
from app.settings.operator_files import Table, load_file, read_secret
from app.storage.notices import Notice, NoticeKind

KINDS = ("webhook", "slack", "teams", "mattermost", "matrix", "email")
GROUP = "patchwright.notifications"
"""Installed packages add other kinds as entry points of this group."""
RETIRED = ("webhook.office.com", "outlook.office.com", "outlook.office365.com")
"""Hosts of the Office 365 connectors, which Microsoft has retired for Workflows."""
_ADDRESS = r"^[^@\s<>,;\"]{1,64}@[A-Za-z0-9.-]{1,253}$"
Address = Annotated[str, Field(pattern=_ADDRESS)]


class Channel(Table):
    """Where people are told."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    kind: str
    """One of `KINDS`, or what an installed package adds."""
    events: tuple[NoticeKind, ...] = ()
    """What is told; empty: everything."""
    repositories: tuple[str, ...] = ()
    """Patterns of `owner/name`; empty: all."""
    url_file: Path | None = None
    """File with the address that is posted to, which is a secret for most services."""
    url: str = ""
    """The address where it is none. Of Matrix: the homeserver's."""
    secret_file: Path | None = None
    """Of a webhook what it is signed with, of Matrix an access token, of e-mail the password."""
    internal: bool = False
    """Whether the address may be on this machine or a private network."""
    code: bool = False
    """Whether it may have code in it: what a run says at its end."""
    room: str = ""
    """Of Matrix: the room's id."""
    server: str = ""
    """Of e-mail: the SMTP server."""
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    sender: Address | None = None
    to: tuple[Address, ...] = ()

    @field_validator("kind")
    @classmethod
    def _check_kind(cls, value: str) -> str:
        return check_kind(value, KINDS, GROUP)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.kind == "email":
            if not (self.server and self.sender and self.to):
                raise ValueError("e-mail needs server, sender and to")
            if self.user and self.security == "none":
                raise ValueError("a password is not sent without encryption")
        elif bool(self.url) == bool(self.url_file):
            raise ValueError("it needs either url or url_file")
        if self.kind == "matrix" and not (self.room and self.secret_file):
            raise ValueError("Matrix needs room and secret_file")
        if self.kind == "webhook" and not self.secret_file:
            raise ValueError("a webhook needs a secret_file: it is signed")
        if self.url:
            check_address(self.kind, self.url, internal=self.internal)
        return self

    @property
    def address(self) -> str:
        """The address now. Raises `SettingsError` and `ValueError`."""
        found = self.url or (read_secret(self.url_file) if self.url_file else "")
        check_address(self.kind, found, internal=self.internal)
        return found.rstrip("/") if self.kind == "matrix" else found

    @property
    def secret(self) -> str:
        """The secret now; empty: it needs none. Raises `SettingsError`."""
        return read_secret(self.secret_file) if self.secret_file else ""

    def wants(self, notice: Notice) -> bool:
        """Whether a notice is told here."""
        if self.events and notice.kind not in self.events:
            return False
        if not self.repositories or not notice.repository:
            return True
        name = notice.repository.lower()
        return any(fnmatchcase(name, pattern.lower()) for pattern in self.repositories)


class NotificationsFile(Table):
    """The whole file."""

    channel: tuple[Channel, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [each.name for each in self.channel]
        if len(set(names)) < len(names):
            raise ValueError("two channels have the same name")
        return self

    def named(self, name: str) -> Channel | None:
        """The channel of this name."""
        return next((each for each in self.channel if each.name == name), None)

    def channels_of(self, notice: Notice) -> Sequence[str]:
        """Names of the channels on which a notice is told."""
        return [each.name for each in self.channel if each.wants(notice)]


def load(path: Path | None) -> NotificationsFile:
    """The file as it is now; without one, no channel. Raises `SettingsError`."""
    return load_file(NotificationsFile, "NOTIFICATIONS_FILE", path)


def check_address(kind: str, url: str, *, internal: bool) -> None:
    """Raises `ValueError`, never with the address in it, for one that is not to be posted to."""
    parts = urlsplit(url)
    allowed = ("https", "http") if internal else ("https",)
    if parts.scheme not in allowed or not parts.hostname:
        raise ValueError(f"the address must begin with {' or '.join(s + '://' for s in allowed)}")
    if parts.username or parts.password:
        raise ValueError("the address must not have a user or password in it")
    if kind == "teams" and parts.hostname.endswith(RETIRED):
        raise ValueError(
            "this is an Office 365 connector, which Microsoft has retired. Make a workflow in "
            "Teams (Workflows → Send webhook alerts to a channel) and use its address"
        )
