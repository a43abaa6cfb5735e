"""Sandboxes that are opened before they are asked for."""

from __future__ import annotations

import pytest

from agent.gate.background import sandboxes_ahead
from sandbox.errors import EngineUnavailable
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox


@pytest.mark.parametrize("enabled", [True, False])
async def test_each_sandbox_is_given_once_and_none_is_left(enabled: bool) -> None:
    opened: list[LocalSandbox] = []

    async def open_fresh() -> Sandbox:
        opened.append(LocalSandbox({"a.txt": "a\n"}))
        return opened[-1]

    async with sandboxes_ahead(open_fresh, enabled=enabled) as ahead:
        ahead.prepare(2)
        ahead.prepare(2)
        given = [await ahead.open() for _ in range(3)]
        assert [id(box) for box in given] == [id(box) for box in opened]
        ahead.prepare(2)
        for box in given:
            await box.close()
    assert len(opened) == (5 if enabled else 3)
    assert not any(box.root.exists() for box in opened)


async def test_what_cannot_be_opened_is_told_to_who_asks_for_it_alone() -> None:
    async def open_fresh() -> Sandbox:
        raise EngineUnavailable("no engine")

    async with sandboxes_ahead(open_fresh, enabled=True) as ahead:
        ahead.prepare(2)
        with pytest.raises(EngineUnavailable):
            await ahead.open()
