"""One connection to one server, for one run: its tools, their calls, and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.mcp.answers import cleaned, text_of
from app.mcp.config import Server, check_extra
from app.mcp.limits import Meter, ServerFailed
from app.mcp.listing import ListedTool
from app.mcp.program import Program, program
from app.settings.base import SettingsError

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client._transport import TransportStreams

CLOSE_S = 10.0
"""How long a session may take to end; a program is killed long before."""
MOST_PAGES = 10
MOST_TOOLS = 300
LONGEST_WHY = 500
"""Characters of a server's own words in a sentence about what went wrong."""


@dataclass(frozen=True, slots=True)
class Called:
    """What a call gave."""

    text: str
    failed: bool
    """Whether the tool itself says that it failed."""


class Connection:
    """A connection, which is opened at once and must be closed.

    The official package's client has to be entered and left in one task: this has one of its own,
    so that calls may come from several, and be cancelled.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.listed: tuple[ListedTool, ...] = ()
        """The tools that the server listed when the connection was opened."""
        self._meter = Meter()
        self._started: list[Program] = []
        self._client: Client | None = None
        self._closing = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._secrets: tuple[str, ...] = ()
        self._broken = False

    async def open(self) -> None:
        """Start or reach the server, and list its tools.

        Raises `ServerFailed`, and `SettingsError` where a secret cannot be read or the official
        package is not installed.
        """
        check_extra()
        self._secrets = self.server.secrets
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner = asyncio.create_task(self._own(ready))
        try:
            async with asyncio.timeout(self.server.start_s):
                await ready
                self.listed = await self._list()
        except TimeoutError:
            await self.close()
            raise ServerFailed(
                f"it did not start and list its tools within {self.server.start_s:g} s"
            ) from None
        except (ServerFailed, SettingsError):
            await self.close()
            raise
        except Exception as problem:  # noqa: BLE001 - whatever a server provokes in the package
            await self.close()
            raise ServerFailed(self._explained(problem)) from None
        except BaseException:
            await asyncio.shield(self.close())
            raise

    async def call(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> Called:
        """Call a tool by the server's name for it. Raises `ServerFailed` and `TimeoutError`."""
        import mcp_types as types

        client = self._client
        if client is None:
            raise ServerFailed("there is no connection")
        self._meter.begin()
        request = types.CallToolRequest(
            params=types.CallToolRequestParams(name=name, arguments=dict(arguments))
        )
        try:
            async with asyncio.timeout(timeout_s) as limit:
                # Not `call_tool`, which runs the server's own schema, patterns and all, on it.
                result = await client.session.send_request(request, types.CallToolResult)
        except TimeoutError:
            if limit.expired():
                raise
            raise ServerFailed("it did not answer in time") from None
        except Exception as problem:  # noqa: BLE001 - whatever a server provokes in the package
            self._broken = _is_fatal(problem)
            raise ServerFailed(self._explained(problem)) from None
        most = self.server.output_kb * 1000
        content = [block.model_dump(by_alias=True, mode="json") for block in result.content]
        text = await asyncio.to_thread(
            text_of, content, result.structured_content, most, self._secrets
        )
        return Called(text, failed=result.is_error)

    @property
    def is_broken(self) -> bool:
        """Whether no further call can succeed on it."""
        ended = any(program.ended for program in self._started)
        return self._client is None or ended or self._broken or bool(self._meter.why)

    async def close(self) -> None:
        """End the session, and the program with all that it started; may be called twice."""
        was_open, self._client = self._client is not None, None
        self._closing.set()
        if self._owner is not None and not self._owner.done():
            if was_open:
                await asyncio.wait({self._owner}, timeout=CLOSE_S)
            if not self._owner.done():
                self._owner.cancel()
                await asyncio.wait({self._owner})

    async def _own(self, ready: asyncio.Future[None]) -> None:
        from mcp import Client

        try:
            async with Client(self._streams(), cache=None) as client:
                self._client = client
                ready.set_result(None)
                await self._closing.wait()
        except Exception as problem:  # noqa: BLE001 - whatever a server provokes in the package
            if not ready.done():
                ready.set_exception(ServerFailed(self._explained(problem)))
        finally:
            self._client = None

    def _streams(self) -> AbstractAsyncContextManager[TransportStreams]:
        # What servers send is no concern of the log, and may be anything.
        for name in ("mcp", "httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if self.server.command:
            return program(self.server, self._meter, self._started)
        from app.mcp.http import address

        return address(self.server, self._meter)

    async def _list(self) -> tuple[ListedTool, ...]:
        import mcp_types as types

        client, found, cursor = self._client, list[ListedTool](), None
        if client is None:
            raise ServerFailed("there is no connection")
        self._meter.begin()
        for _ in range(MOST_PAGES):
            params = types.PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await client.session.list_tools(params=params)
            for tool in page.tools:
                hints = tool.annotations
                found.append(
                    ListedTool(
                        name=tool.name,
                        description=tool.description or "",
                        schema=tool.input_schema,
                        reads_only=bool(hints and hints.read_only_hint),
                    )
                )
            cursor = page.next_cursor
            if len(found) > MOST_TOOLS:
                raise ServerFailed(f"it lists more than {MOST_TOOLS} tools")
            if not cursor:
                return tuple(found)
        raise ServerFailed(f"its list of tools has more than {MOST_PAGES} pages")

    def _explained(self, problem: BaseException) -> str:
        """What went wrong, by what is known best: our bounds, the program's end, its words."""
        from mcp import MCPError

        if self._meter.why:
            return self._meter.why
        for program_ in self._started:
            if ended := program_.ended:
                return self._clean(ended)
        while isinstance(problem, BaseExceptionGroup):
            problem = problem.exceptions[0]
        if isinstance(problem, SettingsError | ServerFailed):
            return str(problem)
        said = str(problem).partition("\n")[0] or type(problem).__name__
        if isinstance(problem, MCPError):
            return self._clean(f"it answered: {said}")
        how = "what it sent is no MCP" if isinstance(problem, ValueError) else "it is out of reach"
        return self._clean(f"{how}: {said}")

    def _clean(self, text: str) -> str:
        return " ".join(cleaned(text, LONGEST_WHY, self._secrets).split())


def _is_fatal(problem: Exception) -> bool:
    """Whether the connection is of no more use: it was closed, or the server forgot its session."""
    import mcp_types as types
    from mcp import MCPError

    if isinstance(problem, MCPError):
        return problem.code in (types.CONNECTION_CLOSED, types.INVALID_REQUEST)
    return not isinstance(problem, ValueError)


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Connection]:
    """A connection for the block. Raises `ServerFailed` and `SettingsError`."""
    connection = Connection(server)
    await connection.open()
    try:
        yield connection
    finally:
        await asyncio.shield(connection.close())
