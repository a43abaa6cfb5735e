"""The configuration of a repository, as whoever begins something reads it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from app.operations import organisations as switches
from app.repo_config.effective import EffectiveConfig, effective_config
from app.repo_config.schema import RepoConfig
from app.runs.services import Services
from app.settings.schema import Settings
from app.storage import organisations
from app.storage.store import SqlStore


async def test_an_organisation_is_on_again_as_soon_as_its_own_file_says_so(
    settings: Settings, store: SqlStore
) -> None:
    on = effective_config(settings, RepoConfig())
    now = [replace(on, enabled=False, off="Its file says so.")]

    async def read(_: object) -> EffectiveConfig:
        return now[0]

    services: Any = SimpleNamespace(store=store, settings=settings, read_config=read)
    forge: Any = SimpleNamespace(name="Octo/calc")
    organisations.turn_off(store.database, "octo", "file", "octo/.github", "Its file says so.")
    assert (await Services.config(services, forge)).off == "Its file says so."
    now[0] = on
    assert await Services.config(services, forge) == on
    assert organisations.all_off(store.database) == []
    switches.turn_off(store, "octo", by="op")
    found = await Services.config(services, forge)
    assert (found.enabled, found.off) == (
        False,
        "The operator has turned Patchwright off for octo.",
    )
