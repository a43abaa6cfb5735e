"""Images that are built once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy import images


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What all images stand on."""
    try:
        yield images.build_base(tmp_path_factory.mktemp("base"))
    finally:
        images.remove_all()


@pytest.fixture(scope="session")
def image(base: str) -> str:
    """Patchwright's own."""
    return images.build_patchwright(base)
