"""`patchwright doctor --tools`: every server, its tools, and which of them runs may use."""

from __future__ import annotations

import asyncio
import time

from rich.console import Console

from app.mcp.config import Server, check_extra, load
from app.mcp.connection import connected
from app.mcp.limits import ServerFailed
from app.mcp.listing import CheckedTool, check_all
from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings


async def print_servers(settings: Settings, out: Console) -> bool:
    """Connect to each server and print what it offers; whether all is as the file has it.

    Raises `SettingsError` when the file is wrong, or names no server.
    """
    servers = load(settings.tools_file).server
    if not servers:
        raise SettingsError(f"{PREFIX}TOOLS_FILE: no server is named. See docs/tools.md.")
    check_extra()
    told = await asyncio.gather(*(_look_at(server) for server in servers))
    for lines, _ in told:
        for line in lines:
            out.print(line, markup=False, highlight=False, soft_wrap=True)
    return all(is_well for _, is_well in told)


async def _look_at(server: Server) -> tuple[list[str], bool]:
    started = time.monotonic()
    try:
        async with connected(server) as connection:
            took_s = time.monotonic() - started
            checked = check_all(server, connection.listed)
    except (ServerFailed, SettingsError) as problem:
        return [f"not ok {server.name}: {problem}"], False
    wanted = {*server.tools, *server.writes}
    is_well = all(each.tool is not None for each in checked if each.name in wanted)
    public = "" if server.public else ", unless they are public"
    head = (
        f"{'ok    ' if is_well else 'not ok'} {server.name}: lists {len(connection.listed)} in "
        f"{took_s:.1f} s, for runs of {', '.join(server.repositories)}{public}"
    )
    return [head, *(f"         {_told(each)}" for each in checked)], is_well


def _told(checked: CheckedTool) -> str:
    if checked.tool is None:
        return f"{checked.name}: {checked.why_not}"
    kind = "may change something there" if checked.tool.writes else "says that it only reads"
    return f"{checked.name}: allowed as {checked.tool.name}; {kind}"
