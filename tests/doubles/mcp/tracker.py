"""An issue tracker's MCP server, made with the official package; over stdio, or HTTP on a port.

`python tracker.py`, or `python tracker.py PORT TOKEN FILE`: requests without the bearer token are
refused. What is written to it is appended to FILE (over stdio: to the variable COMMENTS).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("tracker", log_level="CRITICAL")
READS = ToolAnnotations(read_only_hint=True)


@server.tool(annotations=READS)
def get_issue(number: int) -> str:
    """An issue of the tracker, by its number."""
    return f"TRACK-{number}: discounts are a percentage, as agreed on 3 May."


@server.tool(annotations=READS)
def environment() -> dict[str, str]:
    """The variables that the server runs with."""
    return dict(os.environ)


@server.tool()
def add_comment(number: int, text: str) -> str:
    """Comment on an issue."""
    with Path(os.environ["COMMENTS"]).open("a") as file:
        file.write(f"{number} {text}\n")
    return "added"


def serve_http(port: int, token: str) -> None:
    import uvicorn
    from starlette.responses import PlainTextResponse

    inner = server.streamable_http_app()

    async def guarded(scope, receive, send):
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if headers.get(b"authorization") != f"Bearer {token}".encode():
                await PlainTextResponse("who are you?", 401)(scope, receive, send)
                return
        await inner(scope, receive, send)

    uvicorn.run(guarded, host="127.0.0.1", port=port, log_level="critical")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.environ["COMMENTS"] = sys.argv[3]
        serve_http(int(sys.argv[1]), sys.argv[2])
    else:
        server.run("stdio")
