"""What has to be set before the pages are served, and to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.settings.access import with_operator_token
from app.settings.base import SettingsError
from app.settings.schema import Settings


def settings_for(folder: Path, **more: Any) -> Settings:
    return Settings(state_dir=folder / "state", **more)


@pytest.mark.parametrize(
    "reached",
    [
        {"public_url": "https://patchwright.example.com"},
        {"public_url": "http://10.0.0.7:8080"},
        {"public_url": "http://localhost.example.com"},
        {"host": "0.0.0.0"},
        {"host": "::"},
        {"host": ""},
        {"host": "10.0.0.7"},
        {"host": "build-07"},
    ],
)
def test_a_service_that_others_can_reach_does_not_start_without_proof_of_who_they_are(
    tmp_path: Path, reached: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match="PATCHWRIGHT_OPERATOR_TOKEN_FILE"):
        with_operator_token(settings_for(tmp_path, **reached))
    # An id without its secret signs nobody in.
    with pytest.raises(SettingsError):
        with_operator_token(settings_for(tmp_path, github_client_id="Iv1.a", **reached))
    for proof in (
        {"operator_token": "word"},
        {"github_client_id": "Iv1.a", "github_client_secret": "s"},
    ):
        settings = settings_for(tmp_path, **reached, **proof)
        assert with_operator_token(settings) == settings
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "local",
    [{}, {"host": "::1"}, {"host": "localhost", "public_url": "http://127.0.0.1:9"}],
)
def test_one_on_its_own_machine_makes_a_token_that_its_user_alone_can_read(
    tmp_path: Path, local: dict[str, str]
) -> None:
    settings = with_operator_token(settings_for(tmp_path, **local))
    file = tmp_path / "state" / "operator-token"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(settings.secret("operator_token")) >= 32
    again = with_operator_token(settings_for(tmp_path, **local))
    assert again.secret("operator_token") == settings.secret("operator_token")


def test_an_empty_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        with_operator_token(settings_for(tmp_path, operator_token_file=tmp_path / "token"))
