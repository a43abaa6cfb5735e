"""`log`: look into any kept output, CI log or attachment."""

from __future__ import annotations

import asyncio
import time

import regex
from pydantic import Field

from agent.journal.state import AttemptState
from agent.model import Picture
from agent.testing.suite import list_files
from agent.text.log_errors import LONGEST_LINE, first_error
from agent.text.tracebacks import describe, frames, in_tree
from agent.tools.tool import Arguments, Reply, ToolContext, refusal_reply

MOST_LINES = 300
MOST_FRAMES = 20

GREP_S = 3.0
"""How long a pattern may search a whole log."""


class LogArguments(Arguments):
    """What to look for in a kept log."""

    id: str = Field(description="Log id, e.g. bash:12.")
    grep: str = Field(
        "", max_length=2000, description="Regular expression; lines around each hit are shown."
    )
    context: int = Field(3, ge=0, le=50)
    start: int = Field(0, ge=0, description="First line of a range.")
    end: int = Field(0, ge=0)
    tail: int = Field(0, ge=0, description="So many last lines.")
    first_error: bool = Field(False, description="Show where the first error stands.")


async def log(context: ToolContext, args: LogArguments) -> Reply:
    """Lines of a kept log, or an image again."""
    log_id, started = args.id.removeprefix("functions."), context.state.started
    known = started.pictures if started else ()
    if picture := next((p for p in known if p.id == log_id), None):
        return _show(context.state, picture)
    data = context.journal.get_log(log_id)
    if data is None:
        return refusal_reply(f"there is no log {args.id!r}; ids are given in cut outputs and stubs")
    lines = data.decode("utf-8", errors="replace").split("\n")
    if args.grep:
        try:
            # In a thread, because `regex` lets other threads run while it searches.
            hits = await asyncio.to_thread(matching, lines, args.grep)
        except regex.error as problem:
            return refusal_reply(f"bad regular expression: {problem}")
        except TimeoutError:
            return refusal_reply("the regular expression takes too long; use a simpler one")
        return _reply(lines, around(hits, args.context, len(lines)), f"{len(hits)} hits")
    if args.first_error:
        hit = first_error(lines)
        if hit is None:
            return Reply("no line looks like an error")
        span = range(max(0, hit - args.context), min(len(lines), hit + 40))
        placed = in_tree(frames("\n".join(lines)), await list_files(context.sandbox))
        shown = placed[:MOST_FRAMES]
        return _reply(lines, list(span), f"first error at line {hit + 1}; {describe(shown)}")
    if args.tail:
        return _reply(lines, list(range(max(0, len(lines) - args.tail), len(lines))), "tail")
    first = max(1, args.start)
    last = args.end or first + MOST_LINES - 1
    return _reply(lines, list(range(first - 1, min(last, len(lines)))), "range")


def _show(state: AttemptState, picture: Picture) -> Reply:
    if state.started is None or not state.started.pictures_shown:
        return refusal_reply(f"{picture.id} is an image, and you cannot see images")
    there = (*state.asked_pictures, *(p for m in state.messages for p in m.pictures))
    if picture in there:
        return refusal_reply(f"{picture.id} is in the conversation already")
    return Reply(f"{picture.id} follows.", pictures=(picture,))


def matching(lines: list[str], pattern: str, timeout_s: float = GREP_S) -> list[int]:
    """Positions of the lines that match a model's pattern.

    The pattern runs on the host, so all lines together have a time limit. Raises `regex.error`
    and `TimeoutError`.
    """
    compiled = regex.compile(pattern)
    deadline = time.monotonic() + timeout_s
    hits = []
    for i, line in enumerate(lines):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if compiled.search(line[:LONGEST_LINE], timeout=left, concurrent=True):
            hits.append(i)
    return hits


def around(hits: list[int], context: int, count: int) -> list[int]:
    """Line positions within `context` of any hit, in order, each once."""
    wanted: set[int] = set()
    for hit in hits:
        wanted.update(range(max(0, hit - context), min(count, hit + context + 1)))
        if len(wanted) > MOST_LINES:
            break
    return sorted(wanted)


def _reply(lines: list[str], wanted: list[int], what: str) -> Reply:
    shown = [f"{what}; {len(lines)} lines in all"]
    previous = None
    for i in wanted[:MOST_LINES]:
        if previous is not None and i != previous + 1:
            shown.append("   …")
        shown.append(f"{i + 1:6d}\t{lines[i][:2000]}")
        previous = i
    if len(wanted) > MOST_LINES:
        shown.append(f"[{len(wanted) - MOST_LINES} more lines]")
    return Reply("\n".join(shown))
