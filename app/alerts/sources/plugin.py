"""Sources of alerts that installed packages add; `docs/plug-ins.md` has an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

from app.alerts.records import Alert, BadAlert
from app.plugins.entry_points import PluginFailed, load_plugin

GROUP = "patchwright.alert_sources"


class AlertSource(Protocol):
    """A service that sends alerts."""

    def verify(self, secret: str, headers: Mapping[str, str], body: bytes) -> str:
        """Why a delivery is not believed, in words; empty: it is. Header names in lower case.

        Nothing of the body may be parsed for it.
        """
        ...

    def read(self, body: bytes) -> tuple[Alert, ...]:
        """The alerts of a delivery that is believed. Raises `BadAlert`."""
        ...


def verify(kind: str, secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """Why a delivery is not believed; also where the plug-in fails."""
    try:
        return _source(kind).verify(secret, headers, body)
    except Exception as problem:  # noqa: BLE001 - whatever is wrong, it is not believed
        return f"The plug-in for {kind} cannot tell ({type(problem).__name__})."


def read(kind: str, body: bytes) -> tuple[Alert, ...]:
    """The alerts of a delivery. Raises `BadAlert`, also where the plug-in fails."""
    try:
        return _source(kind).read(body)
    except BadAlert:
        raise
    except Exception as problem:
        raise BadAlert(f"the plug-in for {kind} cannot read it ({problem!r})") from problem


def _source(kind: str) -> AlertSource:
    try:
        return cast("AlertSource", load_plugin(GROUP, kind))
    except PluginFailed as problem:
        raise BadAlert(str(problem)) from None
