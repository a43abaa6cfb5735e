"""MCP servers of the operator, as his file would name them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from app.mcp.config import Server

DOUBLES = Path(__file__).parent.parent / "doubles" / "mcp"


def tracker(folder: Path, **more: Any) -> Server:
    """The honest one, over stdio; its comments go to `comments` in the folder."""
    return Server.model_validate(
        {
            "name": "tracker",
            "repositories": ("acme/*",),
            "command": (sys.executable, str(DOUBLES / "tracker.py")),
            "env": {"COMMENTS": str(folder / "comments")},
            "tools": ("get_issue",),
            **more,
        }
    )


def misbehaving(how: str, folder: Path, **more: Any) -> Server:
    """The one that does what it should not."""
    return Server.model_validate(
        {
            "name": "odd",
            "repositories": ("acme/*",),
            "command": (
                sys.executable,
                "-I",
                "-S",
                str(DOUBLES / "misbehaving.py"),
                how,
                str(folder),
            ),
            "tools": ("look",),
            **more,
        }
    )
