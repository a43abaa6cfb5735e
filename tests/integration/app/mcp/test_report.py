"""`patchwright doctor --tools`: what each server offers, and why not the rest."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from app.mcp.config import Server
from app.mcp.report import print_servers
from app.settings.base import SettingsError
from app.settings.schema import Settings
from tests.support.tools import misbehaving


def file_of(folder: Path, *servers: Server) -> Path:
    """The operator's file with these servers, in the parts that they have here."""
    lines = []
    for server in servers:
        command = ", ".join(f'"{word}"' for word in server.command)
        tools = ", ".join(f'"{name}"' for name in server.tools)
        lines.append(
            f'[[server]]\nname = "{server.name}"\nrepositories = ["acme/*"]\n'
            f"command = [{command}]\ntools = [{tools}]\n"
        )
    path = folder / "tools.toml"
    path.write_text("\n".join(lines))
    return path


async def told(path: Path | None, folder: Path) -> tuple[bool, str]:
    out = Console(file=io.StringIO(), width=200)
    is_well = await print_servers(Settings(state_dir=folder, tools_file=path), out)
    return is_well, out.file.getvalue()


async def test_each_tool_is_told_with_why_not(tmp_path: Path) -> None:
    right = misbehaving("right", tmp_path)
    assert (await told(file_of(tmp_path, right), tmp_path))[0]
    wrong = misbehaving("right", tmp_path, name="wrong", tools=("find",))
    gone = misbehaving("right", tmp_path, name="gone", command=("/no/such",))
    is_well, said = await told(file_of(tmp_path, right, wrong, gone), tmp_path)
    assert not is_well
    assert "ok     odd: lists 1 in" in said
    assert "look: allowed as odd__look; says that it only reads" in said
    assert "not ok wrong: lists 1" in said
    assert "look: not allowed: it is in neither tools nor writes; it says" in said
    assert "find: the server has no such tool" in said
    assert "not ok gone: /no/such cannot be started: there is no such program" in said


async def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no server is named"):
        await told(None, tmp_path)
