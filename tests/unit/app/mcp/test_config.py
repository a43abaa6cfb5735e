"""The operator's file: what it may say, and which runs may use what it names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.mcp.config import Server, ToolsFile, check_extra, load
from app.settings.base import SettingsError

RIGHT = {
    "name": "tracker",
    "repositories": ("acme/*", "other/shop"),
    "tools": ("get_issue",),
    "command": ("/usr/bin/tracker",),
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"command": ()}, "either command or url"),
        ({"url": "https://a.example"}, "either command or url"),
        ({"command": ("tracker",)}, "whole path"),
        ({"command": (), "url": "http://a.example"}, "only with internal = true"),
        ({"command": (), "url": "https://me:pw@a.example"}, "use header_files"),
        ({"command": (), "url": "https://a.example", "env": {"A": "1"}}, "belong to a command"),
        ({"headers": {"A": "1"}}, "belong to a url"),
        ({"writes": ("get_issue",)}, "in both"),
        ({"tools": ()}, "name the tools"),
        ({"repositories": ()}, "at least 1 item"),
        ({"repositories": ("acme",)}, "match pattern"),
        ({"name": "Tracker__x"}, "match pattern"),
        ({"toolz": ("a",)}, "not permitted"),
    ],
)
def test_mistakes_are_named(change: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Server.model_validate({**RIGHT, **change})


@pytest.mark.parametrize(
    ("repository", "private", "wanted", "served"),
    [
        ("acme/app", True, None, True),
        ("ACME/App", True, None, True),
        ("other/shop", True, None, True),
        ("other/else", True, None, False),
        ("acme/app", False, None, False),
        ("acme/app", True, ("tracker",), True),
        ("acme/app", True, (), False),
        ("acme/app", True, ("more",), False),
        ("other/else", True, ("tracker",), False),
    ],
)
def test_a_server_is_for_the_runs_that_the_operator_names_and_a_repository_may_only_take_away(
    repository: str, private: bool, wanted: tuple[str, ...] | None, served: bool
) -> None:
    file = ToolsFile(server=(Server.model_validate(RIGHT),))
    assert bool(file.serving(repository, private=private, wanted=wanted)) == served


def test_public_repositories_need_a_word_of_their_own() -> None:
    server = Server.model_validate({**RIGHT, "public": True})
    assert server.serves("acme/app", private=False)
    assert not server.serves("else/app", private=False)


def test_secrets_stand_in_files_and_are_read_at_each_use(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    file = tmp_path / "tools.toml"
    file.write_text(
        '[[server]]\nname = "tracker"\nrepositories = ["acme/*"]\ntools = ["get_issue"]\n'
        f'url = "https://a.example/mcp"\nheader_files = {{ Authorization = "{secret}" }}\n'
    )
    server = load(file).server[0]
    with pytest.raises(SettingsError, match="token"):
        _ = server.all_headers
    secret.write_text("Bearer abc123\n")
    assert server.all_headers == {"Authorization": "Bearer abc123"}
    assert set(server.secrets) == {"Bearer abc123", "abc123"}


def test_a_missing_package_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    check_extra()
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(SettingsError, match=r"patchwright\[tools\]"):
        check_extra()
