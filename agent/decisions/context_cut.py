"""Which old tool outputs leave the context, and when.

Between cuts the conversation only grows, so that the server's prefix cache serves it. A cut is
rare and big: past the high-water mark everything old goes at once, down to the low-water mark.
Images go first: they were seen, and can be asked for again.
Token counts come from the server's own usage; characters only share them out among messages.
"""

from __future__ import annotations

from agent.decisions.ledger import restate
from agent.journal.events import ContextCut
from agent.journal.state import AttemptState
from agent.model import Message, Picture
from agent.text.truncate import log_id_of

HIGH_WATER = 0.75
LOW_WATER = 0.40
KEEPS_THINKING = 0.60
"""A cut of a model that preserves its thinking stops here, if outputs alone reach it."""
KEEP_RECENT = 6
"""So many of the latest tool outputs stay whole as long as anything else can go."""
SHORTEST_CUT = 160
"""An output shorter than its stub is not worth cutting."""
ASSUMED_CHARS_PER_TOKEN = 3.0
"""Used only where the server has refused a prompt before it ever counted one."""


def plan_cut(
    state: AttemptState, window: int, preserves_thinking: bool = False, *, force: bool = False
) -> ContextCut | None:
    """The cut that is due, or None. `force`: the server has just refused the prompt's length.

    `preserves_thinking`: the model is to see its thinking of all turns, so that a cut takes it
    only where outputs alone leave the prompt above `KEEPS_THINKING`.
    """
    if not force and state.prompt_tokens <= HIGH_WATER * window:
        return None
    sizes = [_size(m) for m in state.messages]
    total = sum(sizes)
    per_char = (
        state.prompt_tokens / total
        if state.prompt_tokens and total
        else 1 / ASSUMED_CHARS_PER_TOKEN
    )
    if force and total:
        # What came since the server last counted is what made the prompt too long.
        per_char = max(per_char, window / total)
    target = LOW_WATER * window / per_char
    outputs = [i for i, m in enumerate(state.messages) if m.role == "tool"]
    old, recent = outputs[:-KEEP_RECENT], outputs[-KEEP_RECENT:]
    stubs: dict[str, str] = {}
    blanked: list[str] = []
    pictures = tuple(picture for m in state.messages for picture in m.pictures)
    left = float(total) - sum(map(_picture_size, pictures))

    def stub(positions: list[int]) -> None:
        nonlocal left
        for i in positions:
            message = state.messages[i]
            if left <= target:
                return
            if message.tool_call_id in state.stubbed or sizes[i] < SHORTEST_CUT:
                continue
            text = _stub(message)
            stubs[message.tool_call_id] = text
            left -= sizes[i] - len(text)

    stub(old)
    if preserves_thinking and left <= KEEPS_THINKING * window / per_char:
        target = left
    for message in state.messages[: recent[0] if recent else 0]:
        if left <= target:
            break
        if message.tool_calls and message.tool_calls[0].id not in state.blanked:
            blanked.append(message.tool_calls[0].id)
            left -= len(message.reasoning) + len(message.content)
    if force:
        stub(recent[:-1])
        if not (stubs or blanked or pictures):
            stub(recent[-1:])
    if not (stubs or blanked or pictures):
        return None
    return ContextCut(
        stubs=stubs,
        blanked=tuple(blanked),
        pictures=tuple(picture.id for picture in pictures),
        restated=restate(state),
        prompt_tokens_before=state.prompt_tokens,
    )


def _stub(message: Message) -> str:
    first = message.content.split("\n", 1)[0][:80]
    lines = message.content.count("\n") + 1
    log_id = log_id_of(message.tool_call_id)
    return f"[{lines} lines of output removed; they are log {log_id} and began: {first}]"


def _size(message: Message) -> int:
    calls = sum(len(c.arguments) + len(c.id) + len(c.name) for c in message.tool_calls)
    pictures = sum(map(_picture_size, message.pictures))
    return len(message.content) + len(message.reasoning) + calls + pictures + 20


def _picture_size(picture: Picture) -> int:
    return int(picture.tokens * ASSUMED_CHARS_PER_TOKEN)
