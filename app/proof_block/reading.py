"""A block read back: from a description, from GitHub's answers, or by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from app.proof_block.schema import ProofBlock
from app.proof_block.text import BlockInvalid, find, from_json

MOST_BYTES = 5_000_000
"""Of what is read; GitHub's answer about a pull request has some ten thousand."""


@dataclass(frozen=True, slots=True)
class ReadBlock:
    """A valid block, and the commit that the text which held it is about."""

    block: ProofBlock
    now_at: str = ""
    """The head of the pull request, or the check run's commit; empty: not known."""

    @property
    def is_stale(self) -> bool:
        """Whether it is about another commit than the one that is there now."""
        return bool(self.now_at) and self.now_at != self.block.head


def read(text: str, head: str = "") -> ReadBlock:
    """The block in a text.

    Taken are a description or summary in Markdown, the JSON that GitHub's API answers about a pull
    request or a check run, and a block's JSON by itself. `head` is the commit that is there now;
    else GitHub's answer says it. Raises `BlockInvalid`.
    """
    if not text.lstrip().startswith("{"):
        return ReadBlock(find(text), head)
    document = _document(text)
    if "version" in document:
        return ReadBlock(from_json(text.strip()), head)
    if isinstance(document.get("output"), dict):
        said, now_at = document["output"].get("summary"), document.get("head_sha")
    else:
        said, now_at = document.get("body"), _head_of(document.get("head"))
    if not isinstance(said, str):
        raise BlockInvalid("GitHub's answer has no text: nothing in `body` or `output.summary`.")
    return ReadBlock(find(said), head or (now_at if isinstance(now_at, str) else ""))


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):  # also a number of thousands of digits
        raise BlockInvalid("The text begins like JSON and is none.") from None
    if not isinstance(document, dict):
        raise BlockInvalid("The text is JSON, but no object.")
    return document


def _head_of(head: Any) -> str:
    found = head.get("sha") if isinstance(head, dict) else ""
    return found if isinstance(found, str) else ""
