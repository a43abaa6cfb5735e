"""Prepared images and their volumes, while another worker is at them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

from docker.errors import ImageNotFound

from sandbox.docker.prepared_volume import VOLUME_LABEL
from sandbox.setup.prepared_images import prune
from sandbox.spec import INSTALLATION_LABEL, PREPARED_LABEL


class EngineWhereASetUpEnds:
    """Holds a volume of a set-up that makes its image and goes after the first question."""

    def __init__(self) -> None:
        self.ended = False
        self.client = MagicMock()
        self.volume = MagicMock()
        self.volume.name = "patchwright-prepared-1"
        self.volume.attrs = {
            "CreatedAt": "2026-01-01T00:00:00.123456789Z",
            "Labels": {PREPARED_LABEL: "r", INSTALLATION_LABEL: "here"},
        }
        self.client.images.list.return_value = []
        self.client.volumes.list.return_value = [self.volume]
        self.client.volumes.get.return_value = self.volume
        self.client.containers.list.side_effect = self._containers
        self.client.images.get.side_effect = self._image

    async def call(self, work: Callable[[Any], Any]) -> Any:
        return work(self.client)

    def _containers(self, **_: Any) -> list[Any]:
        before, self.ended = self.ended, True
        return [] if before else [MagicMock()]

    def _image(self, _: str) -> Any:
        before, self.ended = self.ended, True
        if not before:
            raise ImageNotFound("no such image")
        return MagicMock(labels={VOLUME_LABEL: self.volume.name})


async def test_a_volume_whose_image_is_made_while_it_is_looked_at_stays() -> None:
    engine = EngineWhereASetUpEnds()
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    await prune(engine, "here", most_bytes=1, most_days=9999, now=now)  # type: ignore[arg-type]
    assert engine.ended and not engine.volume.remove.called
