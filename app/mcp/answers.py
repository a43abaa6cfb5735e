"""What a tool's answer becomes for the model: bounded text with nothing hidden or secret in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.text.visible import visible
from app.sanitize.secret_scan import MASK, mask

LEAST_SECRET = 6
"""Shorter ones would be found in every text."""


def text_of(
    content: Sequence[Mapping[str, Any]], structured: Any, most: int, secrets: Iterable[str]
) -> str:
    """The text of an answer's blocks, as MCP names them, at most `most` characters of it.

    `structured`: its JSON, which counts where there is no text. Images, sounds and resources are
    described; nothing is fetched.
    https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-result
    """
    parts = [_block(block) for block in content]
    if structured is not None and not any(block.get("type") == "text" for block in content):
        parts.append(json.dumps(structured, ensure_ascii=False, indent=1))
    return cleaned("\n".join(parts), most, secrets) or "(nothing)"


def cleaned(text: str, most: int, secrets: Iterable[str]) -> str:
    """A server's words: without secrets, without anything that cannot be seen, and bounded."""
    whole = len(text)
    # Before anything is cut: of a secret that is cut in two neither half would be found.
    for secret in secrets:
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, MASK)
    text = text[: most + 1000].replace("\r\n", "\n")
    text = visible(mask(text))[:most]
    return f"{text}\n[cut: {whole:,} characters in all]" if whole > most else text


def _block(block: Mapping[str, Any]) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "image" | "audio" as kind:
            size = len(str(block.get("data", ""))) * 3 // 4
            return f"[{kind}, {block.get('mimeType', '')}, {size:,} bytes: left out]"
        case "resource_link":
            return f"[a link to {block.get('name', '')}: {block.get('uri', '')}; not followed]"
        case "resource":
            resource = block.get("resource")
            held = resource if isinstance(resource, Mapping) else {}
            if "text" in held:
                return f"[{held.get('uri', '')}]\n{held['text']}"
            return f"[{held.get('uri', '')}, not text: left out]"
        case other:
            return f"[{other}: left out]"
