"""Which of the operator's tools a run's attempts are given."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.journal.store import MemoryStore
from app.github.records import Repository
from app.repo_config.effective import EffectiveConfig, effective_config
from app.repo_config.schema import RepoConfig
from app.runs.attempts import AttemptPlan, _external_tools
from app.settings.schema import Settings
from tests.support.tools import misbehaving


@dataclass
class StandInRun:
    """What is asked of a run here."""

    settings: Settings
    repository_now: Repository
    wanted: RepoConfig

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.record = SimpleNamespace(id="r1")
        self.services = SimpleNamespace(settings=self.settings, config=self._config)
        self.forge = None

    async def _config(self, _: Any) -> EffectiveConfig:
        return effective_config(self.settings, self.wanted)

    async def repository(self) -> Repository:
        return self.repository_now


def repository(name: str, *, private: bool = True) -> Repository:
    return Repository(
        name, "main", private, False, "https://g.example/x.git", "https://g.example/x"
    )


def tools_file(folder: Path, **more: object) -> Path:
    server = misbehaving("right", folder)
    path = folder / "tools.toml"
    lines = {
        "name": '"odd"',
        "repositories": '["acme/*"]',
        "tools": '["look"]',
        "command": str(list(server.command)).replace("'", '"'),
        **more,
    }
    path.write_text("[[server]]\n" + "".join(f"{n} = {v}\n" for n, v in lines.items()))
    tomllib.loads(path.read_text())
    return path


async def offered(run: StandInRun) -> list[str]:
    async with _external_tools(run, AttemptPlan(tree="c")) as (offer, external):
        assert (external is None) == (run.settings.tools_file is None)
        return [tool.name for tool in offer.tools]


@pytest.mark.parametrize(
    ("name", "private", "more", "asked", "names"),
    [
        ("acme/app", True, {}, None, ["odd__look"]),
        ("acme/app", True, {}, ("odd",), ["odd__look"]),
        ("acme/app", True, {}, (), []),
        ("else/app", True, {}, ("odd",), []),
        ("acme/app", False, {}, None, []),
        ("acme/app", False, {"public": "true"}, None, ["odd__look"]),
    ],
)
async def test_a_run_has_what_the_operator_lets_its_repository_use_and_that_asks_for(
    tmp_path: Path,
    name: str,
    private: bool,
    more: dict[str, str],
    asked: tuple[str, ...] | None,
    names: list[str],
) -> None:
    settings = Settings(state_dir=tmp_path, tools_file=tools_file(tmp_path, **more))
    run = StandInRun(settings, repository(name, private=private), RepoConfig(tools=asked))
    assert await offered(run) == names
    assert (tmp_path / "pids").exists() == bool(names), "no server is started for nothing"


async def test_without_a_file_there_are_none_and_nothing_is_asked(tmp_path: Path) -> None:
    run = StandInRun(Settings(state_dir=tmp_path), repository("acme/app"), RepoConfig())
    assert await offered(run) == []
