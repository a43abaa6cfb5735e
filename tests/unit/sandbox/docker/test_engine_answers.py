"""What an engine that is being restarted answers, and what that means for what was done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import requests
from docker.errors import APIError

from sandbox.docker.address import EngineAddress
from sandbox.docker.container import Container
from sandbox.docker.engine import DockerEngine
from sandbox.errors import EngineUnavailable, SandboxError, SandboxGone
from sandbox.shell.commands import OutputLimits
from sandbox.shell.sandbox import ShellSandbox
from sandbox.spec import INSTALLATION_LABEL, RUN_LABEL

# Words of Docker 28, seen while containerd or the engine was killed and started again.
DIALING = (
    'connection error: desc = "transport: Error while dialing dial unix containerd.sock: connect: '
    'connection refused": unavailable'
)
CLOSED = "connection closed: unavailable"
LOST = "Could not kill running container 5a16, cannot remove - did not receive an exit event"


class Removals:
    """The part of docker-py's client that removes; fails first with these answers."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.removed: list[str] = []

    def remove_container(self, container_id: str, **_: Any) -> None:
        if self.answers:
            raise refused(self.answers.pop(0))
        self.removed.append(container_id)


class Client:
    def __init__(self, api: Removals, labelled: Sequence[str] = ()) -> None:
        self.api = api
        self.containers = self
        self._labelled = labelled

    def list(self, **_: Any) -> list[Any]:
        class Found:
            def __init__(self, name: str) -> None:
                self.id = self.name = name
                self.labels = {RUN_LABEL: "r1", INSTALLATION_LABEL: ""}

        return [Found(name) for name in self._labelled]


def refused(words: str, status: int = 500) -> APIError:
    response = requests.Response()
    response.status_code = status
    return APIError("500 Server Error", response=response, explanation=words)


def container(*answers: str) -> tuple[Container, Removals]:
    api = Removals(*answers)
    return Container(Client(api), EngineAddress("unix:///none"), "c1"), api  # type: ignore[arg-type]


async def test_a_container_that_the_engine_lost_sight_of_is_removed_at_the_second_try() -> None:
    found, api = container(LOST)
    await found.remove()
    assert api.removed == ["c1"]


async def test_closing_a_sandbox_never_undoes_what_was_done_in_it() -> None:
    found, api = container(LOST, LOST, LOST)
    with pytest.raises(SandboxError, match="did not receive an exit event"):
        await found.remove()
    sandbox = ShellSandbox(container(LOST, LOST)[0], OutputLimits(1, 1))
    await sandbox.close()
    await sandbox.close()
    assert api.removed == []


async def test_a_sweep_goes_on_past_a_container_that_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, api = DockerEngine("unix:///none"), Removals(LOST, LOST)

    async def client() -> Client:
        return Client(api, ["c1", "c2", "c3"])

    monkeypatch.setattr(engine, "client", client)
    with pytest.raises(SandboxError, match="did not receive an exit event"):
        await engine.sweep([])
    assert api.removed == ["c2", "c3"]


@pytest.mark.parametrize(
    ("words", "away"),
    [(DIALING, True), (CLOSED, True), ("no space left on device", False)],
    ids=lambda w: str(w)[:12],
)
async def test_an_engine_without_its_containerd_is_away(
    words: str, away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DockerEngine("unix:///none")

    async def client() -> None:
        return None

    def fails(_: object) -> None:
        raise refused(words)

    monkeypatch.setattr(engine, "client", client)
    with pytest.raises(SandboxError) as raised:
        await engine.call(fails)
    assert isinstance(raised.value, EngineUnavailable) == away
    assert words in str(raised.value)


async def test_a_sandbox_without_its_containerd_is_gone() -> None:
    found, api = container()

    def fails(_: str) -> None:
        raise refused(CLOSED)

    api.inspect_container = fails  # type: ignore[attr-defined]
    with pytest.raises(SandboxGone, match="is unavailable"):
        await found.check_alive()


async def test_an_engine_that_is_away_hides_no_error_of_the_work_in_a_container(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Created:
        id = "c1"

        def start(self) -> None: ...

    async def create(_options: Any) -> Created:
        return Created()

    async def call(work: Any) -> Any:
        return work(None)

    async def away(_id: str) -> Container:
        raise EngineUnavailable("No engine answers.")

    engine = DockerEngine("unix:///none")
    monkeypatch.setattr(engine, "_create", create)
    monkeypatch.setattr(engine, "_call", call)
    monkeypatch.setattr(engine, "container_of", away)
    with pytest.raises(ValueError, match="the work's own"):
        async with engine.container({}):
            raise ValueError("the work's own")
