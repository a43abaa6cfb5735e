"""The operator's tools for one run: offered once, called over connections of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agent.journal.events import Recorded
from agent.journal.store import Store
from agent.model import ExternalTool, Record
from agent.tools.tool import ExternalAnswer
from app.mcp.config import Server
from app.mcp.connection import Connection
from app.mcp.limits import ServerFailed
from app.mcp.listing import check_all, why_not
from app.settings.base import SettingsError
from app.telemetry import logs

MOST_STARTS = 5
"""How often a run connects to one server, which may die."""
MOST_TOOLS = 40
"""Tools that a run is offered at most: each takes room in every prompt."""

_log = logs.get(__name__)


class Offer(Record):
    """The tools that a run may use, and why others are missing. Kept with the run."""

    tools: tuple[ExternalTool, ...] = ()
    missing: tuple[str, ...] = ()
    """In sentences."""


async def offer(servers: Sequence[Server]) -> Offer:
    """Ask each server for its tools. One that does not answer is left out, and said to be."""
    found = await asyncio.gather(*(_offer_of(server) for server in servers))
    tools = tuple(tool for each in found for tool in each.tools)
    missing = tuple(sentence for each in found for sentence in each.missing)
    if len(tools) > MOST_TOOLS:
        left_out = ", ".join(tool.name for tool in tools[MOST_TOOLS:])
        missing = (*missing, f"A run is offered {MOST_TOOLS} tools at most, so not {left_out}.")
    return Offer(tools=tools[:MOST_TOOLS], missing=missing)


async def _offer_of(server: Server) -> Offer:
    connection = Connection(server)
    try:
        await connection.open()
    except (ServerFailed, SettingsError) as problem:
        _log.warning("a server of tools is left out", server=server.name, why=str(problem))
        # What is wrong with the operator's own files is for the log: the run's page is for others.
        told = problem if isinstance(problem, ServerFailed) else "it is not set up rightly"
        return Offer(missing=(f"The server {server.name} is left out: {told}.",))
    finally:
        await asyncio.shield(connection.close())
    wanted = {*server.tools, *server.writes}
    checked = check_all(server, connection.listed)
    return Offer(
        tools=tuple(each.tool for each in checked if each.tool is not None),
        missing=tuple(
            f"The tool {each.name} of the server {server.name} is left out: {each.why_not}."
            for each in checked
            if each.tool is None and each.name in wanted
        ),
    )


@dataclass(slots=True)
class _Place:
    """What a run has of one server."""

    lock: asyncio.Lock
    connection: Connection | None = None
    starts: int = 0


class RunTools:
    """Carries out a run's calls. The operator's file is asked at each, so that it can be changed.

    No connection and no program is shared with another run.
    """

    def __init__(
        self, servers: Callable[[], Sequence[Server]], offered: Sequence[ExternalTool]
    ) -> None:
        """`servers` gives those that the run may use now; it may raise `SettingsError`."""
        self._servers = servers
        self._server_of = {tool.name: tool.server for tool in offered}
        self._places: dict[str, _Place] = {}
        self._calls: Counter[str] = Counter()

    def count(self, journal: Iterable[Recorded]) -> None:
        """Take the calls into account that the run made before."""
        for recorded in journal:
            event = recorded.event
            if event.type == "tool_started":
                server = self._server_of.get(event.name.removeprefix("functions."))
                self._calls.update([server] if server else [])

    async def call(
        self, tool: ExternalTool, arguments: Mapping[str, Any], timeout_s: float
    ) -> ExternalAnswer:
        """Carry out a call. What goes wrong is an answer, too: nothing is raised for it."""
        try:
            server = next((each for each in self._servers() if each.name == tool.server), None)
            if server is None:
                return _refused(f"the operator no longer lets this run use {tool.server}")
            if self._calls[server.name] >= server.calls_per_run:
                return _refused(
                    f"this run has made its {server.calls_per_run} calls to {server.name}; go on "
                    "without it"
                )
            self._calls[server.name] += 1
            return await self._carry_out(server, tool, arguments, timeout_s)
        except SettingsError as problem:
            # It names files of the operator's, which are no concern of a model.
            _log.warning("the file of tools is wrong", server=tool.server, why=str(problem))
            return ExternalAnswer(f"{tool.server} is not set up rightly; go on without it", "error")

    async def _carry_out(
        self, server: Server, tool: ExternalTool, arguments: Mapping[str, Any], timeout_s: float
    ) -> ExternalAnswer:
        limit_s = min(server.timeout_s, timeout_s)
        place = self._places.setdefault(server.name, _Place(asyncio.Lock()))
        try:
            was_open = place.connection
            connection = await self._connected(place, server)
            now = {each.name: each for each in connection.listed}
            known = now.get(tool.own_name)
            if known is None:
                return _refused(f"{server.name} no longer has {tool.own_name}")
            if reason := why_not(server, tool.own_name, reads_only=known.reads_only):
                return _refused(reason)
            try:
                called = await connection.call(tool.own_name, arguments, limit_s)
            except ServerFailed as problem:
                if tool.writes:
                    unknown = "; whether it was carried out is not known"
                    said = f"{server.name} failed: {problem}{unknown}"
                    return ExternalAnswer(said, "interrupted")
                # A session that was idle for long may be forgotten; what only reads is read again.
                if connection is not was_open or not connection.is_broken:
                    raise
                connection = await self._connected(place, server)
                called = await connection.call(tool.own_name, arguments, limit_s)
        except ServerFailed as problem:
            return ExternalAnswer(f"{server.name} failed: {problem}", "error")
        except TimeoutError:
            return ExternalAnswer(f"{server.name} did not answer within {limit_s:g} s", "timeout")
        return ExternalAnswer(called.text, "error" if called.failed else "ok")

    async def _connected(self, place: _Place, server: Server) -> Connection:
        """The run's connection to a server, opened at its first call or after it broke."""
        async with place.lock:
            if place.connection is not None:
                same = place.connection.server == server
                if same and not place.connection.is_broken:
                    return place.connection
                await place.connection.close()
                place.connection = None
            if place.starts >= MOST_STARTS:
                raise ServerFailed(f"it broke {MOST_STARTS} times in this run; go on without it")
            place.starts += 1
            opened = Connection(server)
            await opened.open()
            place.connection = opened
            return opened

    async def close(self) -> None:
        """End all connections, and the programs that were started for them."""
        open_ones = [p.connection for p in self._places.values() if p.connection is not None]
        await asyncio.gather(*(connection.close() for connection in open_ones))


def _refused(why: str) -> ExternalAnswer:
    return ExternalAnswer(why, "refused")


@asynccontextmanager
async def tools_of_run(
    store: Store, run_id: str, round_log: str, servers: Callable[[], Sequence[Server]]
) -> AsyncIterator[tuple[Offer, RunTools]]:
    """What a run is offered, and what carries out its calls while the block lasts.

    The offer is made once and kept under `round_log`, so that a run that goes on after a crash has
    the same, whatever the servers list by then.
    """
    kept = store.get_log(run_id, round_log)
    if kept is not None:
        offered = Offer.model_validate_json(kept)
    else:
        offered = await _first_offer(servers)
        store.put_log(run_id, round_log, offered.model_dump_json().encode())
    tools = RunTools(servers, offered.tools)
    if offered.tools:
        tools.count(store.events(run_id))
    try:
        yield offered, tools
    finally:
        await asyncio.shield(tools.close())


async def _first_offer(servers: Callable[[], Sequence[Server]]) -> Offer:
    try:
        return await offer(servers())
    except SettingsError as problem:
        _log.warning("the file of tools is wrong", why=str(problem))
        return Offer(missing=("The operator's tools are not set up rightly, and left out.",))
