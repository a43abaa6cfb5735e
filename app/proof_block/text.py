"""The block in Markdown: a hidden comment that begins the text, and how it is found there.

GitHub shows no HTML comment, and keeps it in what its API gives. The text below the block quotes
issues, models and test outputs, so a block counts only where nobody's words can be: at the very
start, or after the one hidden line by which the App finds its own text again.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import ValidationError

from app.proof_block.schema import LONGEST_BLOCK, ProofBlock

NAME = "patchwright-proof"
MARKER_LINE = r"<!-- patchwright:[^>\r\n]*-->\r?\n"
PLACE = re.compile(rf"\A(?:{MARKER_LINE})?<!-- {NAME} (\{{[^<>\r\n]*\}}) -->(?:\r?\n|\Z)")
"""Where a block counts. JSON in it has no `<`, `>` or `--`: they are written as escapes."""
_ANYWHERE = re.compile(rf"^<!-- {NAME} (\{{[^<>\r\n]*\}}) -->\r?(?:\n|\Z)", re.MULTILINE)
_LEADING_MARKER = re.compile(rf"\A{MARKER_LINE}")
_ESCAPED = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&"})


class BlockInvalid(ValueError):
    """There is no block, or it is not of the format; the message says what is wrong."""


def to_json(block: ProofBlock) -> str:
    """The block as JSON that may stand in an HTML comment.

    At most `LONGEST_BLOCK` characters: checks are left out, the last first, where it would be more.
    """
    text = _dumped(block)
    while len(text) > LONGEST_BLOCK and block.checks:
        block = block.model_copy(update={"checks": block.checks[:-1]})
        text = _dumped(block)
    return text


def _dumped(block: ProofBlock) -> str:
    text = json.dumps(block.model_dump(mode="json"), separators=(",", ":"))
    return text.translate(_ESCAPED).replace("--", "-\\u002d")


def to_comment(block: ProofBlock) -> str:
    """The block as one hidden line of Markdown, with its line end."""
    return f"<!-- {NAME} {to_json(block)} -->\n"


def find(markdown: str) -> ProofBlock:
    """The block of a pull request's description or of a check run's summary.

    Raises `BlockInvalid`.
    """
    found = PLACE.match(markdown)
    if found is None:
        raise BlockInvalid(
            "There is no proof block at the start of the text. A block further down is something "
            "that was quoted."
        )
    return from_json(found[1])


def from_json(text: str) -> ProofBlock:
    """A block from its JSON. Raises `BlockInvalid`."""
    if len(text) > LONGEST_BLOCK:
        raise BlockInvalid(f"The proof block has more than {LONGEST_BLOCK} characters.")
    try:
        return of_document(json.loads(text, object_pairs_hook=_once))
    except BlockInvalid:
        raise
    except (ValueError, RecursionError):  # also a number of thousands of digits
        raise BlockInvalid("The proof block is not JSON.") from None


def of_document(document: Any) -> ProofBlock:
    """A block from its JSON document. Raises `BlockInvalid`."""
    try:
        return ProofBlock.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, first["loc"])) or "the whole"
        raise BlockInvalid(f"The proof block is not of the format: {at}: {first['msg']}.") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of a name that stands there twice two readers could take different values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BlockInvalid("The proof block has a name twice.")
    return found


def put(markdown: str, block: ProofBlock, marker: str) -> str:
    """A description with this block in its place, and nothing else changed.

    People may have edited the description: a block that they moved or removed is put back, after
    `marker` (which is put back, too), and an older one of the same run or proof goes.
    """
    line = to_comment(block)
    found = PLACE.match(markdown)
    if found is not None and markdown.startswith(marker):
        rest = markdown[found.end() :]
        if find_or_none(found[0]) == block:
            return markdown
        return f"{marker}\n{line}{rest}"
    kept = _ANYWHERE.sub(lambda old: "" if _is_of(old[1], block.id) else old[0], markdown)
    lead = _LEADING_MARKER.match(kept)
    if lead is not None and lead[0].rstrip("\r\n") == marker:
        kept = kept[lead.end() :]
    return f"{marker}\n{line}{kept}"


def find_or_none(markdown: str) -> ProofBlock | None:
    """As `find`; None where there is no valid block."""
    try:
        return find(markdown)
    except BlockInvalid:
        return None


def _is_of(text: str, block_id: str) -> bool:
    try:
        return from_json(text).id == block_id
    except BlockInvalid:
        return False
