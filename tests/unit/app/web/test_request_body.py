"""What unfinished bodies hold together."""

from __future__ import annotations

import pytest
from fastapi import HTTPException

from app.web.request_body import BodyMemory


def test_of_too_much_the_largest_goes() -> None:
    memory = BodyMemory(limit=100)
    with memory.body() as large, memory.body() as small, memory.body() as other:
        large.add(b"x" * 60)
        small.add(b"y" * 10)
        other.add(b"z" * 40)
        assert (large.size, small.whole(), other.size) == (0, b"y" * 10, 40)
        with pytest.raises(HTTPException, match="503"):
            large.add(b"x")
        with pytest.raises(HTTPException, match="503"):
            large.whole()
    assert memory.held == 0


def test_a_body_that_is_too_large_by_itself_goes() -> None:
    memory = BodyMemory(limit=100)
    with memory.body() as body, pytest.raises(HTTPException, match="503"):
        body.add(b"x" * 101)
