"""How a commit comes to GitHub, decided from settings, rules and what GitHub's API can carry."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.git.mirror import Identity
from app.git.signing import SigningKey
from app.publishing.commits import Signing, way_of

KEY = SigningKey(Path("/key"), Identity("Pat", "pat@example.com"))


@pytest.mark.parametrize(
    ("commits", "key", "required", "carried", "way"),
    [
        ("when_required", None, False, True, "push"),
        ("when_required", KEY, False, True, "push"),
        ("when_required", None, True, True, "github"),
        ("when_required", KEY, True, True, "github"),
        ("when_required", KEY, True, False, "key"),
        ("when_required", None, True, False, "push"),
        ("always", None, False, True, "github"),
        ("always", KEY, False, False, "key"),
        ("never", KEY, True, True, "push"),
    ],
)
def test_the_way_of_a_commit(
    commits: str, key: SigningKey | None, required: bool, carried: bool, way: str
) -> None:
    signing = Signing(commits, key)  # type: ignore[arg-type]
    assert way_of(signing, required=required, carried=carried) == way
